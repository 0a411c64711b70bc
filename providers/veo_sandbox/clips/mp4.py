"""Writing MP4 files: H.264 and AAC from frames and a chord, joining two, padding one."""

import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from uuid import uuid4

import av
from av.filter import Graph

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

FPS = 24
RATE = 48_000
_PACKET = 1024
_X264 = {"preset": "superfast", "crf": "26", "threads": "1", "bf": "0"}
_HD = 1280 * 720


class Quality(NamedTuple):
    """Frames a second, and bits a second of the sound."""

    fps: int = FPS
    bit_rate: int = 128_000


_FULL = Quality()


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
    quality: Quality = _FULL,
) -> None:
    """Write frames and a chord (Hz) as one MP4; frames of another size are scaled.

    The index (`moov`) comes last, as in the files that were captured.
    """
    with whole(path) as draft, av.open(str(draft), "w", format="mp4") as out:
        video = _video(out, size, quality.fps)
        audio = out.add_stream("aac", rate=RATE, layout="stereo")
        audio.bit_rate = quality.bit_rate
        for tone in _tones(chord, _whole_packets(seconds)):
            out.mux(audio.encode(tone))
        out.mux(audio.encode(None))
        for number, frame in enumerate(frames):
            scaled = frame.reformat(*size, format="yuv420p")
            scaled.pts = number
            out.mux(video.encode(scaled))
        out.mux(video.encode(None))


def _video(out: "OutputContainer", size: tuple[int, int], fps: int) -> "VideoStream":
    preset = {} if size[0] * size[1] <= _HD else {"preset": "ultrafast"}
    video = out.add_stream("libx264", rate=fps, options=_X264 | preset)
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    return video


def _whole_packets(seconds: float) -> float:
    """As much of a length as fills packets of AAC: a part of one would outlast the pictures."""
    return int(seconds * RATE / _PACKET) * _PACKET / RATE


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
    """The last picture of an MP4.

    Raises:
        ValueError: it has none.
    """
    last: av.VideoFrame | None = None
    with av.open(str(path)) as source:
        for frame in source.decode(video=0):
            last = frame
    if last is None:
        raise ValueError(f"{path.name} has no picture")
    return last


def join(first: Path, second: Path, path: Path) -> None:
    """Write two MP4s of one make as one, copying what is encoded.

    Raises:
        ValueError: they were not encoded alike, so that the second would not decode.
    """
    with (
        av.open(str(first)) as head,
        av.open(str(second)) as tail,
        whole(path) as draft,
        av.open(str(draft), "w", format="mp4") as out,
    ):
        if _make(head) != _make(tail):
            raise ValueError(f"{first.name} was not made like its continuation")
        copies = {
            "video": out.add_stream_from_template(head.streams.video[0]),
            "audio": out.add_stream_from_template(head.streams.audio[0]),
        }
        for source, shift in ((head, Fraction(0)), (tail, _length(head))):
            for packet in source.demux():
                if _belongs(packet, shift):
                    _shift(packet, shift)
                    packet.stream = copies[packet.stream.type]
                    out.mux(packet)


def _length(source: "InputContainer") -> Fraction:
    """Seconds of its pictures."""
    pictures = source.streams.video[0]
    return Fraction(pictures.duration or 0) * Fraction(pictures.time_base or 1)


def _belongs(packet: "Packet[Any]", shift: Fraction) -> bool:
    """All of the first file; of a later one not the packet that primes its AAC decoder.

    That one lies before the file's start, where the sound of the file before it still lasts, and
    the muxer refuses time that does not advance.
    """
    return packet.pts is not None and (not shift or packet.pts >= 0)


def _shift(packet: "Packet[Any]", seconds: Fraction) -> None:
    ticks = round(seconds / Fraction(packet.time_base or 1))
    packet.pts = (packet.pts or 0) + ticks
    packet.dts = (packet.dts or 0) + ticks


def _make(source: "InputContainer") -> list[tuple[object, ...]]:
    """What must be equal for streams to be joined by copying."""
    return [
        (stream.type, stream.codec_context.name, stream.codec_context.extradata)
        for stream in source.streams
    ]


def padded(clip: bytes, least: int) -> bytes:
    """The clip with a `free` box behind it, so that it has at least `least` bytes."""
    missing = least - len(clip)
    if missing <= 0:
        return clip
    missing = max(missing, 8)
    return clip + struct.pack(">I4s", missing, b"free") + bytes(missing - 8)
