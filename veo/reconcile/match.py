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
from veo.reconcile.open_items import Judge, ask, in_doubt
from veo.reconcile.result import Pair, Question, Reconciled, Terms, Verdict
from veo.reconcile.similar import SKEW_S, Fits, alike, labels, until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from veo.reconcile.charges import Bill, Listed


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
    fits = Fits(labels([*found.matched, *found.differing]), terms.taskless)
    anonymous = [record for record in unsaid if _anonymous(record, terms)]
    taken = alike(anonymous, left, found, fits)
    judge = Judge(listed, terms, fits)
    ask(records, left, taken, found, judge)
    _rest(unsaid, listed, found, judge)
    found.theirs = [bill for bill in left.values() if bill.amount]
    return found


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


def _rest(records: Iterable[Record], listed: Listed, found: Reconciled, judge: Judge) -> None:
    """Jobs that were charged here, and that the list does not know."""
    known = {pair.record.id for pair in found.matched} | {q.record.id for q in found.questions}
    for record in records:
        if not record.charged or record.id in known:
            continue
        if record.has_ended and not record.certain:
            verdict, why = judge.unpaid(record)
            found.questions.append(Question(record, record.charged, verdict, why))
        elif listed.begins is not None and until(record) + SKEW_S < listed.begins:
            found.outside.append(record)
        else:
            found.ours.append(record)
