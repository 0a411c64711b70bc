"""A contact sheet: one image that shows a frame of each of several videos."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from veo.files.atomic import open_atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image as Pil

_CELL_PX = 480  # the longer side of an image
_LABEL_PX = 28
_BACKGROUND, _TEXT = "#20242c", "#f2f2f2"


def write_sheet(videos: Sequence[Path]) -> Path | None:
    """Write the middle frame of each video with its name; return the file, None without frames.

    The file is beside the videos: ``lion-2.mp4``, the last of them, gives ``lion-takes.jpg``.
    """
    from PIL import Image as Pil  # noqa: PLC0415 - few commands need it
    from PIL import ImageDraw  # noqa: PLC0415

    cell = (_CELL_PX, _CELL_PX)
    images = [(path.name, image) for path in videos if (image := read_still(path, cell, 0.5))]
    if not images:
        return None
    columns = math.ceil(math.sqrt(len(images)))
    width = max(image.width for _, image in images)
    height = max(image.height for _, image in images) + _LABEL_PX
    size = columns * width, math.ceil(len(images) / columns) * height
    sheet = Pil.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, (name, image) in enumerate(images):
        left, top = number % columns * width, number // columns * height
        sheet.paste(image, (left, top + _LABEL_PX))
        draw.text((left + 8, top + 6), name.encode("ascii", "replace").decode(), _TEXT)
    target = videos[-1].with_name(f"{videos[-1].stem.rpartition('-')[0] or 'video'}-takes.jpg")
    with suppress(OSError):
        with open_atomic(target) as file:
            sheet.save(file, "JPEG", quality=85)
        return target
    return None


def read_still(path: Path, size: tuple[int, int], share: float = 0.0) -> Pil.Image | None:
    """Return a frame of a video, within a size in pixels; None if there is none.

    ``share`` is the part of the video before the frame: 0 for the first one, 0.5 for the middle.
    """
    import av  # noqa: PLC0415 - takes 0.25 s, and other commands do not need it

    failures = (OSError, IndexError, StopIteration, av.FFmpegError)
    with suppress(*failures), path.open("rb") as file, av.open(file, "r") as video:
        if video.duration and share:
            video.seek(int(video.duration * share))
        image: Pil.Image = next(video.decode(video=0)).to_image()  # type: ignore[no-untyped-call]
        image.thumbnail(size)
        return image
    return None
