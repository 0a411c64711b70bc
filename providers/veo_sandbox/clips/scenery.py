"""A moving landscape drawn from the words of a prompt: sky, sun, clouds, hills, birds.

What does not move is drawn once; a frame costs the strips that slide over it.
"""

import math
from functools import lru_cache
from random import Random
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from veo_sandbox.clips.yuv import Colour, Mask, Planes, parse_colour

_PALETTES = (
    "#241655 #b0487f #ffb27a #ffe6b0 #9c4a78 #6a3468 #41234f #1d1230",
    "#0b2545 #3f7cac #f6d8ae #fff3d6 #6f9fb8 #3f6f8c #234a66 #0f2438",
    "#102a2e #2f8f83 #f4e3a1 #fff7cf #5fae93 #2f7a6d #1b5049 #0b2a2b",
    "#3a1c14 #d1603d #ffd28a #fff0c2 #c7683f #8f412c #5c2720 #2c1314",
    "#0a1030 #2b3f8c #9fb9ff #f4f7ff #5468b0 #33468c #1f2c63 #0d1436",
    "#2b1440 #7d4fa8 #f7c4dc #fff0f5 #a070b8 #6c4590 #452a66 #20123a",
    "#14313f #7fb7a5 #fdf0c8 #ffffff #93b58a #5f8b62 #3a6147 #1a3329",
)
"""The sky from top to bottom (3), the sun, the hills from far to near (4)."""


class Layer(NamedTuple):
    """A wide strip that slides by, at `speed` pixels per frame.

    `top` is the y of its first row, and `solid_top` that of the first row below the mask that is
    all of its colour.
    """

    mask: Mask
    colour: Colour
    top: int
    solid_top: int
    speed: float


