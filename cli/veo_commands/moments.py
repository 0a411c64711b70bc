"""A moment from the command line."""

import time
from datetime import datetime

import typer

_UNITS = {"h": 3600, "d": 86_400, "w": 604_800}


def parse_moment(text: str) -> float:
    """Unix seconds of ``2026-11-01``, ``2026-11-01T14:30``, ``today``, or ``7d`` ago."""
    text = text.strip().lower()
    try:
        if text == "today":
            return datetime.combine(
                datetime.now().astimezone().date(), datetime.min.time()
            ).timestamp()
        if text[-1:] in _UNITS:
            return time.time() - float(text[:-1]) * _UNITS[text[-1]]
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no moment such as 2026-11-01, today, or 7d (ago)"
        ) from None
