"""Words on a picture: wrapped, sized to fit, in a font that has their letters."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Tried in this order after Pillow's own font, which knows no Cyrillic and no CJK.
_FONTS = (
    "DejaVuSans-Bold.ttf",
    "NotoSans-Bold.ttf",
    "NotoSansCJK-Bold.ttc",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "Arial Unicode.ttf",
    "msyhbd.ttc",
    "arialbd.ttf",
)
_LINE = 1.28
_MOST_WORDS = 60


def caption(text: str, size: tuple[int, int], largest: int) -> Image.Image:
    """White words with a soft shadow, centred on a clear RGBA picture of `size`.

    The letters are `largest` points, or as much smaller as the text needs.
    """
    lines, font, height = _fit(_shortened(text), size, largest)
    words = Image.new("L", size, 0)
    draw = ImageDraw.Draw(words)
    top = (size[1] - height * len(lines)) / 2
    for row, line in enumerate(lines):
        middle = (size[0] / 2, top + height * (row + 0.5))
        draw.text(middle, line, fill=255, font=font, anchor="mm")
    return _shadowed(words, height / 7)


def label(text: str, height: int) -> Image.Image:
    """One short line as white words on clear ground, as wide as they are."""
    font = _font(text, height)
    width = round(font.getlength(text)) + height
    words = Image.new("L", (width + width % 2, height * 2), 0)
    ImageDraw.Draw(words).text((height // 2, height), text, fill=235, font=font, anchor="lm")
    return _shadowed(words, height / 8)


def card(path: Path, side: int) -> Image.Image:
    """A picture file as a small square print with a white edge and round corners."""
    edge, radius = max(side // 24, 2), side // 8
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    inner = ImageOps.fit(upright, (side - 2 * edge, side - 2 * edge))
    print_ = Image.new("RGBA", (side, side), "white")
    print_.paste(inner, (edge, edge), _rounded(inner.size, radius - edge))
    print_.putalpha(_rounded((side, side), radius))
    return print_


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    large = Image.new("L", (size[0] * 4, size[1] * 4), 0)
    box = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, max(radius, 1) * 4, fill=255)
    return large.reduce(4)


def _shadowed(words: Image.Image, blur: float) -> Image.Image:
    shadow = words.filter(ImageFilter.GaussianBlur(blur)).point(lambda light: min(255, light * 2))
    alpha = Image.composite(words, shadow.point(lambda light: light * 3 // 5), words)
    grey = Image.composite(Image.new("L", words.size, 255), Image.new("L", words.size, 12), words)
    return Image.merge("RGBA", (grey, grey, grey, alpha))


def _shortened(text: str) -> str:
    words = text.split()
    return " ".join(words[:_MOST_WORDS]) + (" …" if len(words) > _MOST_WORDS else "")


def _fit(text: str, size: tuple[int, int], largest: int) -> tuple[list[str], Font, float]:
    """The largest letters with which the text stays inside `size`."""
    for points in range(max(largest, 8), max(largest // 4, 6), -2):
        font = _font(text, points)
        lines = list(_wrapped(text, font, size[0] * 0.94))
        if points * _LINE * len(lines) <= size[1]:
            break
    most = max(int(size[1] / (points * _LINE)), 1)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][:-1] + "…"]
    return lines, font, points * _LINE


def _wrapped(text: str, font: Font, width: float) -> Iterator[str]:
    line = ""
    for piece in _pieces(text, font, width):
        longer = f"{line}{piece}"
        if line and font.getlength(longer.rstrip()) > width:
            yield line.rstrip()
            longer = piece
        line = longer
    if line.strip():
        yield line.rstrip()


def _pieces(text: str, font: Font, width: float) -> Iterator[str]:
    """Words with the space behind them; letters where a word fills more than a line."""
    for word in text.split():
        if font.getlength(word) <= width:
            yield f"{word} "
        else:
            yield from word
            yield " "


@cache
def _face(name: str, points: int) -> Font | None:
    try:
        return ImageFont.truetype(name, points) if name else ImageFont.load_default(points)
    except OSError:
        return None


def _font(text: str, points: int) -> Font:
    """The first font that lacks fewest of the text's letters."""
    letters = "".join(sorted(set(text)))
    return _face(_best(letters), points) or ImageFont.load_default(points)


@cache
def _best(letters: str) -> str:
    names = [name for name in ("", *_FONTS) if _face(name, 24)]
    return min(names, key=lambda name: _lacking(name, letters), default="")


def _lacking(name: str, letters: str) -> int:
    face = _face(name, 24)
    if not isinstance(face, ImageFont.FreeTypeFont):
        return len(letters)
    unknown = bytes(face.getmask("\U0010ffff"))
    return sum(bytes(face.getmask(letter)) == unknown for letter in letters if letter.strip())
