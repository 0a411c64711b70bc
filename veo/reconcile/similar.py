"""Match jobs and charges without a common task id: by model, amount, time and label."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.reconcile.result import DAY_S, Match, Reconciliation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.ledger import Record
    from veo.reconcile.charge_rows import ProviderCharge

# The clocks of this machine and of the provider may differ by this much.
CLOCK_SKEW_S = 300.0
# A charge by usage exceeds its quote by texts, thoughts and images, and by the video that an
# extension or an edit is given.
MAX_USAGE_FACTOR = 2


def learn_labels(matches: Iterable[Match]) -> dict[str, set[str]]:
    """Return the labels that the list uses for each provider, learned from matches by task."""
    labels: dict[str, set[str]] = defaultdict(set)
    for match in matches:
        if match.charge.label:
            labels[match.record.provider].add(match.charge.label)
    return dict(labels)


@dataclass(frozen=True, slots=True)
class ChargeMatcher:
    labels: Mapping[str, set[str]]  # known labels of the list, by provider
    taskless: frozenset[str]

    def can_match(self, charge: ProviderCharge, record: Record, amount: int, last: float) -> bool:
        """Return whether a charge can belong to a job; a refunded charge of 0 can.

        ``last`` is the latest possible time of the charge, Unix seconds.
        """
        first = sent_at(record) - CLOCK_SKEW_S
        return (
            # What the list does not state cannot contradict the job.
            charge.model in {None, record.model}
            and (charge.at is None or first <= charge.at <= last + CLOCK_SKEW_S)
            and self._can_have_label(charge, record.provider)
            and (charge.amount in {amount, 0} or _can_be_usage(charge, record, amount))
        )

    def _can_have_label(self, charge: ProviderCharge, provider: str) -> bool:
        if charge.label is None:
            return True
        if provider in self.labels:
            return charge.label in self.labels[provider]
        return not any(charge.label in labels for labels in self.labels.values())


def _can_be_usage(charge: ProviderCharge, record: Record, amount: int) -> bool:
    """Return whether a charge by usage fits its quote: a refusal costs a few tokens only."""
    return charge.amount <= MAX_USAGE_FACTOR * amount and record.parse_quote().by_usage


def match_similar(
    records: Sequence[Record],
    unmatched: dict[str, ProviderCharge],
    result: Reconciliation,
    matcher: ChargeMatcher,
) -> list[ProviderCharge]:
    """Match jobs without tasks with charges, and return those charges.

    Jobs whose charge is certain come first. Matched charges are removed from ``unmatched``.
    """
    matched: list[ProviderCharge] = []
    # If there are too few charges, those of uncertain jobs are the ones that are missing.
    for is_certain in (True, False):
        groups: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            if record.certain is is_certain:
                groups[record.model, record.charged].append(record)
        for (model, amount), group in groups.items():
            charges = [
                charge
                for charge in unmatched.values()
                if charge.amount == amount and charge.model in {None, model}
            ]
            for record, charge in _assign_charges(group, charges, matcher):
                del unmatched[charge.task]
                matched.append(charge)
                result.matched.append(Match(record, charge, by_task=False))
    return matched


def _assign_charges(
    records: Sequence[Record], charges: Sequence[ProviderCharge], matcher: ChargeMatcher
) -> list[tuple[Record, ProviderCharge]]:
    """Return as many pairs as possible of jobs that are all alike.

    This is interval scheduling: each charge, in the order of time, goes to the job whose interval
    ends first among those that have begun. Charges without a time come last and fit all jobs.
    """
    waiting = sorted(records, key=sent_at, reverse=True)
    begun: list[tuple[float, str, Record]] = []
    pairs = []
    for charge in sorted(charges, key=lambda each: each.at if each.at is not None else math.inf):
        while waiting and (charge.at is None or sent_at(waiting[-1]) - CLOCK_SKEW_S <= charge.at):
            record = waiting.pop()
            heapq.heappush(begun, (latest_charge_at(record), record.id, record))
        while begun and charge.at is not None and begun[0][0] + CLOCK_SKEW_S < charge.at:
            heapq.heappop(begun)
        if begun:
            last, _, record = begun[0]
            if matcher.can_match(charge, record, charge.amount, last):
                heapq.heappop(begun)
                pairs.append((record, charge))
    return pairs


def sent_at(record: Record) -> float:
    return record.submitted_at or record.created_at


def latest_charge_at(record: Record) -> float:
    """Return the latest time at which a charged job can have been charged, Unix seconds."""
    return record.ended_at or record.ready_at or sent_at(record) + DAY_S
