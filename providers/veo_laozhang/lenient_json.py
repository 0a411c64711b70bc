"""Find video addresses and progress in JSON of any structure: every value is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isnan
from typing import Any

from veo.wire.values import get_list, get_path, get_text

_PERCENT = re.compile(r"(-?\d{1,9}(?:\.\d{1,9})?)\s{0,9}%?")
# Where chats were seen to hold the address of a video, outside their text.
_VIDEO_KEYS = ("video_url", "videoUrl", "video", "videos", "output_video")
_ADDRESS_KEYS = ("url", "video_url", "videoUrl", "uri", "src")
_MAX_DEPTH = 3
_MAX_ITEMS = 8


def find_video_urls(node: Any) -> Iterator[str]:
    """Yield the addresses in the fields of a message, of a part of it, or of an event.

    Examples: ``{"video_url": {"url": U}}``, ``{"videos": [{"url": U}]}``, and
    ``{"content": [{"type": "video_url", "video_url": {"url": U}}]}``.
    """
    if not isinstance(node, dict):
        return
    for key in _VIDEO_KEYS:
        if key in node:  # rarely: looking into what is not there took half of a stream's time
            yield from _find_addresses(node[key], _MAX_DEPTH)
    for part in get_list(node, "content")[:_MAX_ITEMS]:
        yield from find_video_urls({key: get_path(part, key) for key in _VIDEO_KEYS})
        if get_text(get_path(part, "type")).startswith("video"):
            yield from _find_addresses(get_path(part, "url"), _MAX_DEPTH)


def _find_addresses(value: Any, depth: int) -> Iterator[str]:
    if get_text(value).startswith(("http://", "https://")):
        yield get_text(value)
    elif depth and isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from _find_addresses(item, depth - 1)
    elif depth and isinstance(value, dict):
        for key in _ADDRESS_KEYS:
            yield from _find_addresses(value.get(key), depth - 1)


def parse_progress(value: Any, *, running: bool) -> float | None:
    """Return progress as 0..1 from ``45``, ``45.0``, ``"45%"`` or ``"45"``; None if unreadable.

    A float of at most 1 is a fraction while the task runs; every other number is a percentage.
    """
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value.strip())):
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
