"""Properties of a video file, measured from the file itself: providers may report others."""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from veo.files.contact_sheet import read_still

# A track whose peak is below this, dB relative to full scale, is inaudible.
SILENCE_DB = -60.0
FRAME_SAMPLES = 48_000


@dataclass(frozen=True, slots=True)
class MediaInfo:
    width: int  # pixels
    height: int  # pixels
    seconds: float
    rate: float  # frames per second
    codec: str  # of the video stream
    audio: str | None  # codec of the audio stream; None if there is none
    peak_db: float | None  # relative to full scale; None without audio
    bytes: int

    @property
    def is_silent(self) -> bool:
        return self.peak_db is None or self.peak_db < SILENCE_DB

    @property
    def video_summary(self) -> str:
        """Size and duration: ``720x1280, 8.0 s``."""
        return f"{self.width}x{self.height}, {self.seconds:.1f} s"

    @property
    def audio_summary(self) -> str:
        """Codec and loudness: ``aac, peak -12 dB``, ``aac, silent`` or ``none``."""
        if self.audio is None or self.peak_db is None:
            return "none"
        loudness = "silent" if self.is_silent else f"peak {self.peak_db:.0f} dB"
        return f"{self.audio}, {loudness}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "seconds": round(self.seconds, 3),
            "rate": round(self.rate, 3),
            "peak_db": None if self.peak_db is None else round(self.peak_db, 1),
            "silent": self.is_silent,
        }


def read_media(file: Path) -> MediaInfo | None:
    """Return the properties of a file; None if it does not exist or is not a video.

    The audio is decoded completely, because an audio track may be silent.
    """
    import av  # noqa: PLC0415 - takes 0.25 s, and other commands do not need it

    try:
        with file.open("rb") as opened, av.open(opened) as container:
            video = container.streams.video[0]
            # Some containers state no duration for the stream.
            length = video.duration * video.time_base if video.duration and video.time_base else 0
            sound = next(iter(container.streams.audio), None)
            return MediaInfo(
                width=video.codec_context.width,
                height=video.codec_context.height,
                seconds=float(length),
                rate=float(video.average_rate or 0),
                codec=video.codec_context.name,
                audio=sound.codec_context.name if sound else None,
                peak_db=_measure_peak_db(container) if sound else None,
                bytes=file.stat().st_size,
            )
    except (OSError, IndexError, av.FFmpegError):
        return None


def render_poster(file: Path) -> bytes | None:
    """Return a video's first frame as JPEG, at most 480 pixels wide; None without one."""
    # Only the width limits the size: portrait videos are up to 16:9 high.
    image = read_still(file, (480, 4 * 480))
    if image is None:
        return None
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _measure_peak_db(container: Any) -> float:
    from av import AudioResampler  # noqa: PLC0415 - as above
    from PIL import Image  # noqa: PLC0415 - as above

    # Packed 16-bit samples hold all channels in one plane, whatever the codec delivers; frames of
    # many samples, because the cost is per frame.
    resampler, peak = AudioResampler(format="s16", frame_size=FRAME_SAMPLES), 0
    for frame in chain(container.decode(audio=0), [None]):  # None: the samples that are left
        for piece in resampler.resample(frame):
            data = bytes(piece.planes[0])
            # Pillow finds the extremes ten times as fast as max() and min() of Python.
            size = len(data) // 2, 1
            extrema: Any = Image.frombuffer("I", size, data, "raw", "I;16NS", 0, 1).getextrema()
            peak = max(peak, extrema[1], -extrema[0])
    return 20 * math.log10(peak / 32768) if peak else -math.inf
