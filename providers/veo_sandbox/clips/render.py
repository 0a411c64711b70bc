"""From a `ClipSpec` to an MP4: which pictures, which sound, which file."""

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from PIL import Image

from veo_sandbox.clips import mp4
from veo_sandbox.clips.captions import caption, card, label
from veo_sandbox.clips.scenery import Landscape
from veo_sandbox.clips.spec import ClipSpec
from veo_sandbox.clips.yuv import Mask, Planes, photograph

_LONG_SIDE = 1280
_CHORDS = (
    (220.0, 277.18, 329.63, 440.0),
    (196.0, 246.94, 293.66, 392.0),
    (174.61, 220.0, 261.63, 349.23),
    (164.81, 207.65, 246.94, 329.63),
    (146.83, 220.0, 277.18, 369.99),
)


class StoppedError(Exception):
    """The sandbox is being stopped; nothing was written."""


def render(spec: ClipSpec, path: Path, stopping: Callable[[], bool] = lambda: False) -> None:
    """Make the clip at `path`; asked before every frame, `stopping` can call it off.

    A tiny clip has the same length and sound format, a picture an eighth as wide, two frames a
    second, and costs nothing after the first of its kind.

    Raises:
        StoppedError: `stopping` said so.
    """
    if spec.tiny:
        with mp4.whole(path) as draft:
            draft.write_bytes(mp4.padded(_tiny(spec.size, spec.seconds), spec.least_bytes))
    elif spec.earlier:
        extend(Path(spec.earlier), spec.prompt, path, spec.seconds, stopping)
    else:
        _film(spec, _pictures(spec), path, stopping)


