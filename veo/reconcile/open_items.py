"""What a list says of money of which the ledger does not know whether it was taken."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.ledger.record import LIVE, Record, State
from veo.money import to_micros
from veo.reconcile.result import Assumptions, OpenItem, Reconciliation, Verdict
from veo.reconcile.similar import ChargeMatcher, sent_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.reconcile.charges import ChargeList, ProviderCharge


def amount_in_doubt(record: Record) -> int:
    """What may or may not have been taken for a job's last send, millionths of a USD.

    A job that was accepted and charged, and whose stream was then lost, is in doubt as well.
    """
    if record.state is State.UNKNOWN:
        return min(to_micros(record.parse_quote().amount), record.reserved + record.charged)
    return 0 if record.state in LIVE else record.reserved


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    """What may be said of a question."""

    listed: ChargeList
    terms: Assumptions
    fits: ChargeMatcher

    def find_candidates(
        self, record: Record, amount: int, bills: Iterable[ProviderCharge]
    ) -> list[ProviderCharge]:
        """The bills that may be a job's."""
        last = sent_at(record) + self.terms.settled_after
        return [bill for bill in bills if self.fits(bill, record, amount, last)]

    def judge_missing_charge(self, record: Record) -> tuple[Verdict, str]:
        """What it means that no bill can be a job's."""
        begins = self.terms.since if self.terms.since is not None else self.listed.starts_at
        if record.id in self.terms.unpaid:
            return "unpaid", "you said that it was not charged"
        if begins is None or sent_at(record) < begins:
            return "open", "the list may begin after it: `since` says from when it is complete"
        if self.listed.taken_at - sent_at(record) < self.terms.settled_after:
            return "open", "no charge yet, but one may still come: `settled_after` says until when"
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

    judge: EvidenceRules
    free: Sequence[ProviderCharge]
    taken: Sequence[ProviderCharge]
    rivals: Mapping[str, int]

    def resolve(self, record: Record, amount: int, earlier: bool) -> OpenItem:
        """What is known of one question."""
        judge = self.judge
        mine = judge.find_candidates(record, amount, self.free)
        # Where the task matters, a bill that was given to a job like it might be its as well.
        named = record.provider not in judge.terms.taskless
        contested = judge.find_candidates(record, amount, self.taken) if named else []
        if record.id in judge.terms.unpaid or not (mine or contested):
            verdict, why = judge.judge_missing_charge(record)
            return OpenItem(record, amount, verdict, why, is_earlier_send=earlier)
        if len(mine) == 1 and not contested and self.rivals[mine[0].task] == 1:
            verdict = "paid" if mine[0].amount else "unpaid"
            why = "the one charge that can be its, and only its"
            return OpenItem(record, amount, verdict, why, mine[0], is_earlier_send=earlier)
        several = (*mine, *contested)
        why = f"{len(several)} charges can be its, or one can be of several jobs"
        return OpenItem(
            record, amount, "open", why, candidates=several[:10], is_earlier_send=earlier
        )


def resolve_open_items(
    records: Sequence[Record],
    left: dict[str, ProviderCharge],
    taken: Sequence[ProviderCharge],
    found: Reconciliation,
    judge: EvidenceRules,
) -> None:
    """Answer what can be answered of the questions that no task answers."""
    answered = {question.record.id for question in found.open_items}
    asked = [
        (r, amount_in_doubt(r), False) for r in records if _is_open(r) and r.id not in answered
    ]
    asked += [(r, r.doubtful, True) for r in records if r.doubtful]
    evidence = _Evidence(
        judge, list(left.values()), taken, _count_claims(asked, left.values(), judge)
    )
    together = _resolve_groups(asked, evidence)
    found.open_items += together
    answered = {question.record.id for question in together}
    found.open_items += [evidence.resolve(*each) for each in asked if each[0].id not in answered]
    for question in found.open_items:
        if question.charge:
            left.pop(question.charge.task, None)


def _resolve_groups(asked: Sequence[Asked], evidence: _Evidence) -> list[OpenItem]:
    """Jobs without tasks that are all alike, when there is a bill for every one of them.

    Which is whose does not matter then: none of them has a task that could be fetched.
    """
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    for record, amount, earlier in asked:
        if record.provider in evidence.judge.terms.taskless and not earlier:
            groups[record.provider, record.model, amount].append(record)
    answers = []
    for (_, _, amount), some in groups.items():
        possible = [
            evidence.judge.find_candidates(record, amount, evidence.free) for record in some
        ]
        bills = {bill.task: bill for fitting in possible for bill in fitting if bill.amount}
        alone = all(evidence.rivals[task] == len(some) for task in bills)
        alike = all(len(fitting) == len(bills) for fitting in possible)
        if len(some) == len(bills) and alone and alike:
            why = f"{len(some)} such jobs, and as many charges that can be theirs alone"
            pairs = zip(some, bills.values(), strict=True)
            answers += [OpenItem(job, amount, "paid", why, bill) for job, bill in pairs]
    return answers


def _is_open(record: Record) -> bool:
    return record.state is State.UNKNOWN or amount_in_doubt(record) > 0


def _count_claims(
    asked: Sequence[Asked], bills: Iterable[ProviderCharge], judge: EvidenceRules
) -> dict[str, int]:
    """How many questions each bill may answer."""
    every, counts = list(bills), Counter[str]()
    for record, amount, _ in asked:
        counts.update(bill.task for bill in judge.find_candidates(record, amount, every))
    return counts
