"""Still images of a video: a thumbnail, and a sheet of small frames."""

import io
from itertools import islice
from pathlib import Path

import av
from PIL import Image

from veo_sandbox.clips.mp4 import Footage, sample_frames

_COLUMNS, _ROWS = 4, 2
_TILE_WIDTH = 160
"""Pixels."""


def draw_thumbnail(path: Path) -> bytes:
    """Return the first frame of a video as WebP."""
    frame = next(sample_frames(path, 1.0))
    return _encode(_to_image(frame), "WEBP")


def draw_spritesheet(path: Path) -> bytes:
    """Return frames from the whole length of a video, side by side, as JPEG."""
    footage = Footage.read(path)
    count = _COLUMNS * _ROWS
    size = _TILE_WIDTH, round(_TILE_WIDTH * footage.height / footage.width)
    sheet = Image.new("RGB", (size[0] * _COLUMNS, size[1] * _ROWS))
    frames = islice(sample_frames(path, footage.seconds / count), count)
    for number, frame in enumerate(frames):
        row, column = divmod(number, _COLUMNS)
        sheet.paste(_to_image(frame).resize(size), (column * size[0], row * size[1]))
    return _encode(sheet, "JPEG")


def _to_image(frame: av.VideoFrame) -> Image.Image:
    return frame.to_image()  # type: ignore[no-any-return,no-untyped-call]


def _encode(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()
