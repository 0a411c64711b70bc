"""MP4 files made of boxes, with an index that is right or wrong in one place."""

from __future__ import annotations

from struct import pack
from typing import Any

FRAME = b"frame"


def make_box(
    kind: bytes, body: bytes = b"", *, large: bool = False, open_end: bool = False
) -> bytes:
    """Return a box with a 32-bit length, a 64-bit length, or none."""
    if large:
        return b"\0\0\0\1" + kind + (16 + len(body)).to_bytes(8, "big") + body
    length = 0 if open_end else 8 + len(body)
    return length.to_bytes(4, "big") + kind + body


def make_index(first: int, **changes: Any) -> bytes:
    """Return a ``moov`` box of one video track of one frame.

    Args:
        first: Where the frame is in the file.
        changes: ``seconds``, ``frames`` (their number), ``kind`` of the track, ``wide`` for chunk
            offsets of 64 bits, ``sizes`` of the frames, ``version`` of the track's header.
    """
    values = {"seconds": 8, "frames": 1, "kind": b"vide", "wide": False, "version": 0} | changes
    frames, sizes = values["frames"], values.get("sizes")
    times = pack(">QQIQ", 0, 0, 1000, values["seconds"] * 1000)
    if not values["version"]:
        times = pack(">IIII", 0, 0, 1000, values["seconds"] * 1000)
    stsz = pack(">III", 0, 0 if sizes else len(FRAME), frames)
    stsz += b"".join(pack(">I", size) for size in sizes or ())
    offset = ("co64", ">IIQ") if values["wide"] else ("stco", ">III")
    table = (
        make_box(b"stsz", stsz)
        + make_box(b"stsc", pack(">IIIII", 0, 1, 1, max(frames, 1), 1))
        + make_box(offset[0].encode(), pack(offset[1], 0, 1, first))
    )
    media = (
        make_box(b"mdhd", bytes([values["version"], 0, 0, 0]) + times + bytes(4))
        + make_box(b"hdlr", bytes(8) + values["kind"] + bytes(12))
        + make_box(b"minf", make_box(b"stbl", table))
    )
    header = make_box(b"tkhd", bytes(76) + pack(">II", 1280 << 16, 720 << 16))
    return make_box(b"moov", make_box(b"trak", header + make_box(b"mdia", media)))


FILE_TYPE = make_box(b"ftyp", b"isom\0\0\2\0")


def make_file(data: bytes = FRAME, *, at: int = 0, **changes: Any) -> bytes:
    """Return a whole file: its type, the frames, and the index.

    Args:
        data: The frames.
        at: Where the index says that the frames are, beside their true place.
        changes: Those of ``make_index``, and the options of ``make_box`` for the frames.
    """
    options = {name: changes.pop(name) for name in ("large",) if name in changes}
    frames = make_box(b"mdat", data, **options)
    first = len(FILE_TYPE) + len(frames) - len(data) + at
    return FILE_TYPE + frames + make_index(first, **changes)
