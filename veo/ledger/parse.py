"""Turn rows of the table ``jobs`` into records, whichever library has read them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from veo.ledger.record import Record, State
from veo.request import REQUEST_FIELDS

# What a row must hold; SQLite itself stores any value in any column.
_TEXTS = ("id", "run", "provider", "model", "state", "request", "fingerprint", "output", "quote")
_NUMBERS = ("not_before", "created_at")
_COUNTS = ("version", "reserved", "charged", "doubtful", "submits", "polls")
_KINDS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_COUNTS, int),
    **dict.fromkeys(_NUMBERS, float | int),
}
_log = logging.getLogger(__name__)


def read_row(row: dict[str, Any]) -> Record | None:
    """Return the record of a row; None, and a warning in the log, if the row is damaged."""
    try:
        problem = _find_problem(row)
        record = None if problem else to_record(row)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        problem, record = f"{type(error).__name__}: {error}", None
    if problem:
        text = "the row of job %.20s in the ledger is damaged and left out: %.200s"
        _log.warning(text, row["id"], problem)
    return record


def _find_problem(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a column; None if nothing is. May raise what parsers raise."""
    for name, kinds in _KINDS.items():
        if not isinstance(row[name], kinds):
            return f"{name} is {type(row[name]).__name__}"
    request = json.loads(row["request"])
    if not isinstance(request, dict):
        return "the request is not an object"
    if unknown := sorted(request.keys() - REQUEST_FIELDS.keys()):  # written by a newer version
        return f"the request has the unknown field {unknown[0]}"
    Decimal(json.loads(row["quote"])["amount"])
    for name in ("video", "error", "upload"):
        if row[name] is not None and not isinstance(json.loads(row[name]), dict):
            return f"{name} is not an object"
    return None


def to_record(row: dict[str, Any]) -> Record:
    # SQLite has no booleans: its driver returns 0 or 1, where SQLAlchemy has converted them.
    booleans = {name: bool(row[name]) for name in ("force", "certain")}
    return Record(**{**row, **booleans, "state": State(row["state"])})
