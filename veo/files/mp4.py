"""MP4 files: whether one is complete, holds a video, and how long that is.

A truncated fast-start file still probes as 8.0 s, because its index comes first. So completeness
is checked by following the boxes (ISO 14496-12, 4.2) to the last byte, and the index is read to
see that the video has frames and that their bytes are in the file.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from veo.model import SHORT_SIDES

_HEADER_BYTES = 8  # length (4 bytes) and kind (4 bytes)
_LARGE_HEADER_BYTES = 16  # length 1, kind, and the real length in 8 bytes
# The index of an hour of video has one or two megabytes, and an hour in fragments 7,000 boxes.
_MAX_INDEX_BYTES = 8_000_000
_MAX_BOXES = 50_000
# A line break or the end of a multipart body that a server leaves behind a complete file.
_MAX_STRAY_BYTES = 64
_RATIOS = {1.78: "16:9", 0.56: "9:16"}
_RESOLUTIONS = {side: name for name, side in SHORT_SIDES.items()}
_REQUIRED = (b"ftyp", b"moov", b"mdat")


class Footage(NamedTuple):
    """What is known of an MP4 file."""

    defect: str | None  # in a few words; None if the file is complete
    seconds: float | None = None  # length of the video track, if the file tells it
    size: tuple[int, int] = (0, 0)  # width and height in pixels, if the file tells them
    has_sound: bool = False

    @property
    def shape(self) -> dict[str, str | None]:
        """The aspect ratio and the resolution, None where they are not usual ones."""
        width, height = self.size
        ratio = round(width / height, 2) if height else 0.0
        resolution = _RESOLUTIONS.get(min(self.size))
        return {"aspect_ratio": _RATIOS.get(ratio), "resolution": resolution}


class _Box(NamedTuple):
    kind: bytes
    start: int  # of the content, after the header
    end: int


class _Track(NamedTuple):
    frames: int
    seconds: float | None
    size: tuple[int, int]
    chunks: list[tuple[int, int]]  # first byte and end of each run of frames


class _DefectError(Exception):
    """What is wrong with a file."""


def inspect_video(file: BinaryIO) -> Footage:
    """Return what is wrong with an MP4 file, and how long its video is."""
    try:
        boxes = _list_boxes(file)
        moov = next(box for box in boxes if box.kind == b"moov")
        index = _read_content(file, moov)
        tracks = [_read_track(content) for content in _list_tracks(index, b"vide")]
        has_sound = bool(_list_tracks(index, b"soun"))
    except _DefectError as error:
        return Footage(str(error))
    except (struct.error, LookupError, ValueError):
        return Footage("its index cannot be read")
    kinds = {box.kind for box in boxes}
    data = [box for box in boxes if box.kind == b"mdat" and box.end > box.start]
    lengths = [track.seconds for track in tracks if track.seconds]
    seconds = max(lengths, default=None)
    shape = max((track.size for track in tracks), default=(0, 0))
    if b"moof" in kinds:  # fragments have indexes of their own
        return Footage(None if tracks and data else "it has no video", seconds, shape, has_sound)
    frames = sum(track.frames for track in tracks)
    if not frames:
        return Footage("it has no video" if tracks else "it has no video track", seconds)
    chunks = [chunk for track in tracks for chunk in track.chunks]
    if not all(_is_inside(chunk, data) for chunk in chunks):
        return Footage("frames of its video are missing", seconds)
    return Footage(None, seconds, shape, has_sound)


def find_defect(file: BinaryIO) -> str | None:
    """Return what is wrong with an MP4 file, in a few words, or None if it is complete."""
    return inspect_video(file).defect


def read_duration_s(path: Path) -> float | None:
    """Return the length of the video track in seconds, or None if it cannot be read."""
    return inspect_path(path).seconds


def inspect_path(path: Path) -> Footage:
    """Return what is known of an MP4 file by its path; one that cannot be read has a defect."""
    try:
        with path.open("rb") as file:
            return inspect_video(file)
    except OSError as error:
        return Footage(f"it cannot be read: {error}")


def _list_boxes(file: BinaryIO) -> list[_Box]:
    """Return the boxes of a file; raise a ``_DefectError`` if one is cut or missing."""
    size = file.seek(0, os.SEEK_END)
    boxes: list[_Box] = []
    at = 0
    while at < size:
        kind, header, length = _read_header(file, at, size)
        if not boxes and kind != b"ftyp":
            raise _DefectError("it does not start like an MP4")
        defect = "a second file follows" if boxes and kind == b"ftyp" else None
        if length < header:
            defect = f"it has no valid box at byte {at}"
        elif at + length > size:
            defect = f"it ends within {kind.decode('latin-1')!r}, {at + length - size} bytes short"
        if defect and size - at <= _MAX_STRAY_BYTES and not _list_missing(boxes):
            break
        if defect:
            raise _DefectError(defect)
        if len(boxes) == _MAX_BOXES:
            raise _DefectError("it has too many boxes")
        boxes.append(_Box(kind, at + header, at + length))
        at += length
    if missing := _list_missing(boxes):
        raise _DefectError(f"it has no {' and no '.join(missing)} box")
    return boxes


def _list_missing(boxes: Sequence[_Box]) -> list[str]:
    kinds = {box.kind for box in boxes}
    return [kind.decode() for kind in _REQUIRED if kind not in kinds]


def _read_header(file: BinaryIO, at: int, size: int) -> tuple[bytes, int, int]:
    """Return kind, header length and length of a box. Length 0 means: up to the end of file."""
    file.seek(at)
    head = file.read(_LARGE_HEADER_BYTES)
    length, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if length == 1 and len(head) == _LARGE_HEADER_BYTES:
        return kind, _LARGE_HEADER_BYTES, int.from_bytes(head[8:16], "big")
    return kind, _HEADER_BYTES, size - at if length == 0 and len(kind) == 4 else length


def _read_content(file: BinaryIO, box: _Box) -> memoryview:
    if box.end - box.start > _MAX_INDEX_BYTES:
        raise _DefectError("its index is too large")
    file.seek(box.start)
    return memoryview(file.read(box.end - box.start))


def _split_boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and content of the boxes within a box."""
    at = 0
    while at + _HEADER_BYTES <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        header = _HEADER_BYTES
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + _HEADER_BYTES)
            header = _LARGE_HEADER_BYTES
        elif length == 0:
            length = len(data) - at
        if length < header or at + length > len(data):
            raise ValueError(kind)
        yield kind, data[at + header : at + length]
        at += length


