"""Reading JSON that keeps no promises: every reader has an answer for every value, or None."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from math import isnan
from typing import Any

_PERCENT = re.compile(r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*%?\s*")
_MILLISECONDS = 1e11
_LATEST = 253402300799.0  # the end of the year 9999


def parse_json(data: bytes | str) -> Any:
    """The JSON value of a text, or None where it holds none; every string in it can be encoded."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        value = json.loads(raw)
        if b"\\u" not in raw:
            return value
        # An escape may be half of a surrogate pair, which no file and no database takes.
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def get_path(node: Any, *path: str | int) -> Any:
    """What lies at a path of keys and positions, or None."""
    for step in path:
        if isinstance(step, str) and isinstance(node, dict):
            node = node.get(step)
        elif isinstance(step, int) and isinstance(node, list) and len(node) > step:
            node = node[step]
        else:
            return None
    return node


def get_text(value: Any) -> str:
    """A string without the space around it; empty for whatever is no string."""
    return value.strip() if isinstance(value, str) else ""


def parse_progress(value: Any, *, running: bool) -> float | None:
    """Progress as 0..1 from ``45``, ``45.0``, ``"45%"`` or ``"45"``; clamped, None if unreadable.

    A float of at most 1 counts as a fraction while the task runs, everything else as percent.
    """
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return _clamped(float(match[1]) / 100)
    if isinstance(value, bool) or not isinstance(value, int | float) or _is_nan(value):
        return None
    if isinstance(value, float) and running and 0 < value <= 1:
        return value
    return _clamped(min(value, 100) / 100 if value > 0 else 0.0)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and isnan(value)


def _clamped(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def parse_timestamp(value: Any) -> float | None:
    """Unix seconds from seconds, milliseconds, either as text, or an ISO 8601 text."""
    if isinstance(value, str):
        value = _number(value) if re.fullmatch(r"\s*\d{1,16}(\.\d*)?\s*", value) else _iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value <= _LATEST * 1000:
        return None
    return float(value / 1000 if value > _MILLISECONDS else value)


def _number(value: str) -> float:
    return float(value)


def _iso(value: str) -> float | None:
    try:
        when = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
