"""Small videos of a real encoder."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av


@cache
def make_video(*, frames: int = 6, fast_start: bool = False) -> bytes:
    """Return a video of 32x32 pixels at 24 frames per second, one or two kilobytes."""
    options = {"movflags": "+faststart"} if fast_start else {}
    with TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        with av.open(str(path), "w", options=options) as file:
            stream = file.add_stream("mpeg4", rate=24)
            stream.width = stream.height = 32
            stream.pix_fmt = "yuv420p"
            for _ in range(frames):
                file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
            file.mux(stream.encode(None))
        return path.read_bytes()
