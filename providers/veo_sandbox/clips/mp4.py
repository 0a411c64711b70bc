"""Write MP4 files: encode images and sound, join two files, pad one; read frames of any."""

import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

import av
from av.container import InputContainer

from veo_sandbox.clips.repeats import X264_OPTIONS, repeat_packet, set_frame_number
from veo_sandbox.clips.sound import (
    AAC_OPTIONS,
    SAMPLE_RATE,
    SAMPLES_PER_PACKET,
    round_to_packets,
)

FPS = 24

_BOX_HEADER_BYTES = 8


class Encoding(NamedTuple):
    """How a clip is encoded.

    Attributes:
        hold: Frames for which each image is shown; only the first of them is encoded. Eight
            images per second look smooth in slow scenery.
        audio_bit_rate: Bits per second.
        hold_sound: The last packet of the sound is repeated until the video ends.
    """

    fps: int = FPS
    hold: int = 3
    audio_bit_rate: int = 32_000
    hold_sound: bool = False


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder, and rename it to `path` when the block succeeds."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield draft
        os.replace(draft, path)  # noqa: PTH105 - the name says that an existing file is replaced
    finally:
        draft.unlink(missing_ok=True)


def encode(
    path: Path,
    images: Iterable[av.VideoFrame],
    size: tuple[int, int],
    seconds: float,
    sound: Iterable[av.AudioFrame],
    encoding: Encoding,
) -> None:
    """Write images and sound as one MP4; images of another size are scaled.

    `images` are those that are shown, one for every `encoding.hold` frames. The index (`moov`)
    comes last, as in the files that were captured from the services.
    """
    with atomic_write(path) as draft, av.open(str(draft), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=encoding.fps, options=X264_OPTIONS)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("aac", rate=SAMPLE_RATE, layout="stereo", options=AAC_OPTIONS)
        audio.bit_rate = encoding.audio_bit_rate
        # The sound first: the muxer interleaves, and packets of sound are small.
        for packet in _encode_sound(audio, sound, seconds if encoding.hold_sound else None):
            out.mux(packet)
        frames = round(seconds * encoding.fps)
        held = _repeat_images(_encode_images(video, images, size), size, encoding.hold)
        for number, data in enumerate(islice(held, frames)):
            packet = _packet(video, data, number, Fraction(1, encoding.fps))
            # The only IDR frame is the first.
            packet.is_keyframe = number == 0
            out.mux(packet)


def _encode_sound(
    audio: av.AudioStream, sound: Iterable[av.AudioFrame], hold_s: float | None
) -> Iterator["av.Packet[Any]"]:
    """Yield the packets of the sound; with `hold_s`, the last one again and again until then."""
    last, end = b"", 0
    for packet in (packet for samples in sound for packet in audio.encode(samples)):
        last, end = bytes(packet), (packet.pts or 0) + SAMPLES_PER_PACKET
        yield packet
    if hold_s is None:
        yield from audio.encode(None)
        return
    for start in range(end, round_to_packets(hold_s), SAMPLES_PER_PACKET):
        yield _packet(audio, last, start, Fraction(1, SAMPLE_RATE), SAMPLES_PER_PACKET)


def _encode_images(
    video: av.VideoStream, images: Iterable[av.VideoFrame], size: tuple[int, int]
) -> Iterator[bytes]:
    for number, image in enumerate(images):
        frame = image.reformat(*size, format="yuv420p", interpolation="FAST_BILINEAR")
        frame.pts = number
        yield from map(bytes, video.encode(frame))
    yield from map(bytes, video.encode(None))


def _repeat_images(encoded: Iterable[bytes], size: tuple[int, int], hold: int) -> Iterator[bytes]:
    """Yield each encoded image and then repeats of it, `hold` frames in all."""
    numbers = count()
    for data in encoded:
        yield set_frame_number(data, next(numbers))
        for _ in range(hold - 1):
            yield set_frame_number(repeat_packet(size), next(numbers))


