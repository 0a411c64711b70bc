"""Read JSON values of any structure: each function accepts every value."""

from __future__ import annotations

import re
from math import isnan
from typing import Any

_PERCENT = re.compile(r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*%?\s*")


def get_path(node: Any, *path: str | int) -> Any:
    """Return the value at a path of keys and indexes, or None."""
    for step in path:
        if isinstance(step, str) and isinstance(node, dict):
            node = node.get(step)
        elif isinstance(step, int) and isinstance(node, list) and len(node) > step:
            node = node[step]
        else:
            return None
    return node


def get_text(value: Any) -> str:
    """Return a string without surrounding space; empty for a value that is not a string."""
    return value.strip() if isinstance(value, str) else ""


def parse_progress(value: Any, *, running: bool) -> float | None:
    """Return progress as 0..1 from ``45``, ``45.0``, ``"45%"`` or ``"45"``; None if unreadable.

    A float of at most 1 is a fraction while the task runs; every other number is a percentage.
    """
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        return _clamp(float(match[1]) / 100)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and isnan(value):
        return None
    if isinstance(value, float) and running and 0 < value <= 1:
        return value
    # Compared before it is divided: an int may be too large for a float.
    return _clamp(min(value, 100) / 100 if value > 0 else 0.0)


def _clamp(share: float) -> float:
    return min(max(share, 0.0), 1.0)
