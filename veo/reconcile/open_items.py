"""Judge money that may have been charged according to the ledger, by the list of charges."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from veo.ledger.record import Record, State, split_reservation
from veo.money import to_micros
from veo.reconcile.result import Assumptions, OpenItem, Reconciliation, Verdict
from veo.reconcile.similar import ChargeMatcher, sent_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.reconcile.charge_rows import ProviderCharge
    from veo.reconcile.charges import ChargeList

MAX_CANDIDATES = 10


def amount_in_doubt(record: Record) -> int:
    """Return what may have been charged for a job's last send, millionths of a USD.

    This includes a job that was accepted and charged before its stream was lost.
    """
    _, in_doubt = split_reservation(record.state, record.reserved)
    if in_doubt or record.state is not State.UNKNOWN:
        return in_doubt
    return min(to_micros(record.parse_quote().amount), record.charged)


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    charges: ChargeList
    assumptions: Assumptions
    matcher: ChargeMatcher

    def find_candidates(
        self, record: Record, amount: int, charges: Iterable[ProviderCharge]
    ) -> list[ProviderCharge]:
        last = sent_at(record) + self.assumptions.settled_after
        return [each for each in charges if self.matcher.can_match(each, record, amount, last)]

    def judge_missing_charge(self, record: Record) -> tuple[Verdict, str]:
        """Return the verdict, and its reason, if no charge can belong to a job."""
        since = self.assumptions.since
        starts_at = since if since is not None else self.charges.starts_at
        sent = sent_at(record)
        if record.id in self.assumptions.unpaid:
            return "unpaid", "not charged, according to the user"
        if starts_at is None or sent < starts_at:
            return "open", "the list may begin after it: `since` says from when it is complete"
        if self.charges.taken_at - sent < self.assumptions.settled_after:
            return "open", "no charge yet, but one may still come: `settled_after` says until when"
        return "unpaid", "no charge in the list can belong to it"


class _Claim(NamedTuple):
    record: Record
    amount: int
    is_earlier_send: bool


@dataclass(frozen=True, slots=True)
class _Evidence:
    rules: EvidenceRules
    unmatched: Sequence[ProviderCharge]  # charges that belong to no job yet
    matched: Sequence[ProviderCharge]  # charges that were matched with interchangeable jobs
    claims: Mapping[str, int]  # claims that each unmatched charge fits, by its task

    def judge_claim(self, claim: _Claim) -> OpenItem:
        record, amount, earlier = claim
        item = partial(OpenItem, record, amount, is_earlier_send=earlier)
        assumptions = self.rules.assumptions
        candidates = self.rules.find_candidates(record, amount, self.unmatched)
        # Matches of interchangeable jobs are arbitrary. A job that needs to know its task may as
        # well own one of their charges.
        has_tasks = record.provider not in assumptions.taskless
        contested = self.rules.find_candidates(record, amount, self.matched) if has_tasks else []
        if record.id in assumptions.unpaid or not (candidates or contested):
            return item(*self.rules.judge_missing_charge(record))
        # A gateway's log also has rows of other uses of the key, which name no task.
        lacks_task = has_tasks and not all(charge.has_task_id for charge in candidates)
        is_only = len(candidates) == 1 and not contested and self.claims[candidates[0].task] == 1
        if is_only and not lacks_task:
            why = "the only charge that can belong to it, and to no other job"
            return item("paid" if candidates[0].amount else "unpaid", why, candidates[0])
        charges = (*candidates, *contested)
        why = "the charge can belong to several jobs"
        if len(charges) > 1:
            why = f"{len(charges)} charges can belong to it"
        elif lacks_task:
            why = "the charge names no task, so that it may be that of something else"
        return item("open", why, candidates=charges[:MAX_CANDIDATES])


def resolve_open_items(
    records: Sequence[Record],
    unmatched: dict[str, ProviderCharge],
    matched: Sequence[ProviderCharge],
    result: Reconciliation,
    rules: EvidenceRules,
) -> None:
    """Judge the open items that no task id has resolved, and add them to the result.

    Charges that are found to belong to a job are removed from ``unmatched``.
    """
    resolved = {item.record.id for item in result.open_items}
    claims = [
        _Claim(record, amount_in_doubt(record), is_earlier_send=False)
        for record in records
        if (amount_in_doubt(record) or record.state is State.UNKNOWN) and record.id not in resolved
    ]
    claims += [_Claim(r, r.doubtful, is_earlier_send=True) for r in records if r.doubtful]
    charges = list(unmatched.values())
    found = (rules.find_candidates(claim.record, claim.amount, charges) for claim in claims)
    counts = Counter(charge.task for candidates in found for charge in candidates)
    evidence = _Evidence(rules, charges, matched, counts)
    in_groups = _resolve_groups(claims, evidence)
    resolved = {item.record.id for item in in_groups}
    result.open_items += in_groups
    result.open_items += [
        evidence.judge_claim(claim)
        for claim in claims
        if claim.is_earlier_send or claim.record.id not in resolved
    ]
    for item in result.open_items:
        if item.charge:
            unmatched.pop(item.charge.task, None)


def _resolve_groups(claims: Sequence[_Claim], evidence: _Evidence) -> list[OpenItem]:
    """Return interchangeable jobs without tasks as paid if there is a charge for each of them.

    It does not matter which charge belongs to which job, as no job has a task to fetch.
    """
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    for record, amount, earlier in claims:
        if record.provider in evidence.rules.assumptions.taskless and not earlier:
            groups[record.provider, record.model, amount].append(record)
    items = []
    for (_, _, amount), jobs in groups.items():
        candidates = [
            evidence.rules.find_candidates(job, amount, evidence.unmatched) for job in jobs
        ]
        charges = {each.task: each for found in candidates for each in found if each.amount}
        only_theirs = all(evidence.claims[task] == len(jobs) for task in charges)
        interchangeable = all(len(found) == len(charges) for found in candidates)
        if len(jobs) == len(charges) and only_theirs and interchangeable:
            why = f"{len(jobs)} such jobs, and as many charges that can belong only to them"
            pairs = zip(jobs, charges.values(), strict=True)
            items += [OpenItem(job, amount, "paid", why, charge) for job, charge in pairs]
    return items
