"""How a job's reservation becomes a charge or is given back; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veo.errors import VeoError
    from veo.ledger import Record


def on_accepted(record: Record) -> dict[str, Any]:
    """The provider has accepted the request: some charge at this very moment."""
    return _taken(record) if record.parse_quote().charged == "on_accept" else {}


def on_ready(record: Record) -> dict[str, Any]:
    """The video is made: the quote is charged, if it was not already."""
    return _taken(record)


def on_refused(record: Record, error: VeoError) -> dict[str, Any]:
    """The request was not accepted, or its outcome is not known.

    What may have been taken stays reserved, so that a cap goes on counting it.
    """
    if error.charged is None:
        return {"certain": False}
    return {**_taken(record), "certain": False} if error.charged else _released()


def on_failed(record: Record) -> dict[str, Any]:
    """An accepted request failed: released where only success is charged.

    Where acceptance is charged the money is taken to be gone. Documents contradict each other
    on that, so it is not certain.
    """
    if record.parse_quote().charged == "on_success":
        return _released()
    return {**_taken(record), "certain": False}


def _taken(record: Record) -> dict[str, Any]:
    return {"reserved": 0, "charged": record.charged + record.reserved, "certain": True}


def _released() -> dict[str, Any]:
    return {"reserved": 0, "certain": True}
