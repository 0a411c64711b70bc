"""Images as the encoder wants them: grey planes Y, U and V, the last two at half size.

Drawing here instead of in RGB saves the conversion of every frame: half the work of a clip.
"""

from pathlib import Path
from typing import NamedTuple, Self

import av
from PIL import Image, ImageColor, ImageOps

Colour = tuple[int, int, int]


class Planes(NamedTuple):
    """One image of even width and height."""

    y: Image.Image
    u: Image.Image
    v: Image.Image

    @classmethod
    def from_image(cls, image: Image.Image) -> Self:
        frame = av.VideoFrame.from_image(image.convert("RGB"))  # type: ignore[no-untyped-call]
        return cls.from_frame(frame)

    @classmethod
    def from_frame(cls, frame: av.VideoFrame) -> Self:
        planes = frame.reformat(format="yuv420p").planes
        return cls(
            *(
                Image.frombytes("L", (p.width, p.height), bytes(p), "raw", "L", p.line_size, 1)
                for p in planes[:3]
            )
        )

    @property
    def size(self) -> tuple[int, int]:
        return self.y.size

    def to_frame(self) -> av.VideoFrame:
        frame = av.VideoFrame(*self.size, format="yuv420p")
        for plane, image in zip(frame.planes, self, strict=True):
            # FFmpeg pads rows, so each row is written with the plane's own length.
            plane.update(image.tobytes("raw", "L", plane.line_size, 1))
        return frame

    def copy(self) -> "Planes":
        return Planes(*(plane.copy() for plane in self))

    def blend(self, other: "Planes", share: float) -> "Planes":
        """Mix in a share (0 to 1) of another image of the same size."""
        pairs = zip(self, other, strict=True)
        return Planes(*(Image.blend(mine, theirs, share) for mine, theirs in pairs))

    def crop_middle(self, size: tuple[int, int]) -> "Planes":
        """Return the middle of the image; `size` differs from its size by multiples of 4."""
        width, height = size
        left, top = (self.y.width - width) // 2, (self.y.height - height) // 2
        half = (left // 2, top // 2, (left + width) // 2, (top + height) // 2)
        full = self.y.crop((left, top, left + width, top + height))
        return Planes(full, self.u.crop(half), self.v.crop(half))

    def resize(self, size: tuple[int, int]) -> "Planes":
        if self.size == size:
            return self
        half = size[0] // 2, size[1] // 2
        return Planes(self.y.resize(size), self.u.resize(half), self.v.resize(half))

    def fill(self, colour: Colour, box: tuple[int, int, int, int]) -> None:
        """Fill a box (left, top, right, bottom; even numbers) with a colour."""
        half = (box[0] // 2, box[1] // 2, box[2] // 2, box[3] // 2)
        self.y.paste(colour[0], box)
        self.u.paste(colour[1], half)
        self.v.paste(colour[2], half)

    def paint(self, source: "Planes | Colour", mask: "Mask", at: tuple[int, int] = (0, 0)) -> None:
        """Paint a colour, or a smaller image, where a mask is light."""
        half = at[0] // 2, at[1] // 2
        self.y.paste(source[0], at, mask.full)
        self.u.paste(source[1], half, mask.half)
        self.v.paste(source[2], half, mask.half)


class Mask(NamedTuple):
    """Where to paint: grey, at full and at half size."""

    full: Image.Image
    half: Image.Image

    @classmethod
    def from_image(cls, full: Image.Image) -> Self:
        return cls(full, full.reduce(2))

    def crop_columns(self, left: int, width: int) -> "Mask":
        """Return a part of a wide mask at its full height; `width` is even."""
        height, half_left = self.full.height, left // 2
        return Mask(
            self.full.crop((left, 0, left + width, height)),
            self.half.crop((half_left, 0, half_left + width // 2, height // 2)),
        )

    def fade(self, share: float) -> "Mask":
        """Return the mask with its light scaled by 0 to 1."""
        table = [round(value * share) for value in range(256)]
        return Mask(*(image.point(table) for image in self))


def parse_colour(name: str) -> Colour:
    """Return a CSS colour as (Y, U, V) in the range that the encoder uses."""
    planes = Planes.from_image(Image.new("RGB", (16, 16), ImageColor.getrgb(name)[:3]))
    return planes.y.tobytes()[0], planes.u.tobytes()[0], planes.v.tobytes()[0]


def read_image(path: Path, size: tuple[int, int]) -> Planes:
    """Read an image file, turn it upright, and cut and scale it to cover `size`."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return Planes.from_image(ImageOps.fit(upright, size, Image.Resampling.LANCZOS))
