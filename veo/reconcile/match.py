"""Jobs and bills put side by side. Pure: nothing is changed here, and nothing is guessed.

A job that knows its task is compared by it. A job of a route without tasks is compared by model,
amount and time: such jobs are alike, so it does not matter which is which, only how many there
are. A job of unknown outcome is said to be paid only when exactly one bill can be its, and that
bill nobody else's; it is said to be unpaid only when no bill can be its and the list is old
enough and reaches back far enough to tell.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from veo.ledger.record import LIVE, Record, State
from veo.money import micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.reconcile.bills import Bill, Listed

SKEW_S = 300.0
DAY_S = 86_400.0

Verdict = Literal["paid", "unpaid", "open"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A job and the bill for it."""

    record: Record
    bill: Bill
    by_task: bool = True


@dataclass(frozen=True, slots=True)
class Question:
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
    bill: Bill | None = None
    candidates: tuple[Bill, ...] = ()
    earlier: bool = False


@dataclass(slots=True)
class Reconciled:
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

    matched: list[Pair] = field(default_factory=list)
    differing: list[Pair] = field(default_factory=list)
    ours: list[Record] = field(default_factory=list)
    theirs: list[Bill] = field(default_factory=list)
    ahead: list[Pair] = field(default_factory=list)
    outside: list[Record] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether there is no difference and no open question."""
        rest = [*self.differing, *self.ours, *self.theirs]
        return not rest and all(question.verdict != "open" for question in self.questions)


@dataclass(frozen=True, slots=True)
class Terms:
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


def reconcile(records: Sequence[Record], listed: Listed, terms: Terms) -> Reconciled:
    """Put jobs and bills side by side.

    Args:
        records: The jobs that the list may be about.
        listed: The list.
        terms: What may be concluded from it.
    """
    found = Reconciled()
    left = {bill.task: bill for bill in listed.bills}
    unsaid = [record for record in records if not _by_task(record, left, found, terms)]
    labels = _labels([*found.matched, *found.differing])
    fits = _Fits(labels, terms.taskless)
    anonymous = [record for record in unsaid if _anonymous(record, terms)]
    taken = _alike(anonymous, left, found, fits)
    _ask(records, left, taken, found, _Judge(listed, terms, fits))
    _rest(unsaid, listed, found)
    found.theirs = [bill for bill in left.values() if bill.amount]
    return found


def in_doubt(record: Record) -> int:
    """What may or may not have been taken for a job's last send, millionths of a USD.

    A job that was accepted and charged, and whose stream was then lost, is in doubt as well.
    """
    if record.state is State.UNKNOWN:
        return min(micros(record.quoted().amount), record.reserved + record.charged)
    return 0 if record.state in LIVE else record.reserved


def _by_task(record: Record, left: dict[str, Bill], found: Reconciled, terms: Terms) -> bool:
    """Compare a job by its task; whether it could be."""
    task = terms.tasks.get(record.id) or record.task_id
    bill = left.pop(task, None) if task else None
    if bill is None:
        return False
    if in_doubt(record) or record.state is State.UNKNOWN:
        said = "you said that this is its task" if record.id in terms.tasks else "by its task"
        verdict: Verdict = "paid" if bill.amount else "unpaid"
        found.questions.append(Question(record, in_doubt(record), verdict, said, bill))
    elif record.charged == bill.amount:
        found.matched.append(Pair(record, bill))
    else:
        place = found.ahead if record.state in LIVE else found.differing
        place.append(Pair(record, bill))
    return True


def _anonymous(record: Record, terms: Terms) -> bool:
    """Whether a job was charged by a route that names no tasks."""
    known = record.state is not State.UNKNOWN and record.charged > 0
    return known and not record.task_id and record.provider in terms.taskless


def _labels(pairs: Iterable[Pair]) -> dict[str, set[str]]:
    """Which labels the list puts on whose charges, learned from jobs that know their tasks."""
    seen: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        if pair.bill.label:
            seen[pair.record.provider].add(pair.bill.label)
    return dict(seen)


@dataclass(frozen=True, slots=True)
class _Fits:
    """Whether a bill can be a job's."""

    labels: Mapping[str, set[str]]
    taskless: frozenset[str]

    def __call__(self, bill: Bill, record: Record, amount: int, until: float) -> bool:
        begun = (record.submitted_at or record.created_at) - SKEW_S
        return (
            bill.amount in {amount, 0}
            and bill.model in {None, record.model}
            and (bill.at is None or begun <= bill.at <= until + SKEW_S)
            and self._labelled(bill, record.provider)
        )

    def _labelled(self, bill: Bill, provider: str) -> bool:
        if bill.label is None:
            return True
        mine = self.labels.get(provider)
        if mine is not None:
            return bill.label in mine
        return not any(bill.label in others for others in self.labels.values())


