"""From a `ClipSpec` to an MP4: which images, which sound, which file."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import av
from PIL import Image

from veo_sandbox.clips import mp4
from veo_sandbox.clips.overlays import Scene, add_strip, add_subtitle, add_title, draw_overlays
from veo_sandbox.clips.scenery import Landscape
from veo_sandbox.clips.sound import chord_frames, file_frames, tone_frames
from veo_sandbox.clips.spec import ClipSpec
from veo_sandbox.clips.yuv import Colour, Planes, parse_colour, read_image

_MAX_DRAWN_SIDE = 1280
"""Pixels. Larger clips are drawn at this size and scaled up, which costs less and shows as much."""

_CHORDS = (
    (220, 277, 330, 440),
    (196, 247, 294, 392),
    (175, 220, 262, 349),
    (165, 208, 247, 330),
    (147, 220, 277, 370),
)
"""Whole Hz, close to tempered tones."""

_TINTS = ("#c0392b", "#2471a3", "#1e8449", "#b7950b", "#7d3c98")
_TINT_SHARE = 0.6
"""Share of the tint in a changed clip: it shows, and the scene stays recognisable."""

_TINY_FPS = 2
_TINY_PIXELS = 160  # of the longer side, as it is encoded
_TINY_BIT_RATE = 8_000


class StoppedError(Exception):
    """The sandbox is being stopped; nothing was written."""


def render(spec: ClipSpec, path: Path, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Make the clip at `path`; `should_stop` is called before every image.

    A tiny clip has the same length and sound format, a very small image that players show
    at the full size, two frames per second, and costs nothing after the first of its kind.

    Raises:
        StoppedError: `should_stop` returned true.
    """
    if spec.tiny:
        with mp4.atomic_write(path) as draft:
            draft.write_bytes(mp4.pad_clip(_tiny_clip(spec.size, spec.seconds), spec.min_bytes))
    elif spec.earlier:
        extend(Path(spec.earlier), spec.prompt, path, spec.seconds, should_stop, size=spec.size)
    elif spec.changed:
        _change(spec, path, should_stop)
    else:
        _encode_scene(spec, _choose_scene(spec), path, should_stop)


