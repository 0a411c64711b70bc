"""Settle open items in the ledger, each in one transaction with the event that records why."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from veo.errors import GenerationError, LeaseLostError, RefusedError, VeoError
from veo.ledger.record import State
from veo.money import format_micros, to_usd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from veo.ledger import Ledger, Record
    from veo.reconcile.result import Match, OpenItem


def settle_open_items(
    ledger: Ledger,
    items: Iterable[OpenItem],
    source: str,
    taskless: Collection[str] = (),
) -> list[Record]:
    """Record the verdicts of open items; items whose verdict is open stay as they are.

    A paid job with a task becomes ``submitted``, so that it can be resumed to fetch its video. A
    paid job without a task has failed, and was charged. An unpaid job has failed, and its
    reservation is released.

    Returns:
        The settled jobs, without those that another process works on or has changed.
    """
    settled = []
    for item in items:
        if item.verdict != "open" and not item.record.owner:
            state, changes = _settled_state(item, taskless, time.time())
            event = _settled_event(item, source)
            settled += _move_job(ledger, item.record, state, event, changes)
    return settled


def confirm_charges(ledger: Ledger, matches: Iterable[Match], source: str) -> list[Record]:
    """Mark uncertain charges that the list contains with the same amount as certain."""
    settled = []
    event = {"message": f"the charge is confirmed by {source}", "data": {"list": source}}
    for record in (match.record for match in matches):
        if not record.certain and record.has_ended and not record.owner:
            settled += _move_job(ledger, record, None, event, {"certain": True})
    return settled


def _move_job(
    ledger: Ledger,
    record: Record,
    state: State | None,
    event: dict[str, Any],
    changes: dict[str, Any],
) -> list[Record]:
    try:
        return [ledger.move_job(record, state, kind="settled", **event, **changes)]
    except LeaseLostError:  # the next reconciliation settles the job
        return []


def _settled_state(
    item: OpenItem, taskless: Collection[str], now: float
) -> tuple[State | None, dict[str, Any]]:
    record, charge = item.record, item.charge
    paid = charge.amount if charge and item.verdict == "paid" else 0
    if item.is_earlier_send:
        return None, {"doubtful": 0, "charged": record.charged + paid}
    # What is in doubt beyond the reservation was charged when the job was accepted.
    charged_before = item.amount - record.reserved
    money = {"reserved": 0, "charged": record.charged - charged_before + paid, "certain": True}
    if record.state is not State.UNKNOWN:
        return None, money
    task = record.task_id or (charge.task if charge and charge.has_task_id else None)
    if paid and task and record.provider not in taskless:
        return State.SUBMITTED, {**money, "task_id": task, "error": None}
    error: VeoError = RefusedError("not in the provider's list of charges: nothing was paid")
    if paid:
        text = "it was charged, but its video cannot be located"
        error = GenerationError(text, charged=True)
    error_text = json.dumps(error.to_json(), ensure_ascii=False)
    return State.FAILED, {**money, "error": error_text, "ended_at": now}


def _settled_event(item: OpenItem, source: str) -> dict[str, Any]:
    charge, subject = item.charge, "an earlier send" if item.is_earlier_send else "it"
    task = f", task {charge.task}" if charge else ""
    amount = f" {format_micros(charge.amount)}" if charge and charge.amount else ""
    data = {"list": source, "verdict": item.verdict, "why": item.why}
    if charge:
        data |= {"task": charge.task, "listed": str(to_usd(charge.amount))}
    verdict = "was charged" if item.verdict == "paid" else "was not charged"
    message = f"{source}: {subject} {verdict}{amount}{task} ({item.why})"
    return {"message": message, "data": data}
