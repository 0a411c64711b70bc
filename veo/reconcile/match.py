"""Jobs and bills put side by side. Pure: nothing is changed here, and nothing is guessed.

A job that knows its task is compared by it. A job of a route without tasks is compared by model,
amount and time: such jobs are alike, so it does not matter which is which, only how many there
are. A job of unknown outcome is said to be paid only when exactly one bill can be its, and that
bill nobody else's; it is said to be unpaid only when no bill can be its and the list is old
enough and reaches back far enough to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo.ledger.record import LIVE, Record, State
from veo.reconcile.open_items import EvidenceRules, amount_in_doubt, resolve_open_items
from veo.reconcile.result import Assumptions, Match, OpenItem, Reconciliation, Verdict
from veo.reconcile.similar import (
    CLOCK_SKEW_S,
    ChargeMatcher,
    latest_charge_at,
    learn_labels,
    match_similar,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from veo.reconcile.charges import ChargeList, ProviderCharge


def reconcile(records: Sequence[Record], listed: ChargeList, terms: Assumptions) -> Reconciliation:
    """Put jobs and bills side by side.

    Args:
        records: The jobs that the list may be about.
        listed: The list.
        terms: What may be concluded from it.
    """
    found = Reconciliation()
    left = {bill.task: bill for bill in listed.charges}
    unsaid = [record for record in records if not _match_by_task(record, left, found, terms)]
    fits = ChargeMatcher(learn_labels([*found.matched, *found.differing]), terms.taskless)
    anonymous = [record for record in unsaid if _is_charged_without_task(record, terms)]
    taken = match_similar(anonymous, left, found, fits)
    judge = EvidenceRules(listed, terms, fits)
    resolve_open_items(records, left, taken, found, judge)
    _collect_unmatched(unsaid, listed, found, judge)
    found.provider_only = [bill for bill in left.values() if bill.amount]
    return found


def _match_by_task(
    record: Record, left: dict[str, ProviderCharge], found: Reconciliation, terms: Assumptions
) -> bool:
    """Compare a job by its task; whether it could be."""
    task = terms.tasks.get(record.id) or record.task_id
    bill = left.pop(task, None) if task else None
    if bill is None:
        return False
    if amount_in_doubt(record) or record.state is State.UNKNOWN:
        said = "you said that this is its task" if record.id in terms.tasks else "by its task"
        verdict: Verdict = "paid" if bill.amount else "unpaid"
        found.open_items.append(OpenItem(record, amount_in_doubt(record), verdict, said, bill))
    elif record.charged == bill.amount:
        found.matched.append(Match(record, bill))
    else:
        place = found.not_ended if record.state in LIVE else found.differing
        place.append(Match(record, bill))
    return True


def _is_charged_without_task(record: Record, terms: Assumptions) -> bool:
    """Whether a job was charged by a route that names no tasks."""
    known = record.state is not State.UNKNOWN and record.charged > 0
    return known and not record.task_id and record.provider in terms.taskless


def _collect_unmatched(
    records: Iterable[Record], listed: ChargeList, found: Reconciliation, judge: EvidenceRules
) -> None:
    """Jobs that were charged here, and that the list does not know."""
    known = {pair.record.id for pair in found.matched} | {q.record.id for q in found.open_items}
    for record in records:
        if not record.charged or record.id in known:
            continue
        if record.has_ended and not record.certain:
            verdict, why = judge.judge_missing_charge(record)
            found.open_items.append(OpenItem(record, record.charged, verdict, why))
        elif (
            listed.starts_at is not None
            and latest_charge_at(record) + CLOCK_SKEW_S < listed.starts_at
        ):
            found.before_list.append(record)
        else:
            found.ledger_only.append(record)