def _alike(
    records: Sequence[Record], left: dict[str, Bill], found: Reconciled, fits: _Fits
) -> list[Bill]:
    """Pair jobs without tasks with bills that fit; certain charges first. The bills taken."""
    taken: list[Bill] = []
    for sure in (True, False):
        groups: dict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            if record.certain is sure:
                groups[record.model, record.charged].append(record)
        for (model, amount), some in groups.items():
            bills = [b for b in left.values() if b.amount == amount and b.model in {None, model}]
            for record, bill in _assigned(some, bills, fits):
                del left[bill.task]
                taken.append(bill)
                found.matched.append(Pair(record, bill, by_task=False))
    return taken


def _assigned(
    records: Sequence[Record], bills: Sequence[Bill], fits: _Fits
) -> list[tuple[Record, Bill]]:
    """As many pairs as there can be: each bill, in time, to the job whose time ends first."""
    waiting = sorted(records, key=_begun, reverse=True)
    open_: list[tuple[float, str, Record]] = []
    pairs = []
    for bill in sorted(bills, key=lambda bill: bill.at if bill.at is not None else float("inf")):
        while waiting and (bill.at is None or _begun(waiting[-1]) - SKEW_S <= bill.at):
            record = waiting.pop()
            heapq.heappush(open_, (_until(record), record.id, record))
        while open_ and bill.at is not None and open_[0][0] + SKEW_S < bill.at:
            heapq.heappop(open_)
        if open_ and fits(bill, open_[0][2], bill.amount, _until(open_[0][2])):
            pairs.append((heapq.heappop(open_)[2], bill))
    return pairs


def _begun(record: Record) -> float:
    return record.submitted_at or record.created_at


def _until(record: Record) -> float:
    """When a charge of a job that is known to be charged can have been made, at the latest."""
    return record.ended_at or record.ready_at or _begun(record) + DAY_S


@dataclass(frozen=True, slots=True)
class _Judge:
    """What may be said of a question."""

    listed: Listed
    terms: Terms
    fits: _Fits

    def possible(self, record: Record, amount: int, bills: Iterable[Bill]) -> list[Bill]:
        """The bills that may be a job's."""
        until = _begun(record) + self.terms.settled_after
        return [bill for bill in bills if self.fits(bill, record, amount, until)]

    def unpaid(self, record: Record) -> tuple[Verdict, str]:
        """What it means that no bill can be a job's."""
        begins = self.terms.since if self.terms.since is not None else self.listed.begins
        if record.id in self.terms.unpaid:
            return "unpaid", "you said that it was not charged"
        if begins is None or _begun(record) < begins:
            return "open", "the list may begin after it: --since says from when on it is complete"
        if self.listed.taken_at - _begun(record) < self.terms.settled_after:
            return "open", "no charge yet, but one may still come: --settled-after says until when"
        return "unpaid", "no charge in the list can be its"


