"""MP4 files: whether one is complete, and how long it is.

A truncated fast-start file still probes as 8.0 s, because its index comes first. So completeness
is checked by following the boxes (ISO 14496-12, 4.2) to the last byte.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_RATIOS = {1.78: "16:9", 0.56: "9:16"}
_RESOLUTIONS = {360: "360p", 720: "720p", 1080: "1080p", 2160: "4k"}  # by the shorter side
_HEADER_BYTES = 8  # length (4 bytes) and kind (4 bytes)
_LARGE_HEADER_BYTES = 16  # length 1, kind, and the real length in 8 bytes


def find_defect(file: BinaryIO) -> str | None:
    """Return what is wrong with an MP4 file, in a few words, or None if it is complete."""
    size = file.seek(0, os.SEEK_END)
    kinds: list[bytes] = []
    at = 0
    while at < size:
        kind, length = _read_box(file, at, size)
        if not kinds and kind != b"ftyp":
            return "it does not start like an MP4"
        if at + length > size:
            return f"it ends within {kind.decode('latin-1')!r}, {at + length - size} bytes short"
        if length < _HEADER_BYTES:
            return f"it has no valid box at byte {at}"
        kinds.append(kind)
        at += length
    missing = [kind.decode() for kind in (b"ftyp", b"moov", b"mdat") if kind not in kinds]
    return f"it has no {' and no '.join(missing)} box" if missing else None


def read_duration_s(path: Path) -> float | None:
    """Return the length of the video track in seconds, or None if it cannot be read."""
    import av  # noqa: PLC0415 - takes 60 ms, and most commands do not need it

    try:
        with av.open(str(path)) as file:
            track = next(iter(file.streams.video), None)
            if track is None or track.duration is None or track.time_base is None:
                return None
            return float(track.duration * track.time_base)
    except (av.FFmpegError, OSError):
        return None


def read_shape(path: Path) -> tuple[str | None, str | None]:
    """Return the aspect ratio and the resolution of a file, None where they are not usual ones."""
    import av  # noqa: PLC0415 - as above

    try:
        with av.open(str(path)) as file:
            track = next(iter(file.streams.video), None)
            width, height = (track.width, track.height) if track else (0, 0)
    except (av.FFmpegError, OSError):
        return None, None
    ratio = round(width / height, 2) if height else 0.0
    return _RATIOS.get(ratio), _RESOLUTIONS.get(min(width, height))


def _read_box(file: BinaryIO, at: int, size: int) -> tuple[bytes, int]:
    """Return kind and length of the box at an offset. Length 0 means: up to the end of file."""
    file.seek(at)
    head = file.read(_LARGE_HEADER_BYTES)
    length, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if length == 1 and len(head) == _LARGE_HEADER_BYTES:
        return kind, int.from_bytes(head[8:16], "big")
    return kind, size - at if length == 0 and len(kind) == 4 else length
