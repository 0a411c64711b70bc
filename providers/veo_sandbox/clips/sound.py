"""The sound of a clip: a soft chord that swells and fades, or the sound of an earlier clip."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import cast

import av
from av.filter import Graph

SAMPLE_RATE = 48_000
AAC_OPTIONS = {"aac_coder": "fast"}
"""The default coder costs three times as much CPU, and its gain cannot be heard in a chord."""

SAMPLES_PER_PACKET = 1024
_FADE_S = 0.6
_VOLUME = 0.3
_PERIODS_PER_PACKET = 5  # 234 Hz
_TONE_PACKETS = 16  # the encoder's packets are alike after seven
_STEREO_DETUNE_HZ = 1
"""The right channel is a little higher, which makes the chord shimmer."""


def round_to_packets(seconds: float) -> int:
    """Return the samples of whole AAC packets: a part of one would make sound outlast the video."""
    return int(seconds * SAMPLE_RATE / SAMPLES_PER_PACKET) * SAMPLES_PER_PACKET


def tone_frames() -> Iterator[av.AudioFrame]:
    """Yield a short tone; a packet holds whole periods, so that its last packet can be repeated."""
    tone = f"{_VOLUME}*sin(2*PI*{_PERIODS_PER_PACKET}*n/{SAMPLES_PER_PACKET})"
    seconds = _TONE_PACKETS * SAMPLES_PER_PACKET / SAMPLE_RATE
    yield from _run_filters(
        ("aevalsrc", f"{tone}|{tone}:s={SAMPLE_RATE}:d={seconds}:c=stereo"),
        ("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
        ("abuffersink", None),
    )


def chord_frames(chord: tuple[int, ...], seconds: float) -> Iterator[av.AudioFrame]:
    """Yield the samples of a chord (whole Hz).

    It lasts `seconds`, rounded down to whole packets.
    """
    samples = round_to_packets(seconds)
    fade_out = max(samples / SAMPLE_RATE - _FADE_S, 0)
    left, right = (_sum_of_sines(chord, detune) for detune in (0, _STEREO_DETUNE_HZ))
    yield from _run_filters(
        # Frequencies are whole, so one computed second can be repeated without a click.
        ("aevalsrc", f"{left}|{right}:s={SAMPLE_RATE}:d=1:c=stereo"),
        ("aloop", f"loop=-1:size={SAMPLE_RATE}"),
        ("atrim", f"end_sample={samples}"),
        ("afade", f"t=in:d={_FADE_S}"),
        ("afade", f"t=out:st={fade_out}:d={_FADE_S}"),
        ("aformat", "sample_fmts=fltp:channel_layouts=stereo"),
        ("abuffersink", None),
    )


def file_frames(path: Path, seconds: float) -> Iterator[av.AudioFrame]:
    """Yield the samples of a file's sound, as many as `chord_frames`; silence where it has none."""
    packets = round_to_packets(seconds) // SAMPLES_PER_PACKET
    for number, frame in enumerate(islice(chain(_read_sound(path), _silence()), packets)):
        # Numbered again: a file may begin with time that only primes its decoder.
        frame.pts = number * SAMPLES_PER_PACKET
        frame.time_base = Fraction(1, SAMPLE_RATE)
        yield frame


def _read_sound(path: Path) -> Iterator[av.AudioFrame]:
    resampler = av.AudioResampler("fltp", "stereo", SAMPLE_RATE, SAMPLES_PER_PACKET)
    with av.open(str(path)) as source:
        for frame in source.decode(audio=0) if source.streams.audio else ():
            yield from resampler.resample(frame)


def _silence() -> Iterator[av.AudioFrame]:
    while True:
        frame = av.AudioFrame("fltp", "stereo", SAMPLES_PER_PACKET)
        frame.sample_rate = SAMPLE_RATE
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        yield frame


def _sum_of_sines(chord: tuple[int, ...], detune_hz: int) -> str:
    sines = "+".join(f"sin(2*PI*{hz + detune_hz}*t)" for hz in chord)
    return f"{_VOLUME / len(chord)}*({sines})"


def _run_filters(*filters: tuple[str, str | None]) -> Iterator[av.AudioFrame]:
    graph = Graph()
    nodes = [graph.add(name, arguments) for name, arguments in filters]
    for node, following in pairwise(nodes):
        node.link_to(following)
    graph.configure()
    while True:
        try:
            yield cast("av.AudioFrame", graph.pull())
        except (av.error.EOFError, av.error.BlockingIOError):
            return
