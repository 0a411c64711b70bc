"""The sound of a clip: a soft chord that swells and fades."""

from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import av
from av.filter import Graph

SAMPLE_RATE = 48_000
AAC_OPTIONS = {"aac_coder": "fast"}
"""The default coder costs three times as much CPU, and its gain cannot be heard in a chord."""

_SAMPLES_PER_PACKET = 1024
_FADE_S = 0.6
_VOLUME = 0.3
_STEREO_DETUNE_HZ = 1
"""The right channel is a little higher, which makes the chord shimmer."""


def chord_frames(chord: tuple[int, ...], seconds: float) -> Iterator[av.AudioFrame]:
    """Yield the samples of a chord (whole Hz).

    It lasts `seconds`, rounded down to whole AAC packets: a part of a packet would make the sound
    outlast the video.
    """
    samples = int(seconds * SAMPLE_RATE / _SAMPLES_PER_PACKET) * _SAMPLES_PER_PACKET
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
