"""Text on an image: wrapped, sized to fit, in a font that has its letters."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Tried in this order after Pillow's own font, which has neither Cyrillic nor CJK letters.
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
_LINE_HEIGHT = 1.28
"""Height of a line, in sizes of its letters."""

_MAX_WORDS = 60


def draw_caption(text: str, size: tuple[int, int], max_points: int) -> Image.Image:
    """Draw white text with a soft shadow, centred on a transparent RGBA image of `size`.

    The letters are `max_points` high, or as much smaller as the text needs.
    """
    lines, font, height = _fit_text(_shorten(text), size, max_points)
    words = Image.new("L", size, 0)
    draw = ImageDraw.Draw(words)
    top = (size[1] - height * len(lines)) / 2
    for row, line in enumerate(lines):
        middle = (size[0] / 2, top + height * (row + 0.5))
        draw.text(middle, line, fill=255, font=font, anchor="mm")
    return _add_shadow(words, height / 7)


def draw_label(text: str, height: int) -> Image.Image:
    """Draw one short line of white text on a transparent image that is as wide as the text."""
    font = _choose_font(text, height)
    width = round(font.getlength(text)) + height
    words = Image.new("L", (width + width % 2, height * 2), 0)
    ImageDraw.Draw(words).text((height // 2, height), text, fill=235, font=font, anchor="lm")
    return _add_shadow(words, height / 8)


def draw_card(path: Path, side: int) -> Image.Image:
    """Draw an image file as a small square print with a white edge and round corners."""
    edge, radius = max(side // 24, 2), side // 8
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    inner = ImageOps.fit(upright, (side - 2 * edge, side - 2 * edge))
    card = Image.new("RGBA", (side, side), "white")
    card.paste(inner, (edge, edge), _rounded_mask(inner.size, radius - edge))
    card.putalpha(_rounded_mask((side, side), radius))
    return card


def _rounded_mask(size: tuple[int, int], radius: int) -> Image.Image:
    # Drawn four times as large and reduced, for smooth corners.
    large = Image.new("L", (size[0] * 4, size[1] * 4), 0)
    box = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, max(radius, 1) * 4, fill=255)
    return large.reduce(4)


def _add_shadow(words: Image.Image, blur: float) -> Image.Image:
    shadow = words.filter(ImageFilter.GaussianBlur(blur)).point(lambda light: min(255, light * 2))
    alpha = Image.composite(words, shadow.point(lambda light: light * 3 // 5), words)
    grey = Image.composite(Image.new("L", words.size, 255), Image.new("L", words.size, 12), words)
    return Image.merge("RGBA", (grey, grey, grey, alpha))


def _shorten(text: str) -> str:
    words = text.split()
    return " ".join(words[:_MAX_WORDS]) + (" …" if len(words) > _MAX_WORDS else "")


def _fit_text(text: str, size: tuple[int, int], max_points: int) -> tuple[list[str], Font, float]:
    """Return the lines, font and line height of the largest letters that fit into `size`."""
    # Steps of two points halve the time and cannot be seen.
    for points in range(max(max_points, 8), max(max_points // 4, 6), -2):
        font = _choose_font(text, points)
        lines = list(_wrap_lines(text, font, size[0] * 0.94))
        if points * _LINE_HEIGHT * len(lines) <= size[1]:
            break
    max_lines = max(int(size[1] / (points * _LINE_HEIGHT)), 1)
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], lines[max_lines - 1][:-1] + "…"]
    return lines, font, points * _LINE_HEIGHT


def _wrap_lines(text: str, font: Font, width: float) -> Iterator[str]:
    line = ""
    for piece in _split_words(text, font, width):
        longer = f"{line}{piece}"
        if line and font.getlength(longer.rstrip()) > width:
            yield line.rstrip()
            longer = piece
        line = longer
    if line.strip():
        yield line.rstrip()


def _split_words(text: str, font: Font, width: float) -> Iterator[str]:
    """Yield words with the space behind them; single letters of a word wider than a line."""
    for word in text.split():
        if font.getlength(word) <= width:
            yield f"{word} "
        else:
            yield from word
            yield " "


@cache
def _load_font(name: str, points: int) -> Font | None:
    try:
        return ImageFont.truetype(name, points) if name else ImageFont.load_default(points)
    except OSError:
        return None


def _choose_font(text: str, points: int) -> Font:
    letters = "".join(sorted(set(text)))
    return _load_font(_best_font(letters), points) or ImageFont.load_default(points)


@cache
def _best_font(letters: str) -> str:
    names = [name for name in ("", *_FONTS) if _load_font(name, 24)]
    return min(names, key=lambda name: _missing_letters(name, letters), default="")


def _missing_letters(name: str, letters: str) -> int:
    face = _load_font(name, 24)
    if not isinstance(face, ImageFont.FreeTypeFont):
        return len(letters)
    # Every font draws a letter that it lacks like this code point, which no font has.
    unknown = bytes(face.getmask("\U0010ffff"))
    return sum(bytes(face.getmask(letter)) == unknown for letter in letters if letter.strip())
