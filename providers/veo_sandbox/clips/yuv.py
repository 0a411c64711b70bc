"""Pictures as the encoder wants them: three grey planes (Y, U, V), the last two at half size.

Drawing here instead of in RGB saves a conversion of every frame: half the work of a clip.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import av
from PIL import Image, ImageColor, ImageOps

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Planes:
    """One picture of even width and height."""

    y: Image.Image
    u: Image.Image
    v: Image.Image

    @classmethod
    def of(cls, picture: Image.Image) -> Self:
        """Convert an RGB picture."""
        frame = av.VideoFrame.from_image(picture.convert("RGB"))  # type: ignore[no-untyped-call]
        return cls.of_frame(frame)

    @classmethod
    def of_frame(cls, frame: av.VideoFrame) -> Self:
        """Take over a decoded frame."""
        planes = frame.reformat(format="yuv420p").planes
        return cls(*(_read(bytes(p), p.width, p.height, p.line_size) for p in planes[:3]))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.y.size

    def frame(self) -> av.VideoFrame:
        """The picture as a frame for the encoder."""
        frame = av.VideoFrame(*self.size, format="yuv420p")
        for plane, image in zip(frame.planes, (self.y, self.u, self.v), strict=True):
            plane.update(image.tobytes("raw", "L", plane.line_size, 1))
        return frame

    def copy(self) -> "Planes":
        """A picture to paint on."""
        return Planes(self.y.copy(), self.u.copy(), self.v.copy())

    def blend(self, other: "Planes", share: float) -> "Planes":
        """This picture with a share (0 to 1) of another of the same size."""
        pairs = ((self.y, other.y), (self.u, other.u), (self.v, other.v))
        return Planes(*(Image.blend(mine, theirs, share) for mine, theirs in pairs))

    def zoom(self, factor: float) -> "Planes":
        """The middle of the picture, `factor` times as large."""
        return Planes(*(_zoomed(plane, factor) for plane in (self.y, self.u, self.v)))

    def paint(self, colour: Colour, mask: "Mask", at: tuple[int, int] = (0, 0)) -> None:
        """Lay a colour (Y, U, V) over the picture where a mask is light."""
        x, y = at
        self.y.paste(colour[0], (x, y), mask.full)
        self.u.paste(colour[1], (x // 2, y // 2), mask.half)
        self.v.paste(colour[2], (x // 2, y // 2), mask.half)

    def lay(self, other: "Planes", mask: "Mask", at: tuple[int, int]) -> None:
        """Lay a smaller picture over this one where a mask is light."""
        x, y = at
        self.y.paste(other.y, (x, y), mask.full)
        self.u.paste(other.u, (x // 2, y // 2), mask.half)
        self.v.paste(other.v, (x // 2, y // 2), mask.half)


@dataclass(frozen=True, slots=True)
class Mask:
    """Where to paint: grey, at full and at half size."""

    full: Image.Image
    half: Image.Image

    @classmethod
    def of(cls, full: Image.Image) -> Self:
        """Make a mask from a grey picture of even size."""
        return cls(full, full.reduce(2))

    def window(self, left: int, width: int) -> "Mask":
        """A part of a wide mask, at its full height; `width` is even."""
        height, near = self.full.height, left // 2
        return Mask(
            self.full.crop((left, 0, left + width, height)),
            self.half.crop((near, 0, near + width // 2, height // 2)),
        )

    def faded(self, share: float) -> "Mask":
        """The mask with its light scaled by 0 to 1."""
        table = [round(value * share) for value in range(256)]
        return Mask(self.full.point(table), self.half.point(table))


def colour(name: str) -> Colour:
    """A CSS colour as (Y, U, V) of the encoder's range."""
    planes = Planes.of(Image.new("RGB", (16, 16), ImageColor.getrgb(name)[:3]))
    return planes.y.tobytes()[0], planes.u.tobytes()[0], planes.v.tobytes()[0]


def photograph(path: Path, size: tuple[int, int]) -> Planes:
    """A picture file cut and scaled to cover `size`, the right way up."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    return Planes.of(ImageOps.fit(upright, size, Image.Resampling.LANCZOS))


def _read(data: bytes, width: int, height: int, stride: int) -> Image.Image:
    return Image.frombytes("L", (width, height), data, "raw", "L", stride, 1)


def _zoomed(plane: Image.Image, factor: float) -> Image.Image:
    width, height = plane.size
    dx, dy = (width - width / factor) / 2, (height - height / factor) / 2
    box = (dx, dy, width - dx, height - dy)
    return plane.resize(plane.size, Image.Resampling.BILINEAR, box=box)
