"""What people write for a name or a value: ``16x9``, ``portrait``, ``1080``, ``8s``, typos."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import Any

_RATIOS = {
    "landscape": "16:9",
    "horizontal": "16:9",
    "widescreen": "16:9",
    "portrait": "9:16",
    "vertical": "9:16",
    "square": "1:1",
}
# By the shorter side in pixels, and by the names that cameras and televisions use.
_RESOLUTIONS = {"2160p": "4k", "uhd": "4k", "fhd": "1080p", "fullhd": "1080p", "hd": "720p"}
_MAX_NAME_CHARS = 80
_SEPARATORS = re.compile("[-_ .]")
_RATIO = re.compile(r"(\d{1,5})\s*[-x/:]\s*(\d{1,5})")
_MIN_PIXELS = 100
_RESOLUTION = re.compile(r"\d+[pk]")
_SECONDS = re.compile(r"(\d+)(?:\.0+)?\s*(?:s|secs?|seconds?)?")


def normalize_ratio(value: Any) -> Any:
    """Return ``16:9`` for ``16x9``, ``1920x1080`` or ``landscape``; any other value as it is."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    if not (match := _RATIO.fullmatch(text)):
        return _RATIOS.get(text, value)
    width, height = int(match[1]), int(match[2])
    # Only of pixels: 21:9 is the name of a ratio, which nobody writes as 7:3.
    divisor = gcd(width, height) if min(width, height) >= _MIN_PIXELS else 1
    return f"{width // divisor}:{height // divisor}"


def normalize_resolution(value: Any) -> Any:
    """Return ``1080p`` for ``1080``, ``4k`` for ``4K`` or ``2160p``; any other value as it is."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return value
    text = re.sub(r"[\s_-]", "", str(value)).lower()
    name = f"{text}p" if text.isdecimal() else text
    return _RESOLUTIONS.get(name, name if _RESOLUTION.fullmatch(name) else value)


def normalize_seconds(value: Any) -> Any:
    """Return 8 for ``8s``, ``8 seconds`` or ``8.0``; any other value as it is."""
    match = _SECONDS.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    return int(match[1]) if match else normalize_whole(value)


def normalize_whole(value: Any) -> Any:
    """Return 8 for ``8.0``, which is how some programs write whole numbers into JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


NORMALIZERS: Mapping[str, Callable[[Any], Any]] = {
    "aspect_ratio": normalize_ratio,
    "resolution": normalize_resolution,
    "duration": normalize_seconds,
    "seed": normalize_whole,
}


def find_similar(name: str, names: Sequence[str]) -> str | None:
    """Return the name with the same words in another order, else the most similar one."""
    import difflib  # noqa: PLC0415 - only errors need it

    if len(name) > _MAX_NAME_CHARS:  # no name is that long, and the comparison would take hours
        return None

    # Names of models have many parts, and users often swap two of them.
    words = sorted(_SEPARATORS.split(name.lower()))
    for candidate in names:
        if sorted(_SEPARATORS.split(candidate.lower())) == words:
            return candidate
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)
