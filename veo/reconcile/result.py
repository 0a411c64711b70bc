"""The result of a reconciliation, and the assumptions it was made under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.ledger import Record
    from veo.reconcile.charges import ProviderCharge

DAY_S = 86_400.0

Verdict = Literal["paid", "unpaid", "open"]


@dataclass(frozen=True, slots=True)
class Match:
    """A job and the charge for it.

    Attributes:
        record: The job.
        charge: The charge.
        by_task: Whether the task id connects them; otherwise model, amount and time do.
    """

    record: Record
    charge: ProviderCharge
    by_task: bool = True


@dataclass(frozen=True, slots=True)
class OpenItem:
    """Money that may have been charged according to the ledger, and the verdict of the list.

    Attributes:
        record: The job.
        amount: Millionths of a USD that may have been charged.
        verdict: ``paid``, ``unpaid``, or ``open`` if the list does not tell.
        why: The reason for the verdict, for a person.
        charge: The charge, if it is known.
        candidates: The charges that may belong to the job, if the verdict is open.
        is_earlier_send: Whether it is about an earlier send, not the job's own outcome.
    """

    record: Record
    amount: int
    verdict: Verdict
    why: str
    charge: ProviderCharge | None = None
    candidates: tuple[ProviderCharge, ...] = ()
    is_earlier_send: bool = False


@dataclass(slots=True)
class Reconciliation:
    """The ledger compared with a list of charges.

    Attributes:
        matched: Jobs with the same amount on both sides.
        differing: Jobs with different amounts.
        ledger_only: Jobs that are charged in the ledger, but not in the list.
        provider_only: Charges in the list that belong to no job of the ledger.
        not_ended: Jobs that are charged in the list, but have not ended in the ledger.
        before_list: Jobs that ended before the list begins.
        open_items: Money that may have been charged according to the ledger.
    """

    matched: list[Match] = field(default_factory=list)
    differing: list[Match] = field(default_factory=list)
    ledger_only: list[Record] = field(default_factory=list)
    provider_only: list[ProviderCharge] = field(default_factory=list)
    not_ended: list[Match] = field(default_factory=list)
    before_list: list[Record] = field(default_factory=list)
    open_items: list[OpenItem] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether there is no difference and no open verdict."""
        has_difference = self.differing or self.ledger_only or self.provider_only
        return not has_difference and all(item.verdict != "open" for item in self.open_items)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What may be assumed about a list and about jobs.

    Attributes:
        since: The list is complete from this moment on, Unix seconds; None means from its first
            charge on.
        settled_after: Seconds after a send after which the provider no longer charges for it.
        taskless: Providers whose jobs have no tasks.
        tasks: Task ids that the user assigned to jobs, by job id.
        unpaid: Ids of jobs that were not charged according to the user.
    """

    since: float | None = None
    settled_after: float = DAY_S
    taskless: frozenset[str] = frozenset()
    tasks: Mapping[str, str] = field(default_factory=dict)
    unpaid: frozenset[str] = frozenset()
