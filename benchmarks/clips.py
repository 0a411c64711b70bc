"""What the sandbox's clips cost: CPU time beside a bare encode of as many flat frames."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import TYPE_CHECKING

import av
from PIL import Image
from table import Table, Target

from veo_sandbox.clips import ClipSpec, extend, render

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 8
FPS = 24
MAX_CPU_S = 0.8


def encode_flat_frames(path: Path) -> None:
    """Encode 8 s of one flat 720p frame with PyAV's defaults and one thread, without sound."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        frame = av.VideoFrame.from_image(Image.new("RGB", (1280, 720), "#3f6f8c"))
        for number in range(SECONDS * FPS):
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def cpu_seconds(run: Callable[[], None], repeat: int) -> float:
    """Return the median CPU time of several calls, in seconds."""
    times = []
    for _ in range(repeat):
        start = process_time()
        run()
        times.append(process_time() - start)
    return median(times)


def measure(repeat: int) -> Table:
    """Measure each kind of clip in this process."""
    table = Table("Clips of 8 s", ("clip", "CPU s", "of a bare encode"))
    with TemporaryDirectory() as name:
        folder = Path(name)
        image = folder / "image.png"
        Image.linear_gradient("L").convert("RGB").resize((1280, 720)).save(image)
        base, start = folder / "base.mp4", str(image)
        clips: dict[str, Callable[[], None]] = {
            "bare encode, 720p": lambda: encode_flat_frames(folder / "bare.mp4"),
            "720p": lambda: render(ClipSpec("a lion", 1280, 720), base),
            "720p, 9:16": lambda: render(ClipSpec("a lion", 720, 1280), folder / "a.mp4"),
            "720p, start image": lambda: render(
                ClipSpec("a lion", 1280, 720, start=start), folder / "b.mp4"
            ),
            "720p, two images": lambda: render(
                ClipSpec("a lion", 1280, 720, start=start, end=start), folder / "c.mp4"
            ),
            "720p, 7 s more": lambda: extend(base, "it drinks", folder / "d.mp4"),
            "1080p": lambda: render(ClipSpec("a lion", 1920, 1080), folder / "e.mp4"),
            "tiny, after the first": lambda: render(
                ClipSpec("a lion", 1280, 720, tiny=True), folder / "f.mp4"
            ),
        }
        times = {kind: cpu_seconds(run, repeat) for kind, run in clips.items()}
    bare = times["bare encode, 720p"]
    table.rows += [(kind, seconds, seconds / bare) for kind, seconds in times.items()]
    table.targets.append(Target("CPU s of a 720p clip", times["720p"], MAX_CPU_S))
    return table