def extend(
    earlier: Path,
    prompt: str,
    path: Path,
    seconds: float = 7.0,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Write one MP4 at `path`: the earlier one unchanged, then `seconds` that continue it.

    The whole has `size` pixels, or those of the earlier one. An earlier one of another size or
    encoding is first encoded again.

    Raises:
        StoppedError: `should_stop` returned true.
        ValueError: the earlier file is no video.
    """
    last = Planes.from_frame(mp4.last_frame(earlier))
    spec = ClipSpec(prompt, *(size or last.size), seconds=seconds)
    scene = _dissolve(last, _choose_scene(spec), frames=_count_frames(spec) // 4)
    with TemporaryDirectory(dir=path.parent, prefix=".extend-") as folder:
        sequel = Path(folder) / "sequel.mp4"
        _encode_scene(spec, scene, sequel, should_stop)
        try:
            mp4.join(earlier, sequel, path)
        except ValueError:
            alike = Path(folder) / "alike.mp4"
            whole = mp4.Footage.read(earlier).seconds
            _change(
                replace(spec, prompt="", changed=str(earlier), seconds=whole), alike, should_stop
            )
            mp4.join(alike, sequel, path)


def _change(spec: ClipSpec, path: Path, should_stop: Callable[[], bool]) -> None:
    """Write a version of a clip in other colours, with the prompt below, and the same sound."""
    source = Path(spec.changed)
    canvas = _choose_canvas(spec)
    images = (
        Planes.from_frame(frame).resize(canvas)
        for frame in mp4.sample_frames(source, mp4.Encoding().hold / mp4.FPS)
    )
    scene = _play(images)
    if spec.prompt:
        colour = parse_colour(Random(spec.prompt).choice(_TINTS))  # noqa: S311 - repeatable
        scene = add_strip(_tint(scene, colour), spec, canvas)
    _encode_scene(spec, scene, path, should_stop, file_frames(source, spec.seconds))


def _count_frames(spec: ClipSpec) -> int:
    return round(spec.seconds * mp4.FPS)


def _encode_scene(
    spec: ClipSpec,
    scene: Scene,
    path: Path,
    should_stop: Callable[[], bool],
    sound: Iterable[av.AudioFrame] | None = None,
) -> None:
    encoding = mp4.Encoding()

    def draw_images() -> Iterator[av.VideoFrame]:
        for number in range(0, _count_frames(spec), encoding.hold):
            if should_stop():
                raise StoppedError
            yield scene(number).to_frame()

    chord = Random(spec.prompt).choice(_CHORDS)  # noqa: S311 - repeatable sound, not a secret
    samples = sound or chord_frames(chord, spec.seconds)
    mp4.encode(path, draw_images(), spec.size, spec.seconds, samples, encoding)


def _choose_canvas(spec: ClipSpec) -> tuple[int, int]:
    scale = min(1.0, _MAX_DRAWN_SIDE / max(spec.size))
    return round(spec.width * scale / 2) * 2, round(spec.height * scale / 2) * 2


def _choose_scene(spec: ClipSpec) -> Scene:
    canvas = _choose_canvas(spec)
    frames = _count_frames(spec)
    if not spec.start:
        title = draw_overlays(spec, canvas, top=0.27, height=0.4, points=min(canvas) // 8)
        return add_title(Landscape(spec.prompt, canvas, frames).draw, title, frames)
    start = read_image(Path(spec.start), canvas)
    subtitle = draw_overlays(spec, canvas, top=0.76, height=0.16, points=min(canvas) // 15)
    if not spec.end:
        return add_subtitle(_zoom_in(start, frames), subtitle, frames, leaves=False)
    fade = _crossfade(start, read_image(Path(spec.end), canvas), frames)
    return add_subtitle(fade, subtitle, frames, leaves=True)


def _crossfade(start: Planes, end: Planes, frames: int) -> Scene:
    def draw(number: int) -> Planes:
        share = number / (frames - 1)
        return start.blend(end, (1 - math.cos(math.pi * share)) / 2)

    return draw


def _zoom_in(image: Planes, frames: int) -> Scene:
    whole = image.to_frame()

    def draw(number: int) -> Planes:
        # The scaler of FFmpeg takes a third of the time of Pillow's. Growing by multiples of 4
        # keeps the crop at even numbers, where the chroma planes have a pixel.
        growth = 0.12 * number / frames
        width, height = (side + round(side * growth / 4) * 4 for side in image.size)
        larger = whole.reformat(width, height, interpolation="BILINEAR")
        return Planes.from_frame(larger).crop_middle(image.size)

    return draw


def _dissolve(first: Planes, then: Scene, frames: int) -> Scene:
    def draw(number: int) -> Planes:
        image = then(number)
        share = (number + 1) / frames
        return image if share >= 1 else first.resize(image.size).blend(image, share)

    return draw


def _play(images: Iterator[Planes]) -> Scene:
    """Show images one after the other, and the last one until the end."""
    last: list[Planes] = []

    def draw(_number: int) -> Planes:
        # A video may end a frame before its sound, whose length counts.
        last[:] = [next(images, None) or last[0]]
        return last[0].copy()

    return draw


def _tint(scene: Scene, tint: Colour) -> Scene:
    def draw(number: int) -> Planes:
        image = scene(number)
        # The brightness stays, so that the scene stays recognisable.
        colour = (
            Image.new("L", plane.size, level)
            for plane, level in zip(image[1:], tint[1:], strict=True)
        )
        return image.blend(Planes(image.y, *colour), _TINT_SHARE)

    return draw


def _tiny_clip(size: tuple[int, int], seconds: float) -> bytes:
    # The encoded size depends on the shape alone: each encoding takes 20 ms.
    longest = max(size)
    width, height = (max(round(side * _TINY_PIXELS / longest / 2) * 2, 16) for side in size)
    return mp4.set_shown_size(_encode_tiny((width, height), seconds), (width, height), size)


@cache
def _encode_tiny(size: tuple[int, int], seconds: float) -> bytes:
    # One image and a short tone for the whole clip: all other frames and packets repeat them.
    encoding = mp4.Encoding(_TINY_FPS, round(seconds * _TINY_FPS), _TINY_BIT_RATE, hold_sound=True)
    image = Planes.from_image(Image.new("RGB", size, "#3f6f8c")).to_frame()
    with TemporaryDirectory(prefix="veo-sandbox-") as folder:
        path = Path(folder) / "tiny.mp4"
        mp4.encode(path, [image], size, seconds, tone_frames(), encoding)
        return path.read_bytes()