def extend(
    earlier: Path,
    prompt: str,
    path: Path,
    seconds: float = 7.0,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Write one MP4 at `path`: the earlier one unchanged, then `seconds` that go on from its end.

    Raises:
        StoppedError: `stopping` said so.
        ValueError: the earlier file is no MP4 with picture and sound as `render` makes them.
    """
    last = Planes.of_frame(mp4.last_frame(earlier))
    spec = ClipSpec(prompt, *last.size, seconds=seconds)
    pictures = _dissolve(last, _pictures(spec), over=spec_frames(spec) // 4)
    with TemporaryDirectory(dir=path.parent, prefix=".extend-") as folder:
        sequel = Path(folder) / "sequel.mp4"
        _film(spec, pictures, sequel, stopping)
        mp4.join(earlier, sequel, path)


def spec_frames(spec: ClipSpec) -> int:
    """How many frames a clip has."""
    return round(spec.seconds * mp4.FPS)


def _film(
    spec: ClipSpec, pictures: Iterator[Planes], path: Path, stopping: Callable[[], bool]
) -> None:
    def watched() -> Iterator[Planes]:
        for picture in pictures:
            if stopping():
                raise StoppedError
            yield picture

    chord = Random(spec.prompt).choice(_CHORDS)  # noqa: S311 - repeatable sound
    mp4.encode(path, (picture.frame() for picture in watched()), spec.size, spec.seconds, chord)


def _pictures(spec: ClipSpec) -> Iterator[Planes]:
    canvas = _canvas(spec.size)
    frames = spec_frames(spec)
    if spec.start and spec.end:
        ends = photograph(Path(spec.start), canvas), photograph(Path(spec.end), canvas)
        return _titled(_crossfade(*ends, frames), _subtitle(spec, canvas), frames, leaves=True)
    if spec.start:
        zoom = _zoom(photograph(Path(spec.start), canvas), frames)
        return _titled(zoom, _subtitle(spec, canvas), frames, leaves=False)
    scenery = Landscape(spec.prompt, canvas, frames).pictures()
    return _engraved(scenery, _title(spec, canvas), frames)


def _crossfade(start: Planes, end: Planes, frames: int) -> Iterator[Planes]:
    for number in range(frames):
        share = number / (frames - 1)
        yield start.blend(end, (1 - math.cos(math.pi * share)) / 2)


def _zoom(picture: Planes, frames: int) -> Iterator[Planes]:
    """Slowly closer; every picture lasts two frames, which halves the work and shows no less."""
    for number in range(0, frames, 2):
        closer = picture.zoom(1 + 0.12 * number / frames)
        yield from (closer, closer)[: frames - number]


def _dissolve(first: Planes, then: Iterator[Planes], over: int) -> Iterator[Planes]:
    """Start on `first` and pass over into another film."""
    for number, picture in enumerate(then):
        share = min((number + 1) / over, 1.0)
        yield picture if share == 1 else _same_size(first, picture.size).blend(picture, share)


def _same_size(picture: Planes, size: tuple[int, int]) -> Planes:
    half = size[0] // 2, size[1] // 2
    sizes = (size, half, half)
    planes = zip((picture.y, picture.u, picture.v), sizes, strict=True)
    return Planes(*(plane.resize(to) if plane.size != to else plane for plane, to in planes))


class _Overlay:
    """A clear picture laid over a film."""

    def __init__(self, drawing: Image.Image) -> None:
        left, top, right, bottom = drawing.getbbox() or (0, 0, 2, 2)
        box = left & ~1, top & ~1, (right + 1) & ~1, (bottom + 1) & ~1
        part = drawing.crop(box)
        self._at = box[:2]
        self._planes = Planes.of(part)
        self._mask = Mask.of(part.getchannel("A"))
        self._shade = cache(self._mask.faded)

    def over(self, picture: Planes, share: float = 1.0) -> Planes:
        mask = self._mask if share >= 1 else self._shade(round(share * 24) / 24)
        picture.lay(self._planes, mask, self._at)
        return picture


def _engraved(film: Iterator[Planes], title: _Overlay, frames: int) -> Iterator[Planes]:
    for number, picture in enumerate(film):
        _clockhand(picture, (number + 1) / frames)
        yield title.over(picture)


def _titled(
    film: Iterator[Planes], title: _Overlay, frames: int, *, leaves: bool
) -> Iterator[Planes]:
    """The title comes after the first half second, and leaves before the last if it `leaves`."""
    for number, picture in enumerate(film):
        rest = frames - 1 - number if leaves else frames
        share = min((number - 10) / 14, (rest - 10) / 14, 1.0)
        yield title.over(picture.copy(), share) if share > 0 else picture


def _clockhand(picture: Planes, share: float) -> None:
    """A thin line along the bottom that grows with the time gone by."""
    width, height = picture.size
    thick = max(height // 240, 2)
    picture.y.paste(225, (0, height - thick, round(width * share), height))


def _title(spec: ClipSpec, size: tuple[int, int]) -> _Overlay:
    width, height = size
    drawing = Image.new("RGBA", size)
    words = caption(spec.prompt, (int(width * 0.84), int(height * 0.4)), min(size) // 8)
    drawing.alpha_composite(words, (int(width * 0.08), int(height * 0.27)))
    return _Overlay(_signed(_with_cards(drawing, spec)))


def _subtitle(spec: ClipSpec, size: tuple[int, int]) -> _Overlay:
    width, height = size
    drawing = Image.new("RGBA", size)
    words = caption(spec.prompt, (int(width * 0.84), int(height * 0.16)), min(size) // 15)
    drawing.alpha_composite(words, (int(width * 0.08), int(height * 0.76)))
    return _Overlay(_signed(_with_cards(drawing, spec)))


def _with_cards(drawing: Image.Image, spec: ClipSpec) -> Image.Image:
    side = min(drawing.size) // 5
    gap = side // 6
    left = (drawing.width - len(spec.references) * (side + gap) + gap) // 2
    for number, path in enumerate(spec.references):
        place = (left + number * (side + gap), drawing.height // 16)
        drawing.alpha_composite(card(Path(path), side), place)
    return drawing


def _signed(drawing: Image.Image) -> Image.Image:
    height = max(min(drawing.size) // 36, 6)
    mark = label("veo sandbox", height)
    place = (drawing.width - mark.width - height // 2, drawing.height - mark.height - height // 2)
    drawing.alpha_composite(mark, place)
    return drawing


def _canvas(size: tuple[int, int]) -> tuple[int, int]:
    """The size that is drawn; the encoder's scaler makes larger pictures of it."""
    scale = min(1.0, _LONG_SIDE / max(size))
    width, height = (round(side * scale / 2) * 2 for side in size)
    return width, height


@cache
def _tiny(size: tuple[int, int], seconds: float) -> bytes:
    small = tuple(max(round(side / 16) * 2, 16) for side in size)
    frames = round(seconds * 2)
    picture = Planes.of(Image.new("RGB", (small[0], small[1]), "#3f6f8c"))
    with TemporaryDirectory(prefix="veo-sandbox-") as folder:
        path = Path(folder) / "tiny.mp4"
        pictures = (picture.frame() for _ in range(frames))
        mp4.encode(
            path,
            pictures,
            (small[0], small[1]),
            seconds,
            (220.0,),
            mp4.Quality(fps=2, bit_rate=8_000),
        )
        return path.read_bytes()