class Landscape:
    """A landscape at any moment; the same prompt and size always give the same one."""

    def __init__(self, prompt: str, size: tuple[int, int], frames: int) -> None:
        self._random = Random(prompt)  # noqa: S311 - repeatable scenery, not a secret
        self._size = size
        self._frames = frames
        *sky, sun, far, middle, near, nearest = self._random.choice(_PALETTES).split()
        self._sky = _draw_sky(sky, size)
        self._sun = _draw_sun(min(size))
        self._sun_colour = parse_colour(sun)
        self._sun_place = self._random.uniform(0.2, 0.8), self._random.uniform(0.24, 0.34)
        self._clouds = self._draw_clouds()
        shades = enumerate((far, middle, near, nearest))
        self._hills = _crop_hidden_rows([self._draw_hill(shade, depth) for depth, shade in shades])
        # The sun rises by less than a pixel per image, so most images share one backdrop.
        self._backdrop = lru_cache(maxsize=1)(self._draw_backdrop)
        self._wings = [_draw_wings(min(size) / 40, beat / 5) for beat in range(-5, 6)]
        self._bird_colour = parse_colour(nearest)
        self._birds = [self._random.uniform(0, 1) for _ in range(self._random.randint(3, 6))]

    def draw(self, number: int) -> Planes:
        image = self._backdrop(self._sun_position(number)).copy()
        self._paint_layer(image, self._clouds, number)
        self._paint_birds(image, number)
        for hill in self._hills:
            self._paint_layer(image, hill, number)
        return image

    def _sun_position(self, number: int) -> tuple[int, int]:
        width, height = self._size
        x, y = self._sun_place
        centre = x * width, (y - 0.1 * number / self._frames) * height
        radius = self._sun.full.width // 2
        return _even(centre[0] - radius), _even(centre[1] - radius)

    def _draw_backdrop(self, sun: tuple[int, int]) -> Planes:
        """Draw all that slides under nothing: the sky, the sun, the solid parts of the hills."""
        image = self._sky.copy()
        image.paint(self._sun_colour, self._sun, sun)
        for hill in self._hills:
            image.fill(hill.colour, (0, hill.solid_top, *self._size))
        return image

    def _paint_layer(self, image: Planes, layer: Layer, number: int) -> None:
        part = layer.mask.crop_columns(int(number * layer.speed), self._size[0])
        image.paint(layer.colour, part, (0, layer.top))

    def _paint_birds(self, image: Planes, number: int) -> None:
        width, height = self._size
        for bird, start in enumerate(self._birds):
            # Share of the width per frame; birds differ a little.
            pace = 0.0011 * (1 + bird % 3 * 0.25)
            x = width * ((start + number * pace) % 1.1 - 0.05)
            y = height * (0.14 + 0.03 * bird) + math.sin(number / 17 + bird) * height / 90
            beat = math.sin(number / 2.6 + bird * 2)
            wings = self._wings[round((beat + 1) / 2 * (len(self._wings) - 1))]
            image.paint(self._bird_colour, wings, (int(x), int(y)))

    def _draw_clouds(self) -> Layer:
        width, height = self._size
        wide, tall = _even(width * 1.4), _even(height * 0.34)
        # Clouds are blurred anyway, so they are drawn at a quarter of the size.
        mask = Image.new("L", (wide // 4, tall // 4), 0)
        draw = ImageDraw.Draw(mask)
        for _ in range(22):
            x = self._random.uniform(0, mask.width)
            y = self._random.uniform(0.3, 0.7) * mask.height
            w = self._random.uniform(0.05, 0.16) * mask.width
            h = self._random.uniform(0.01, 0.035) * mask.height
            draw.ellipse((x - w, y - h, x + w, y + h), fill=self._random.randint(40, 110))
        soft = mask.filter(ImageFilter.GaussianBlur(tall / 100)).resize(
            (wide, tall), Image.Resampling.BICUBIC
        )
        top, speed = _even(height * 0.06), width * 0.4 / self._frames
        return Layer(Mask.from_image(soft), parse_colour("#fff6ee"), top, top + tall, speed)

    def _draw_hill(self, shade: str, depth: int) -> Layer:
        width, height = self._size
        travel = width * (0.06, 0.14, 0.3, 0.6)[depth]
        tall = _even(height * (0.42, 0.33, 0.24, 0.15)[depth])
        mask = self._draw_ridge(_even(width + travel + 4), tall, rough=(5, 4, 3, 2.2)[depth])
        top, speed = height - tall, travel / self._frames
        # Below the lowest point of its ridge the hill is all light.
        below = ImageChops.invert(mask).getbbox() or (0, 0, 0, tall)
        solid = min(_even(below[3] + 1), tall)
        return Layer(Mask.from_image(mask), parse_colour(shade), top, top + solid, speed)

    def _draw_ridge(self, wide: int, tall: int, rough: float) -> Image.Image:
        waves = [(self._random.uniform(0, math.tau), 2.0**octave) for octave in range(4)]

        def ridge_height(x: float) -> float:
            heights = (
                math.sin(phase + x / wide * math.tau * rough * wave / 4) / wave
                for phase, wave in waves
            )
            return tall * (0.42 - 0.22 * sum(heights))

        crest = [(2 * x, 2 * ridge_height(x)) for x in range(0, wide + 4, 3)]
        large = Image.new("L", (2 * wide, 2 * tall), 0)
        ImageDraw.Draw(large).polygon([(0, 2 * tall), *crest, (2 * wide + 8, 2 * tall)], fill=255)
        return large.reduce(2)


def _draw_sky(names: list[str], size: tuple[int, int]) -> Planes:
    ramp = Image.linear_gradient("L").resize(size, Image.Resampling.BICUBIC)
    top, middle, bottom = (Image.new("RGB", size, name) for name in names)
    upper = ramp.point(lambda light: min(255, light * 2))
    lower = ramp.point(lambda light: max(0, light * 2 - 255))
    return Planes.from_image(Image.composite(bottom, Image.composite(middle, top, upper), lower))


def _draw_sun(side: int) -> Mask:
    glow = ImageChops.invert(Image.radial_gradient("L")).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    glow = glow.point(lambda light: round((max(0, light - 74) / 181) ** 2.2 * 150))
    disc = Image.new("L", (side * 2, side * 2), 0)
    radius, middle = side * 0.2, side
    ImageDraw.Draw(disc).ellipse(
        (middle - radius, middle - radius, middle + radius, middle + radius), fill=245
    )
    mask = ImageChops.lighter(glow, disc.reduce(2))
    return Mask.from_image(mask.crop((0, 0, _even(side), _even(side))))


def _crop_hidden_rows(hills: list[Layer]) -> list[Layer]:
    """Cut each hill's mask off where it, or a nearer hill, is solid: those rows never change."""
    cropped = []
    for number, hill in enumerate(hills):
        bottom = min(nearer.solid_top for nearer in hills[number:])
        wide = hill.mask.full.width
        mask = hill.mask.full.crop((0, 0, wide, max(bottom - hill.top, 2)))
        cropped.append(hill._replace(mask=Mask.from_image(mask)))
    return cropped


def _even(value: float) -> int:
    return int(value) // 2 * 2


def _draw_wings(span: float, beat: float) -> Mask:
    """Draw a bird with its wings up (1), level (0) or down (-1), large for smooth edges."""
    side = _even(span * 2.4) + 4
    large = Image.new("L", (side * 4, side * 4), 0)
    middle, reach, lift = side * 2, span * 4, span * 2 * beat
    tips = [(middle + way * reach, middle - lift) for way in (-1, 1)]
    elbows = [(middle + way * reach * 0.5, middle - lift * 0.9 - span) for way in (-1, 1)]
    line = [tips[0], elbows[0], (middle, middle), elbows[1], tips[1]]
    ImageDraw.Draw(large).line(line, fill=230, width=max(round(span / 2), 4), joint="curve")
    return Mask.from_image(large.reduce(4))
