"""What is drawn over a scene: its prompt, the images that it refers to, the sandbox's mark."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from veo_sandbox.clips.captions import draw_caption, draw_card, draw_label
from veo_sandbox.clips.spec import ClipSpec
from veo_sandbox.clips.yuv import Mask, Planes

Scene = Callable[[int], Planes]
"""Draws the image of a frame, counted from 0."""

_FADE_STEPS = 24
_STRIP = (32, 128, 128)
"""Dark grey, in YUV."""


class Overlay:
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


def add_title(scene: Scene, title: list[Overlay], frames: int) -> Scene:
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


def add_subtitle(scene: Scene, title: list[Overlay], frames: int, *, leaves: bool) -> Scene:
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


def add_strip(scene: Scene, spec: ClipSpec, canvas: tuple[int, int]) -> Scene:
    """Show the prompt on a dark strip, which also hides that of an earlier change."""
    overlays = draw_overlays(spec, canvas, top=0.76, height=0.16, points=min(canvas) // 15)
    top, bottom = (round(canvas[1] * share / 2) * 2 for share in (0.75, 0.93))

    def draw(number: int) -> Planes:
        image = scene(number)
        image.fill(_STRIP, (0, top, canvas[0], bottom))
        for overlay in overlays:
            overlay.paste_on(image)
        return image

    return draw


def draw_overlays(
    spec: ClipSpec, size: tuple[int, int], *, top: float, height: float, points: int
) -> list[Overlay]:
    box = int(size[0] * 0.84), int(size[1] * height)
    prompt = Overlay(
        draw_caption(spec.prompt, box, points), (int(size[0] * 0.08), int(size[1] * top))
    )
    return [prompt, *_reference_cards(spec, size), _mark(size)]


def _reference_cards(spec: ClipSpec, size: tuple[int, int]) -> Iterator[Overlay]:
    side = min(size) // 5
    gap = side // 6
    left = (size[0] - len(spec.references) * (side + gap) + gap) // 2
    for number, path in enumerate(spec.references):
        yield Overlay(draw_card(Path(path), side), (left + number * (side + gap), size[1] // 16))


def _mark(size: tuple[int, int]) -> Overlay:
    height = max(min(size) // 36, 6)
    mark = draw_label("veo sandbox", height)
    return Overlay(mark, (size[0] - mark.width - height // 2, size[1] - mark.height - height // 2))