def _find_box(data: memoryview, *path: bytes) -> memoryview:
    """Return the content of the first box at a path; raise a ``KeyError`` if there is none."""
    for part in path:
        found = next((content for kind, content in _split_boxes(data) if kind == part), None)
        if found is None:
            raise KeyError(part)
        data = found
    return data


def _list_tracks(moov: memoryview, kind: bytes) -> list[memoryview]:
    """Return the tracks with a kind of handler: ``vide`` or ``soun``."""
    tracks = [content for name, content in _split_boxes(moov) if name == b"trak"]
    return [each for each in tracks if bytes(_find_box(each, b"mdia", b"hdlr")[8:12]) == kind]


def _read_track(track: memoryview) -> _Track:
    media = _find_box(track, b"mdia")
    table = _find_box(media, b"minf", b"stbl")
    seconds = _read_seconds(_find_box(media, b"mdhd"))
    header = _find_box(track, b"tkhd")
    # The last two numbers are width and height, whole pixels in their upper 16 bits.
    width, height = struct.unpack_from(">II", header, len(header) - 8)
    shape = (width >> 16, height >> 16)
    size, count = struct.unpack_from(">II", _find_box(table, b"stsz"), 4)
    if not count:
        return _Track(0, seconds, shape, [])
    sizes = _read_numbers(_find_box(table, b"stsz"), 12, count) if not size else None
    return _Track(count, seconds, shape, _locate_chunks(table, size, sizes, count))


def _read_seconds(header: memoryview) -> float | None:
    # Version 1 has times of 8 bytes, version 0 of 4.
    layout, at = (">IQ", 20) if header[0] == 1 else (">II", 12)
    scale, duration = struct.unpack_from(layout, header, at)
    is_unknown = duration == (1 << (64 if header[0] == 1 else 32)) - 1
    return duration / scale if scale and duration and not is_unknown else None


def _locate_chunks(
    table: memoryview, size: int, sizes: Sequence[int] | None, count: int
) -> list[tuple[int, int]]:
    """Return where the frames are: in chunks, whose number of frames a run-length table tells."""
    starts = _read_chunk_starts(table)
    runs = _find_box(table, b"stsc")
    (run_count,) = struct.unpack_from(">I", runs, 4)
    entries = list(struct.iter_unpack(">III", runs[8 : 8 + 12 * run_count]))
    firsts = [0, *(entry[0] - 1 for entry in entries[1:]), len(starts)]
    if any(first > second for first, second in pairwise(firsts)):
        raise ValueError("chunks are not in order")
    chunks: list[tuple[int, int]] = []
    frame = 0
    for (_, per_chunk, _), (first, end) in zip(entries, pairwise(firsts), strict=True):
        for start in starts[first:end]:
            until = min(frame + per_chunk, count)
            length = sum(sizes[frame:until]) if sizes is not None else (until - frame) * size
            chunks.append((start, start + length))
            frame = until
    if frame < count:
        raise ValueError("frames without a chunk")
    return chunks


def _read_chunk_starts(table: memoryview) -> Sequence[int]:
    for kind, content in _split_boxes(table):
        if kind in {b"stco", b"co64"}:
            (count,) = struct.unpack_from(">I", content, 4)
            return _read_numbers(content, 8, count, wide=kind == b"co64")
    raise KeyError(b"stco")


def _read_numbers(data: memoryview, at: int, count: int, *, wide: bool = False) -> Sequence[int]:
    width = 8 if wide else 4
    if at + count * width > len(data):
        raise ValueError("a table is too short")
    numbers = array("Q" if wide else "I", bytes(data[at : at + count * width]))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _is_inside(chunk: tuple[int, int], boxes: Sequence[_Box]) -> bool:
    """Whether a chunk is inside one of the boxes, which are in the order of the file."""
    index = bisect_right(boxes, chunk[0], key=attrgetter("start")) - 1
    return index >= 0 and chunk[1] <= boxes[index].end
