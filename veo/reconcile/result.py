"""The result of a reconciliation, and the assumptions it was made under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.ledger import Record
    from veo.reconcile.charge_rows import ProviderCharge

DAY_S = 86_400.0

Verdict = Literal["paid", "unpaid", "open"]


@dataclass(frozen=True, slots=True)
class Match:
    record: Record
    charge: ProviderCharge
    by_task: bool = True  # otherwise model, amount and time connect the two


@dataclass(frozen=True, slots=True)
class OpenItem:
    """Money that may have been charged according to the ledger, and the verdict of the list."""

    record: Record
    amount: int  # millionths of a USD that may have been charged
    verdict: Verdict
    why: str  # for a person
    charge: ProviderCharge | None = None  # if it is known
    candidates: tuple[ProviderCharge, ...] = ()  # if the verdict is open
    is_earlier_send: bool = False  # not about the job's own outcome


@dataclass(slots=True)
class Reconciliation:
    matched: list[Match] = field(default_factory=list)  # the same amount on both sides
    differing: list[Match] = field(default_factory=list)  # different amounts
    # charged in the ledger, but not in the list
    ledger_only: list[Record] = field(default_factory=list)
    provider_only: list[ProviderCharge] = field(default_factory=list)  # belong to no job
    # charged in the list, but not ended in the ledger
    not_ended: list[Match] = field(default_factory=list)
    before_list: list[Record] = field(default_factory=list)  # ended before the list begins
    open_items: list[OpenItem] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        has_difference = self.differing or self.ledger_only or self.provider_only
        return not has_difference and all(item.verdict != "open" for item in self.open_items)


@dataclass(frozen=True, slots=True)
class Assumptions:
    # the list is complete from then on, Unix seconds; None: from its first charge
    since: float | None = None
    settled_after: float = DAY_S  # seconds after a send until it can still be charged
    taskless: frozenset[str] = frozenset()  # providers whose jobs have no tasks
    # task ids that the user assigned, by job id
    tasks: Mapping[str, str] = field(default_factory=dict)
    unpaid: frozenset[str] = frozenset()  # ids of jobs that were not charged according to the user