def _packet(
    stream: av.VideoStream | av.AudioStream,
    data: bytes,
    start: int,
    time_base: Fraction,
    length: int = 1,
) -> "av.Packet[Any]":
    packet = av.Packet(data)
    packet.stream = stream
    packet.time_base = time_base
    packet.pts = packet.dts = start
    packet.duration = length
    return packet


class Footage(NamedTuple):
    """What an MP4 holds: the size of its frames in pixels, and its length in seconds."""

    width: int
    height: int
    seconds: float

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it from a file; one that is no video is a ValueError."""
        try:
            with av.open(str(path)) as source:
                frame = next(source.decode(video=0))
                length = (source.duration or 0) / av.time_base
        # IndexError and StopIteration: a file without a stream or a frame of video.
        except (av.FFmpegError, IndexError, StopIteration) as error:
            raise ValueError(f"{path.name} is no video") from error
        return cls(frame.width, frame.height, length)


def sample_frames(path: Path, interval_s: float) -> Iterator[av.VideoFrame]:
    """Yield the frames that are shown at 0, at `interval_s` and so on, until the video ends."""
    due_s = 0.0
    with av.open(str(path)) as source:
        shown: av.VideoFrame | None = None
        for frame in source.decode(video=0):
            # Half a millisecond: two time bases express one moment by different fractions.
            while shown is not None and due_s < float(frame.time or 0) - 0.0005:
                yield shown
                due_s += interval_s
            shown = frame
        while shown is not None and due_s < (source.duration or 0) / av.time_base:
            yield shown
            due_s += interval_s


def last_frame(path: Path) -> av.VideoFrame:
    """Return the last frame of an MP4; one without frames is a ValueError."""
    with av.open(str(path)) as source:
        frames = deque(source.decode(video=0), maxlen=1)
    if not frames:
        raise ValueError(f"{path.name} has no frames")
    return frames[0]


def join(first: Path, second: Path, path: Path) -> None:
    """Write two MP4s as one, copying the streams; a ValueError if they were not encoded alike."""
    with (
        av.open(str(first)) as head,
        av.open(str(second)) as tail,
        atomic_write(path) as draft,
        av.open(str(draft), "w", format="mp4") as out,
    ):
        if _codec_settings(head) != _codec_settings(tail):
            raise ValueError(f"{first.name} was not encoded like its continuation")
        video = head.streams.video[0]
        length = Fraction(video.duration or 0) * Fraction(video.time_base or 1)
        copies = {
            "video": out.add_stream_from_template(video),
            "audio": out.add_stream_from_template(head.streams.audio[0]),
        }
        for source, shift in ((head, Fraction(0)), (tail, length)):
            for packet in source.demux():
                # The packet that primes the AAC decoder of the second file is left out: its time
                # lies before the file's start, where the sound of the first file still lasts, and
                # the muxer refuses time that does not advance.
                if packet.pts is not None and (not shift or packet.pts >= 0):
                    ticks = round(shift / Fraction(packet.time_base or 1))
                    packet.pts += ticks
                    packet.dts = (packet.dts or 0) + ticks
                    packet.stream = copies[packet.stream.type]
                    out.mux(packet)


def _codec_settings(source: InputContainer) -> list[tuple[object, ...]]:
    return [
        (stream.type, stream.codec_context.name, stream.codec_context.extradata)
        for stream in source.streams
    ]


def set_shown_size(clip: bytes, size: tuple[int, int], shown: tuple[int, int]) -> bytes:
    """Return the clip with another width and height in the header of its video track.

    Players scale the images to it (ISO 14496-12, 8.3.2); the numbers have 16.16 bits.
    """
    old, new = (struct.pack(">II", *(side << 16 for side in sides)) for sides in (size, shown))
    at = clip.index(old, clip.index(b"tkhd"))
    return clip[:at] + new + clip[at + len(new) :]


def pad_clip(clip: bytes, min_bytes: int) -> bytes:
    """Return the clip with a `free` box behind it, so that it has at least `min_bytes`."""
    missing = min_bytes - len(clip)
    if missing <= 0:
        return clip
    missing = max(missing, _BOX_HEADER_BYTES)
    return clip + struct.pack(">I4s", missing, b"free") + bytes(missing - _BOX_HEADER_BYTES)
