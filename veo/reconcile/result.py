"""What a comparison of jobs and bills finds."""

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
    """A job and the bill for it."""

    record: Record
    charge: ProviderCharge
    by_task: bool = True


@dataclass(frozen=True, slots=True)
class OpenItem:
    """Money of which the ledger does not know whether it was taken, and what the list says of it.

    Attributes:
        record: The job.
        amount: Millionths of a USD that may have been taken.
        verdict: ``paid``, ``unpaid``, or ``open``: the list does not tell.
        why: For a person.
        bill: What was charged, where that is known.
        candidates: The bills that may be its, while that is open.
        earlier: Whether it is about an earlier send, and not about the job's own outcome.
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
    """The ledger beside a list.

    Attributes:
        matched: The same amount on both sides.
        differing: Another amount on each.
        ours: Charged in the ledger, not in the list.
        theirs: Charged in the list, by no job of the ledger's.
        ahead: Charged in the list; the job has not ended yet here.
        outside: Jobs that ended before the list begins.
        questions: What the ledger did not know.
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
        """Whether there is no difference and no open question."""
        rest = [*self.differing, *self.ledger_only, *self.provider_only]
        return not rest and all(question.verdict != "open" for question in self.open_items)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What may be concluded from a list.

    Attributes:
        since: The list is complete from here on, Unix seconds; None: from its first charge on.
        settled_after: Seconds after a submit from which on no charge for it comes any more.
        taskless: Providers whose jobs have no tasks.
        tasks: Tasks that the user says jobs are, by job id.
        unpaid: Ids of jobs that the user says were never charged.
    """

    since: float | None = None
    settled_after: float = DAY_S
    taskless: frozenset[str] = frozenset()
    tasks: Mapping[str, str] = field(default_factory=dict)
    unpaid: frozenset[str] = frozenset()
