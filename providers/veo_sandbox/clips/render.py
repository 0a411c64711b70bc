"""From a `ClipSpec` to an MP4: which images, which sound, which file."""

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import av
from PIL import Image

from veo_sandbox.clips import mp4
from veo_sandbox.clips.captions import draw_caption, draw_card, draw_label
from veo_sandbox.clips.scenery import Landscape
from veo_sandbox.clips.spec import ClipSpec
from veo_sandbox.clips.yuv import Mask, Planes, read_image

Scene = Callable[[int], Planes]
"""Draws the image of a frame, counted from 0."""

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

_TINY_FPS = 2
_TINY_BIT_RATE = 8_000
_FADE_STEPS = 24


class StoppedError(Exception):
    """The sandbox is being stopped; nothing was written."""


def render(spec: ClipSpec, path: Path, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Make the clip at `path`; `should_stop` is called before every image.

    A tiny clip has the same length and sound format, an image an eighth as wide, two frames per
    second, and costs nothing after the first of its size and length.

    Raises:
        StoppedError: `should_stop` returned true.
    """
    if spec.tiny:
        with mp4.atomic_write(path) as draft:
            draft.write_bytes(mp4.pad_clip(_tiny_clip(spec.size, spec.seconds), spec.min_bytes))
    elif spec.earlier:
        extend(Path(spec.earlier), spec.prompt, path, spec.seconds, should_stop)
    else:
        _encode_scene(spec, _choose_scene(spec), path, should_stop)


def extend(
    earlier: Path,
    prompt: str,
    path: Path,
    seconds: float = 7.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write one MP4 at `path`: the earlier one unchanged, then `seconds` that continue it.

    Raises:
        StoppedError: `should_stop` returned true.
        ValueError: the earlier file is no MP4 with video and sound as `render` makes them.
    """
    last = Planes.from_frame(mp4.last_frame(earlier))
    spec = ClipSpec(prompt, *last.size, seconds=seconds)
    scene = _dissolve(last, _choose_scene(spec), frames=_count_frames(spec) // 4)
    with TemporaryDirectory(dir=path.parent, prefix=".extend-") as folder:
        sequel = Path(folder) / "sequel.mp4"
        _encode_scene(spec, scene, sequel, should_stop)
        mp4.join(earlier, sequel, path)


def _count_frames(spec: ClipSpec) -> int:
    return round(spec.seconds * mp4.FPS)


def _encode_scene(
    spec: ClipSpec, scene: Scene, path: Path, should_stop: Callable[[], bool]
) -> None:
    encoding = mp4.Encoding()

    def draw_images() -> Iterator[av.VideoFrame]:
        for number in range(0, _count_frames(spec), encoding.hold):
            if should_stop():
                raise StoppedError
            yield scene(number).to_frame()

    chord = Random(spec.prompt).choice(_CHORDS)  # noqa: S311 - repeatable sound, not a secret
    mp4.encode(path, draw_images(), spec.size, spec.seconds, chord, encoding)


def _choose_scene(spec: ClipSpec) -> Scene:
    scale = min(1.0, _MAX_DRAWN_SIDE / max(spec.size))
    canvas = round(spec.width * scale / 2) * 2, round(spec.height * scale / 2) * 2
    frames = _count_frames(spec)
    if not spec.start:
        title = _overlays(spec, canvas, top=0.27, height=0.4, points=min(canvas) // 8)
        return _add_title(Landscape(spec.prompt, canvas, frames).draw, title, frames)
    start = read_image(Path(spec.start), canvas)
    subtitle = _overlays(spec, canvas, top=0.76, height=0.16, points=min(canvas) // 15)
    if not spec.end:
        return _add_subtitle(_zoom_in(start, frames), subtitle, frames, leaves=False)
    fade = _crossfade(start, read_image(Path(spec.end), canvas), frames)
    return _add_subtitle(fade, subtitle, frames, leaves=True)


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


class _Overlay:
    """A transparent drawing that is laid over images."""

    def __init__(self, drawing: Image.Image, at: tuple[int, int]) -> None:
        # The chroma planes have half the size, so the drawing begins and ends at even numbers.
        size = drawing.width + at[0] % 2, drawing.height + at[1] % 2
        even = Image.new("RGBA", (size[0] + size[0] % 2, size[1] + size[1] % 2))
        even.paste(drawing, (at[0] % 2, at[1] % 2))
        left, top, right, bottom = even.getbbox() or (0, 0, 2, 2)
        box = left & ~1, top & ~1, (right + 1) & ~1, (bottom + 1) & ~1
        part = even.crop(box)
        self._at = at[0] // 2 * 2 + box[0], at[1] // 2 * 2 + box[1]
        self._planes = Planes.from_image(part)
        self._mask = Mask.from_image(part.getchannel("A"))
        self._fade = cache(self._mask.fade)

    def paste_on(self, image: Planes, share: float = 1.0) -> None:
        """Lay the drawing over an image, with its opacity scaled by 0 to 1."""
        mask = self._mask if share >= 1 else self._fade(round(share * _FADE_STEPS) / _FADE_STEPS)
        image.paint(self._planes, mask, self._at)


def _add_title(scene: Scene, title: list[_Overlay], frames: int) -> Scene:
    def draw(number: int) -> Planes:
        image = scene(number)
        width, height = image.size
        thickness = max(height // 240, 2)
        # A thin line along the bottom shows how much of the time has passed.
        done = round(width * (number + 1) / frames)
        image.y.paste(225, (0, height - thickness, done, height))
        for overlay in title:
            overlay.paste_on(image)
        return image

    return draw


def _add_subtitle(scene: Scene, title: list[_Overlay], frames: int, *, leaves: bool) -> Scene:
    """Fade the title in after half a second, and out before the last half if it `leaves`."""

    def draw(number: int) -> Planes:
        image = scene(number)
        rest = frames - 1 - number if leaves else frames
        share = min((number - 10) / 14, (rest - 10) / 14, 1.0)
        if share > 0:
            for overlay in title:
                overlay.paste_on(image, share)
        return image

    return draw


def _overlays(
    spec: ClipSpec, size: tuple[int, int], *, top: float, height: float, points: int
) -> list[_Overlay]:
    box = int(size[0] * 0.84), int(size[1] * height)
    prompt = _Overlay(
        draw_caption(spec.prompt, box, points), (int(size[0] * 0.08), int(size[1] * top))
    )
    return [prompt, *_reference_cards(spec, size), _mark(size)]


def _reference_cards(spec: ClipSpec, size: tuple[int, int]) -> Iterator[_Overlay]:
    side = min(size) // 5
    gap = side // 6
    left = (size[0] - len(spec.references) * (side + gap) + gap) // 2
    for number, path in enumerate(spec.references):
        yield _Overlay(draw_card(Path(path), side), (left + number * (side + gap), size[1] // 16))


def _mark(size: tuple[int, int]) -> _Overlay:
    height = max(min(size) // 36, 6)
    mark = draw_label("veo sandbox", height)
    return _Overlay(mark, (size[0] - mark.width - height // 2, size[1] - mark.height - height // 2))


@cache
def _tiny_clip(size: tuple[int, int], seconds: float) -> bytes:
    width, height = (max(round(side / 16) * 2, 16) for side in size)
    # One image for the whole clip: all other frames repeat it.
    encoding = mp4.Encoding(_TINY_FPS, round(seconds * _TINY_FPS), _TINY_BIT_RATE)
    image = Planes.from_image(Image.new("RGB", (width, height), "#3f6f8c")).to_frame()
    with TemporaryDirectory(prefix="veo-sandbox-") as folder:
        path = Path(folder) / "tiny.mp4"
        mp4.encode(path, [image], (width, height), seconds, (220,), encoding)
        return path.read_bytes()
