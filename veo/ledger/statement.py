"""The money of one job, line by line: what moved, why, and by which rule. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veo.ledger.record import State
from veo.ledger.rows import AMOUNTS
from veo.money import Quote, format_amount, to_usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from veo.ledger import Event

RULES = {
    "on_success": "charged when the video is made",
    "on_accept": "charged as soon as the request is accepted, whatever becomes of it",
}


@dataclass(frozen=True, slots=True)
class MoneyMovement:
    """One movement of money.

    Attributes:
        at: Unix seconds.
        moved: What rose and what fell, millionths of a USD, by ``reserved``, ``charged`` or
            ``doubtful``.
        why: What happened, for a person.
        event: The id of the line of the job's history that it is.
    """

    at: float
    changes: dict[str, int]
    reason: str
    event_id: int

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it; amounts in USD."""
        moved = {name: float(to_usd(amount)) for name, amount in self.changes.items()}
        return {"at": self.at, **moved, "why": self.reason, "event": self.event_id}


def list_movements(history: Iterable[Event], quote: Quote) -> list[MoneyMovement]:
    """Every event of a job's history that moved money, the oldest first."""
    lines = []
    for event in history:
        amounts = {name: getattr(event, name) for name in AMOUNTS}
        moved = {name: amount for name, amount in amounts.items() if amount}
        if moved:
            lines.append(
                MoneyMovement(event.at, moved, _explain_movement(event, moved, quote), event.id)
            )
    return lines


def describe_price(quote: Quote) -> str:
    """The row of prices that a quote came from: ``$0.15 a video, as of 2026-11-21, SOURCE``."""
    unit = f"{format_amount(quote.unit)} a {'video' if quote.per == 'call' else 'second'}"
    mine = ", set by your configuration" if quote.overridden else ""
    return f"{unit}{mine}, as of {quote.as_of.isoformat()}, {quote.source}"


def _explain_movement(event: Event, moved: dict[str, int], quote: Quote) -> str:
    rule = f"{quote.charged}: {RULES[quote.charged]}"
    if event.kind == "planned" and "quote" in event.data:
        return f"the quote: {describe_price(Quote.from_json(event.data['quote']))}"
    if event.kind in {"settled", "resubmit", "withdrawn"}:
        return event.message or event.kind
    if moved.get("charged", 0) > 0:
        return f"{_CHARGED.get(event.state, 'accepted')} ({rule})"
    if event.state is State.FAILED:
        return f"failed before any charge ({rule})"
    return event.message or event.kind


_CHARGED = {
    State.READY: "the video was made",
    State.FAILED: "it failed after it was accepted",
}
