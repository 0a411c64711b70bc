"""Jobs and bills without a task between them: compared by model, amount, time and label."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.reconcile.result import DAY_S, Match, Reconciliation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.ledger import Record
    from veo.reconcile.charges import ProviderCharge

CLOCK_SKEW_S = 300.0


def learn_labels(pairs: Iterable[Match]) -> dict[str, set[str]]:
    """Which labels the list puts on whose charges, learned from jobs that know their tasks."""
    seen: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        if pair.charge.label:
            seen[pair.record.provider].add(pair.charge.label)
    return dict(seen)


@dataclass(frozen=True, slots=True)
class ChargeMatcher:
    """Whether a bill can be a job's."""

    labels: Mapping[str, set[str]]
    taskless: frozenset[str]

    def __call__(self, bill: ProviderCharge, record: Record, amount: int, last: float) -> bool:
        """Whether a bill can be a job's, for an amount, charged until ``last`` (Unix seconds)."""
        first = sent_at(record) - CLOCK_SKEW_S
        return (
            bill.amount in {amount, 0}
            and bill.model in {None, record.model}
            and (bill.at is None or first <= bill.at <= last + CLOCK_SKEW_S)
            and self._labelled(bill, record.provider)
        )

    def _labelled(self, bill: ProviderCharge, provider: str) -> bool:
        if bill.label is None:
            return True
        mine = self.labels.get(provider)
        if mine is not None:
            return bill.label in mine
        return not any(bill.label in others for others in self.labels.values())


def match_similar(
    records: Sequence[Record],
    left: dict[str, ProviderCharge],
    found: Reconciliation,
    fits: ChargeMatcher,
) -> list[ProviderCharge]:
    """Pair jobs without tasks with bills that fit; certain charges first. The bills taken."""
    taken: list[ProviderCharge] = []
    for sure in (True, False):
        groups: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            if record.certain is sure:
                groups[record.model, record.charged].append(record)
        for (model, amount), some in groups.items():
            bills = [b for b in left.values() if b.amount == amount and b.model in {None, model}]
            for record, bill in _assign_charges(some, bills, fits):
                del left[bill.task]
                taken.append(bill)
                found.matched.append(Match(record, bill, by_task=False))
    return taken


def _assign_charges(
    records: Sequence[Record], bills: Sequence[ProviderCharge], fits: ChargeMatcher
) -> list[tuple[Record, ProviderCharge]]:
    """As many pairs as there can be: each bill, in time, to the job whose time ends first."""
    waiting = sorted(records, key=sent_at, reverse=True)
    open_: list[tuple[float, str, Record]] = []
    pairs = []
    for bill in sorted(bills, key=lambda bill: bill.at if bill.at is not None else float("inf")):
        while waiting and (bill.at is None or sent_at(waiting[-1]) - CLOCK_SKEW_S <= bill.at):
            record = waiting.pop()
            heapq.heappush(open_, (latest_charge_at(record), record.id, record))
        while open_ and bill.at is not None and open_[0][0] + CLOCK_SKEW_S < bill.at:
            heapq.heappop(open_)
        if open_ and fits(bill, open_[0][2], bill.amount, latest_charge_at(open_[0][2])):
            pairs.append((heapq.heappop(open_)[2], bill))
    return pairs


def sent_at(record: Record) -> float:
    """When a job was sent, or at least asked for, Unix seconds."""
    return record.submitted_at or record.created_at


def latest_charge_at(record: Record) -> float:
    """When a charge of a job that is known to be charged can have been made, at the latest."""
    return record.ended_at or record.ready_at or sent_at(record) + DAY_S
