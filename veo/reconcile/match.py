"""Compare jobs with charges. Nothing is changed here, and nothing is guessed.

A job with a task is compared by its task id. A job of a route without tasks is compared by model,
amount and time; such jobs are interchangeable, so only their number matters. A job of unknown
outcome counts as paid only if exactly one charge can be its, and that charge can belong to no
other job. It counts as unpaid only if no charge can be its, and the list reaches back far enough
and is recent enough to contain one.
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

    from veo.reconcile.charge_rows import ProviderCharge
    from veo.reconcile.charges import ChargeList


def reconcile(
    records: Sequence[Record], charges: ChargeList, assumptions: Assumptions
) -> Reconciliation:
    """Compare the jobs that a list of charges may contain with that list."""
    result = Reconciliation()
    unmatched = {charge.task: charge for charge in charges.charges}
    remaining = [r for r in records if not _match_by_task(r, unmatched, result, assumptions)]
    # The labels are known only now: the matches by task tell them.
    labels = learn_labels([*result.matched, *result.differing])
    matcher = ChargeMatcher(labels, assumptions.taskless)
    taskless = [record for record in remaining if _is_charged_without_task(record, assumptions)]
    matched = match_similar(taskless, unmatched, result, matcher)
    rules = EvidenceRules(charges, assumptions, matcher)
    resolve_open_items(records, unmatched, matched, result, rules)
    _collect_unmatched(remaining, result, rules)
    # A charge of 0 was refunded, so nothing is missing in the ledger.
    result.provider_only = [charge for charge in unmatched.values() if charge.amount]
    return result


def _match_by_task(
    record: Record,
    unmatched: dict[str, ProviderCharge],
    result: Reconciliation,
    assumptions: Assumptions,
) -> bool:
    task = assumptions.tasks.get(record.id) or record.task_id or ""
    name = task if task in unmatched else task.partition("#")[0]
    charge = unmatched.pop(name, None) if name else None
    if charge is None:
        return False
    amount = amount_in_doubt(record)
    if amount or record.state is State.UNKNOWN:
        by_user = record.id in assumptions.tasks
        why = "the task was assigned to it by the user" if by_user else "by its task"
        verdict: Verdict = "paid" if charge.amount else "unpaid"
        result.open_items.append(OpenItem(record, amount, verdict, why, charge))
    elif record.charged == charge.amount:
        result.matched.append(Match(record, charge))
    else:
        matches = result.not_ended if record.state in LIVE else result.differing
        matches.append(Match(record, charge))
    return True


def _is_charged_without_task(record: Record, assumptions: Assumptions) -> bool:
    is_charged = record.state is not State.UNKNOWN and record.charged > 0
    return is_charged and not record.task_id and record.provider in assumptions.taskless


def _collect_unmatched(
    records: Iterable[Record], result: Reconciliation, rules: EvidenceRules
) -> None:
    matched = {match.record.id for match in result.matched}
    # An open item about an earlier send says nothing about the charge for the last one.
    matched |= {item.record.id for item in result.open_items if not item.is_earlier_send}
    starts_at = rules.charges.starts_at
    for record in records:
        if not record.charged or record.id in matched:
            continue
        if record.has_ended and not record.certain:
            verdict, why = rules.judge_missing_charge(record)
            result.open_items.append(OpenItem(record, record.charged, verdict, why))
        elif starts_at is not None and latest_charge_at(record) + CLOCK_SKEW_S < starts_at:
            result.before_list.append(record)
        else:
            result.ledger_only.append(record)
