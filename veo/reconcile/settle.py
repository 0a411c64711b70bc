"""Open questions settled in the ledger, each in one transaction with the event that says why."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from veo.errors import GenerationError, LeaseLostError, RefusedError
from veo.ledger.record import State
from veo.money import format_amount, to_usd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from veo.errors import VeoError
    from veo.ledger import Ledger, Record
    from veo.reconcile.result import Match, OpenItem


def settle_open_items(
    ledger: Ledger,
    questions: Iterable[OpenItem],
    source: str,
    taskless: Collection[str] = (),
    clock: Callable[[], float] = time.time,
) -> list[Record]:
    """Write down what was found out; what is open stays open.

    A paid job that has a task is submitted again, as far as the ledger goes: ``veo resume``
    fetches its video. One of a route without tasks has failed, and was charged. An unpaid one has
    failed, and its money is free.

    Args:
        ledger: Where the jobs are.
        questions: As ``reconcile`` answered them.
        source: The list, for the history.
        taskless: Providers whose jobs have no tasks.
        clock: Unix seconds.

    Returns:
        The jobs as they are now; without those that somebody else has changed meanwhile, or is
        working on.
    """
    settled = []
    for question in questions:
        if question.verdict == "open" or question.record.owner:
            continue
        state, changes = _settled_state(question, taskless, clock())
        moved = _move_job(ledger, question.record, state, _settled_event(question, source), changes)
        settled += moved
    return settled


def confirm_charges(ledger: Ledger, pairs: Iterable[Match], source: str) -> list[Record]:
    """Note that charges which were not beyond doubt are in the list with the same amount."""
    settled = []
    for pair in pairs:
        if not pair.record.certain and pair.record.has_ended and not pair.record.owner:
            told = {"message": f"the charge is confirmed by {source}", "data": {"list": source}}
            settled += _move_job(ledger, pair.record, None, told, {"certain": True})
    return settled


def _move_job(
    ledger: Ledger,
    record: Record,
    state: State | None,
    told: dict[str, Any],
    changes: dict[str, Any],
) -> list[Record]:
    try:
        return [ledger.move_job(record, state, kind="settled", **told, **changes)]
    except LeaseLostError:
        return []


def _settled_state(
    question: OpenItem, taskless: Collection[str], now: float
) -> tuple[State | None, dict[str, Any]]:
    """The state that a job reaches, and what changes with it."""
    record, bill = question.record, question.charge
    paid = bill.amount if bill and question.verdict == "paid" else 0
    if question.is_earlier_send:
        return None, {"doubtful": 0, "charged": record.charged + paid}
    already = question.amount - record.reserved  # charged before its stream was lost
    money = {"reserved": 0, "charged": record.charged - already + paid, "certain": True}
    if record.state is not State.UNKNOWN:
        return None, money
    task = record.task_id or (bill.task if bill and bill.has_task_id else None)
    if paid and task and record.provider not in taskless:
        return State.SUBMITTED, {**money, "task_id": task, "error": None}
    error = json.dumps(_settled_error(paid).to_json(), ensure_ascii=False)
    return State.FAILED, {**money, "error": error, "ended_at": now}


def _settled_error(paid: int) -> VeoError:
    if paid:
        return GenerationError(
            "it was charged, but nobody can say where its video is", charged=True
        )
    return RefusedError("the provider's list of charges does not have it: nothing was paid")


def _settled_event(question: OpenItem, source: str) -> dict[str, Any]:
    bill, what = question.charge, "an earlier send" if question.is_earlier_send else "it"
    task = f", task {bill.task}" if bill else ""
    amount = f" {format_amount(to_usd(bill.amount))}" if bill and bill.amount else ""
    data = {"list": source, "verdict": question.verdict, "why": question.why}
    if bill:
        data |= {"task": bill.task, "listed": str(to_usd(bill.amount))}
    verdict = "was charged" if question.verdict == "paid" else "was not charged"
    message = f"{source}: {what} {verdict}{amount}{task} ({question.why})"
    return {"message": message, "data": data}
