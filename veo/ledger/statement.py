"""The statement of a job: every movement of its money, with the reason and the rule. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from veo.ledger.record import State
from veo.ledger.rows import AMOUNTS
from veo.money import Quote, format_amount, to_usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from veo.ledger import Event

RULES = {
    "on_success": "charged when the video is made",
    "on_accept": "charged as soon as the request is accepted, with or without a video",
}
_CHARGE_REASONS = {
    State.READY: "the video was made",
    State.FAILED: "it failed after it was accepted",
}
# A key in the data of an event: the charge by the provider's own report, USD as exact text.
USAGE_CHARGE = "usage_charge"
# Events of these kinds say themselves why money moved.
_EXPLAINED_KINDS = {"settled", "resubmit", "withdrawn"}


@dataclass(frozen=True, slots=True)
class MoneyMovement:
    at: float  # Unix seconds
    # of ``reserved``, ``charged``, ``doubtful``, millionths of a USD, unless 0
    changes: dict[str, int]
    reason: str  # for a person
    event_id: int

    def to_json(self) -> dict[str, Any]:
        """Return the movement as ``--json`` prints it; amounts in USD."""
        changes = {name: float(to_usd(amount)) for name, amount in self.changes.items()}
        return {"at": self.at, **changes, "why": self.reason, "event": self.event_id}


def list_movements(history: Iterable[Event], quote: Quote) -> list[MoneyMovement]:
    """Return a movement for every event that moved money, the oldest first."""
    movements = []
    for event in history:
        changes = {name: amount for name in AMOUNTS if (amount := getattr(event, name))}
        if changes:
            reason = _explain_movement(event, quote)
            movements.append(MoneyMovement(event.at, changes, reason, event.id))
    return movements


def describe_price(quote: Quote) -> str:
    """Describe a quote's price: ``$0.15 a video, as of 2026-11-21, SOURCE``."""
    prefix = "about " if quote.by_usage else ""
    unit = f"{prefix}{format_amount(quote.unit)} a {'video' if quote.per == 'call' else 'second'}"
    origin = ", set by your configuration" if quote.overridden else ""
    return f"{unit}{origin}, as of {quote.as_of.isoformat()}, {quote.source}"


def _explain_movement(event: Event, quote: Quote) -> str:
    rule = f"{quote.charged}: {RULES[quote.charged]}"
    if usage := event.data.get(USAGE_CHARGE):
        cause = _CHARGE_REASONS.get(event.state, "accepted")
        amounts = f"{format_amount(Decimal(usage))}, quoted {format_amount(quote.amount)}"
        return f"{cause}; the provider reports usage of {amounts}"
    if event.kind == "planned" and "quote" in event.data:
        return f"the quote: {describe_price(Quote.from_json(event.data['quote']))}"
    if event.kind not in _EXPLAINED_KINDS:
        if event.charged > 0:
            return f"{_CHARGE_REASONS.get(event.state, 'accepted')} ({rule})"
        if event.state is State.FAILED:
            return f"failed before any charge ({rule})"
    return event.message or event.kind
