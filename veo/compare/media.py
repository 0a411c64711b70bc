"""What a video file really is, read from the file itself and not from what anybody says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SILENCE_DB = -60.0


@dataclass(frozen=True, slots=True)
class Media:
    """A video file, measured.

    Attributes:
        width: Pixels.
        height: Pixels.
        seconds: Length of the picture.
        rate: Frames a second.
        codec: Of the picture.
        audio: Codec of the sound; None without any.
        peak_db: The loudest sample, dB below full scale; None without sound.
        bytes: Size of the file.
    """

    width: int
    height: int
    seconds: float
    rate: float
    codec: str
    audio: str | None
    peak_db: float | None
    bytes: int

    @property
    def silent(self) -> bool:
        """Whether there is nothing to hear."""
        return self.peak_db is None or self.peak_db < SILENCE_DB

    @property
    def picture(self) -> str:
        """``720x1280, 8.0 s``."""
        return f"{self.width}x{self.height}, {self.seconds:.1f} s"

    @property
    def sound(self) -> str:
        """``aac, peak -12 dB``, ``aac, silent``, ``none``."""
        if self.audio is None or self.peak_db is None:
            return "none"
        return f"{self.audio}, {'silent' if self.silent else f'peak {self.peak_db:.0f} dB'}"

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "width": self.width,
            "height": self.height,
            "seconds": round(self.seconds, 3),
            "rate": round(self.rate, 3),
            "codec": self.codec,
            "audio": self.audio,
            "peak_db": None if self.peak_db is None else round(self.peak_db, 1),
            "silent": self.silent,
            "bytes": self.bytes,
        }


def measure(file: Path) -> Media | None:
    """What a file is; None when it is gone or no video.

    The sound is decoded to its end: that a track is there does not say that it can be heard.
    """
    import av  # noqa: PLC0415 - a quarter of a second that other commands spare

    try:
        with av.open(str(file)) as container:
            video = container.streams.video[0]
            length = video.duration * video.time_base if video.duration and video.time_base else 0
            sound = next(iter(container.streams.audio), None)
            return Media(
                width=video.codec_context.width,
                height=video.codec_context.height,
                seconds=float(length),
                rate=float(video.average_rate or 0),
                codec=video.codec_context.name,
                audio=sound.codec_context.name if sound else None,
                peak_db=_peak_db(container) if sound else None,
                bytes=file.stat().st_size,
            )
    except (OSError, IndexError, av.FFmpegError):
        return None


def poster(file: Path, width: int = 480) -> bytes | None:
    """A picture of a video's first frame as JPEG; None when it has none."""
    import io  # noqa: PLC0415

    import av  # noqa: PLC0415 - as above

    try:
        with av.open(str(file)) as container:
            image = next(container.decode(video=0)).to_image()  # type: ignore[no-untyped-call]
    except (OSError, IndexError, StopIteration, av.FFmpegError):
        return None
    image.thumbnail((width, 4 * width))
    kept = io.BytesIO()
    image.save(kept, "JPEG", quality=80)
    return kept.getvalue()


def _peak_db(container: Any) -> float:
    """The loudest sample of all channels, dB below full scale."""
    from av import AudioResampler  # noqa: PLC0415 - as above

    plain, peak = AudioResampler(format="s16"), 0
    for frame in container.decode(audio=0):
        for piece in plain.resample(frame):
            samples = memoryview(bytes(piece.planes[0])).cast("h")
            peak = max(peak, max(samples, default=0), -min(samples, default=0))
    return 20 * math.log10(peak / 32768) if peak else -math.inf
