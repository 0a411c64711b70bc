"""How the reservation of a job becomes a charge or is released; pure.

Each function returns the changes of the job's money columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo.money import to_micros

if TYPE_CHECKING:
    from decimal import Decimal

    from veo.errors import VeoError
    from veo.ledger import Record


def on_accepted(record: Record) -> dict[str, Any]:
    """Charge the quote when the request is accepted, if the provider charges then."""
    return _charge(record) if record.parse_quote().charged == "on_accept" else {}


def on_ready(record: Record, usage: Decimal | None = None) -> dict[str, Any]:
    """Charge the quote when the video is ready, if it is not charged yet.

    ``usage`` is what the task cost by the provider's own report, USD; it replaces the quote. If
    the model charges by usage and there is no report, the quote is an estimate: not certain.
    """
    if usage is not None:
        return _charge_usage(record, usage)
    is_reported = record.certain and not record.reserved  # by an earlier poll
    return {**_charge(record), "certain": is_reported or not record.parse_quote().by_usage}


def on_submit_error(record: Record, error: VeoError) -> dict[str, Any]:
    """Release the reservation if the request was certainly not accepted.

    If the outcome is unknown, the reservation stays, so that caps continue to count it. If the
    error says that money was charged, the quote counts as charged, but not as certain.
    """
    if error.charged is None:
        return {"certain": False}
    return {**_charge(record), "certain": False} if error.charged else release_reservation()


def on_failed(record: Record, error: VeoError, usage: Decimal | None = None) -> dict[str, Any]:
    """Release the reservation when an accepted request failed, if only success is charged.

    If the error does not know whether it was charged, the reservation stays, as an amount in doubt.
    If acceptance is charged, the quote counts as charged. It is not certain, because the
    documents contradict each other. A report of the provider, ``usage`` in USD, decides instead.
    """
    if usage is not None:
        return _charge_usage(record, usage)
    if record.parse_quote().charged == "on_success":
        return {"certain": False} if error.charged is None else release_reservation()
    return {**_charge(record), "certain": False}


def _charge(record: Record) -> dict[str, Any]:
    return {"reserved": 0, "charged": record.charged + record.reserved, "certain": True}


def _charge_usage(record: Record, usage: Decimal) -> dict[str, Any]:
    # Without a reservation the same task is charged already, with its quote or an earlier report.
    earlier = record.charged if record.reserved else 0
    return {"reserved": 0, "charged": earlier + to_micros(usage), "certain": True}


def release_reservation() -> dict[str, Any]:
    return {"reserved": 0, "certain": True}
