"""Read values that services write in several ways: JSON, times, and waiting times.

What a service sends may have any structure: no function here fails on an unexpected value.
"""

import json
import re
import time
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any

# A longer wait would leave a job unattended because of one odd header.
MAX_RETRY_AFTER_S = 3600.0
# Seconds reach this in the year 5138; milliseconds passed it in 1973.
_MIN_MILLISECONDS = 1e11
_MAX_SECONDS = 253402300799.0  # the end of the year 9999, the last that datetime can hold


def parse_json_or_none(data: bytes | str) -> Any:
    """Return the JSON value of a text, None if it is not JSON; all its strings can be encoded."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        value = json.loads(raw)
        if b"\\u" not in raw:
            return value
        # An escape may be half of a surrogate pair, which no file and no database accepts.
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


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


def get_list(node: Any, key: str) -> list[Any]:
    """Return the list below a key; empty if there is none."""
    value = get_path(node, key)
    return value if isinstance(value, list) else []


def parse_retry_after(text: str) -> float | None:
    """Return the seconds of a ``Retry-After`` header, from 0 to 3600; None if unreadable.

    The header holds a number of seconds or an HTTP date (RFC 9110, section 10.2.3); fractions
    are accepted too, because some servers send them.
    """
    text = text.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def parse_timestamp(value: Any, zone: tzinfo | None = UTC) -> float | None:
    """Return Unix seconds of seconds, milliseconds, either as text, or ISO 8601 text; else None.

    A text without a zone is in ``zone``, None for the zone of this machine. Times outside the
    years 1970 to 9999 are None too.
    """
    if isinstance(value, str):
        value = _parse_time_text(value.strip(), zone)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value <= _MAX_SECONDS * 1000:
        return None
    return float(value / 1000 if value > _MIN_MILLISECONDS else value)


def _parse_time_text(text: str, zone: tzinfo | None) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        return None