Asked = tuple[Record, int, bool]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """All there is to answer questions with.

    Attributes:
        judge: Knows what may be concluded.
        free: Bills that are nobody's yet.
        taken: Bills that were given to jobs that are all alike.
        rivals: How many questions each free bill may answer, by its task.
    """

    judge: _Judge
    free: Sequence[Bill]
    taken: Sequence[Bill]
    rivals: Mapping[str, int]

    def answer(self, record: Record, amount: int, earlier: bool) -> Question:
        """What is known of one question."""
        judge = self.judge
        mine = judge.possible(record, amount, self.free)
        # Where the task matters, a bill that was given to a job like it might be its as well.
        named = record.provider not in judge.terms.taskless
        contested = judge.possible(record, amount, self.taken) if named else []
        if record.id in judge.terms.unpaid or not (mine or contested):
            verdict, why = judge.unpaid(record)
            return Question(record, amount, verdict, why, earlier=earlier)
        if len(mine) == 1 and not contested and self.rivals[mine[0].task] == 1:
            verdict = "paid" if mine[0].amount else "unpaid"
            why = "the one charge that can be its, and only its"
            return Question(record, amount, verdict, why, mine[0], earlier=earlier)
        several = (*mine, *contested)
        why = f"{len(several)} charges can be its, or one can be of several jobs"
        return Question(record, amount, "open", why, candidates=several[:10], earlier=earlier)


def _ask(
    records: Sequence[Record],
    left: dict[str, Bill],
    taken: Sequence[Bill],
    found: Reconciled,
    judge: _Judge,
) -> None:
    """Answer what can be answered of the questions that no task answers."""
    answered = {question.record.id for question in found.questions}
    asked = [(r, in_doubt(r), False) for r in records if _open(r) and r.id not in answered]
    asked += [(r, r.doubtful, True) for r in records if r.doubtful]
    evidence = _Evidence(judge, list(left.values()), taken, _rivals(asked, left.values(), judge))
    together = _together(asked, evidence)
    found.questions += together
    answered = {question.record.id for question in together}
    found.questions += [evidence.answer(*each) for each in asked if each[0].id not in answered]
    for question in found.questions:
        if question.bill:
            left.pop(question.bill.task, None)


def _together(asked: Sequence[Asked], evidence: _Evidence) -> list[Question]:
    """Jobs without tasks that are all alike, when there is a bill for every one of them.

    Which is whose does not matter then: none of them has a task that could be fetched.
    """
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    for record, amount, earlier in asked:
        if record.provider in evidence.judge.terms.taskless and not earlier:
            groups[record.provider, record.model, amount].append(record)
    answers = []
    for (_, _, amount), some in groups.items():
        possible = [evidence.judge.possible(record, amount, evidence.free) for record in some]
        bills = {bill.task: bill for fitting in possible for bill in fitting if bill.amount}
        alone = all(evidence.rivals[task] == len(some) for task in bills)
        alike = all(len(fitting) == len(bills) for fitting in possible)
        if len(some) == len(bills) and alone and alike:
            why = f"{len(some)} such jobs, and as many charges that can be theirs alone"
            pairs = zip(some, bills.values(), strict=True)
            answers += [Question(job, amount, "paid", why, bill) for job, bill in pairs]
    return answers


def _open(record: Record) -> bool:
    return record.state is State.UNKNOWN or in_doubt(record) > 0


def _rivals(asked: Sequence[Asked], bills: Iterable[Bill], judge: _Judge) -> dict[str, int]:
    """How many questions each bill may answer."""
    every, counts = list(bills), Counter[str]()
    for record, amount, _ in asked:
        counts.update(bill.task for bill in judge.possible(record, amount, every))
    return counts


def _rest(records: Iterable[Record], listed: Listed, found: Reconciled) -> None:
    """Jobs that were charged here, and that the list does not know."""
    paired = {pair.record.id for pair in found.matched}
    for record in records:
        if record.charged and record.id not in paired and record.state is not State.UNKNOWN:
            before = listed.begins is not None and _until(record) + SKEW_S < listed.begins
            (found.outside if before else found.ours).append(record)
