"""Writing MP4 files: H.264 and AAC from frames and a chord, joining two, padding one."""

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import av
from av.filter import Graph

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

FPS = 24
RATE = 48_000
_X264 = {"preset": "superfast", "crf": "26", "threads": "1"}


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary neighbour that takes the name `path` only when everything in it is written."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield draft
        os.replace(draft, path)  # noqa: PTH105 - says what it does to an existing file
    finally:
        draft.unlink(missing_ok=True)


def encode(
    path: Path,
    frames: Iterable[av.VideoFrame],
    size: tuple[int, int],
    seconds: float,
    chord: tuple[float, ...],
    *,
    fps: int = FPS,
    bit_rate: int = 128_000,
) -> None:
    """Write frames and a chord (Hz) as one MP4; frames of another size are scaled.

    The index (`moov`) comes last, as in the files that were captured.
    """
    with whole(path) as draft, av.open(str(draft), "w", format="mp4") as out:
        video = _video(out, size, fps)
        audio = cast("AudioStream", out.add_stream("aac", rate=RATE, layout="stereo"))
        audio.bit_rate = bit_rate
        for tone in _tones(chord, seconds):
            out.mux(audio.encode(tone))
        out.mux(audio.encode(None))
        for number, frame in enumerate(frames):
            scaled = frame.reformat(*size, format="yuv420p")
            scaled.pts = number
            out.mux(video.encode(scaled))
        out.mux(video.encode(None))


def _video(out: "OutputContainer", size: tuple[int, int], fps: int) -> "VideoStream":
    video = cast("VideoStream", out.add_stream("libx264", rate=fps, options=_X264))
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    return video


def _tones(chord: tuple[float, ...], seconds: float) -> Iterator["AudioFrame"]:
    """A soft chord that swells and fades, made sample by sample inside libavfilter."""
    swell = f"0.3*min(1,t/0.6)*min(1,({seconds}-t)/0.6)/{len(chord)}"
    left = "+".join(f"sin(2*PI*{hz}*t)" for hz in chord)
    right = "+".join(f"sin(2*PI*{hz + 0.4:.2f}*t)" for hz in chord)
    graph = Graph()
    source = graph.add(
        "aevalsrc", f"{swell}*({left})|{swell}*({right}):s={RATE}:d={seconds}:c=stereo"
    )
    shape = graph.add("aformat", "sample_fmts=fltp:channel_layouts=stereo")
    sink = graph.add("abuffersink")
    source.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    while True:
        try:
            yield cast("AudioFrame", graph.pull())
        except (av.error.EOFError, av.error.BlockingIOError):
            return


def last_frame(path: Path) -> av.VideoFrame:
    """The last picture of an MP4."""
    with av.open(str(path)) as source:
        last = None
        for last in source.decode(video=0):
            pass
    if last is None:
        raise ValueError(f"{path.name} has no picture")
    return last


def join(first: Path, second: Path, path: Path) -> None:
    """Write two MP4s of one make as one, copying what is encoded.

    Raises:
        ValueError: they were not encoded alike, so copying would break the second.
    """
    with (
        av.open(str(first)) as head,
        av.open(str(second)) as tail,
        whole(path) as draft,
        av.open(str(draft), "w", format="mp4") as out,
    ):
        _check_alike(head, tail, first.name)
        for kind in ("video", "audio"):
            _append(out, kind, head, tail)


def padded(clip: bytes, least: int) -> bytes:
    """The clip with a `free` box behind it, so that it has at least `least` bytes."""
    missing = least - len(clip)
    if missing <= 0:
        return clip
    missing = max(missing, 8)
    return clip + struct.pack(">I4s", missing, b"free") + bytes(missing - 8)


def _append(
    out: "OutputContainer", kind: str, head: "InputContainer", tail: "InputContainer"
) -> None:
    pass
