"""Pictures made fit to send: looked at once, then turned, converted and shrunk to a limit."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veo.errors import ConfigError, ImageError, LedgerError, ProviderError
from veo.files.atomic import open_atomic
from veo.image import Image, sniff
from veo.paths import to_absolute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL import Image as Pil

    from veo.model import ImageLimits

ACCEPTED_TYPES = ("image/jpeg", "image/png", "image/webp")
_EXIF_ORIENTATION = 0x0112
_JPEG_QUALITIES = (92, 85, 75)
_MIN_SIDE_PX = 256
_MAX_PNG_BYTES = 1_000_000
_MAX_DOWNLOAD_BYTES = 64_000_000
_MIN_UPLOAD_BYTES = 64_000  # nobody answers 413 to less
_MAX_DECODERS = 4


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture ready to send, and what was done to it in a few words (None: nothing)."""

    data: bytes
    note: str | None = None


class ImageStore:
    """The pictures of all jobs: kept by content where they came by value, fitted once each.

    Args:
        folder: Where pictures given by value or URL are kept, so that a job survives a restart.
        room: Bytes of fitted pictures to remember; a frame that two clips share is encoded once.
    """

    def __init__(self, folder: Path, room: int = 64_000_000) -> None:
        self._folder = folder
        self._cache_bytes = room
        self._prepared: OrderedDict[tuple[Any, ...], PreparedImage] = OrderedDict()
        self._stored: dict[tuple[Any, ...], Image] = {}
        self._lock = threading.Lock()
        # A decoded picture takes 50 MB: so many are worked on at once, and each only once.
        self._decoder_locks = [threading.Lock() for _ in range(_MAX_DECODERS)]

    def store(self, image: Image) -> Image:
        """The image by reference to a file that stays, with its sha256; looked at, to its end.

        Raises:
            ImageError: Missing, truncated, not a picture, or of a kind that no model takes.
        """
        stamp = _file_stamp(image)
        with self._lock:
            known = self._stored.get(stamp) if stamp else None
        if known:
            return known
        data = download_image(image.source) if image.is_url else image.read()
        verify_image(image.source, data)
        digest = hashlib.sha256(data).hexdigest()
        by_value = image.is_url or image.data is not None
        source = self._write_file(data, digest) if by_value else str(to_absolute(image.source))
        kept = Image(source, None, digest)
        if stamp:
            with self._lock:
                self._stored[stamp] = kept
        return kept

    def prepare(
        self, image: Image, limits: ImageLimits, shrink: int = 0
    ) -> tuple[Image, str | None]:
        """The image carrying bytes that fit the limits, and a line if it had to be changed.

        Args:
            image: As ``keep`` returned it.
            limits: What the model takes.
            shrink: How many times to halve what was sent, after a 413 answer.

        Raises:
            ImageError: The file is gone, or is not the picture that was planned.
        """
        limit = limits.max_bytes
        if shrink:
            sent = self._prepare(image, limits, limit).data
            limit = max(_MIN_UPLOAD_BYTES, min(limit, len(sent)) >> shrink)
        fitted = self._prepare(image, limits, limit)
        note = fitted.note and f"{image.source}: {fitted.note}"
        return image.carrying(fitted.data), note

    def _prepare(self, image: Image, limits: ImageLimits, limit: int) -> PreparedImage:
        key = (image.sha256 or image.source, limits.types, limit, limits.max_side)
        with self._decoder_locks[hash(key) % _MAX_DECODERS]:
            fitted = self._prepared.get(key)
            if fitted is None:
                fitted = prepare_image(image.source, self._read_unchanged(image), limits, limit)
            self._remember(key, fitted)
        return fitted

    def _read_unchanged(self, image: Image) -> bytes:
        data = image.read()
        if image.sha256 and hashlib.sha256(data).hexdigest() != image.sha256:
            raise ImageError(f"{image.source} has changed since the job was planned")
        return data

    def _remember(self, key: tuple[Any, ...], fitted: PreparedImage) -> None:
        with self._lock:
            self._prepared[key] = fitted
            self._prepared.move_to_end(key)  # what is shared by many stays
            while sum(len(kept.data) for kept in self._prepared.values()) > self._cache_bytes:
                self._prepared.popitem(last=False)

    def _write_file(self, data: bytes, digest: str) -> str:
        path = self._folder / digest
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                with open_atomic(path, durable=True) as file:
                    file.write(data)
        except OSError as error:
            raise LedgerError(
                f"cannot keep a picture in {self._folder}: {error.strerror or error}",
                hint="Free some space there, or set VEO_HOME to a folder that can be written.",
            ) from error
        return str(path)


def verify_image(source: str, data: bytes) -> None:
    """Decode a picture to its end.

    Raises:
        ImageError: It is truncated, no picture at all, or of a kind that no model takes.
    """
    mime = sniff(data)
    if mime is None:
        raise ImageError(f"{source} is not a picture", hint="JPEG, PNG and WebP are taken.")
    if mime not in ACCEPTED_TYPES:
        kind = mime.removeprefix("image/").upper()
        raise ImageError(
            f"{source} is a {kind}, which no model takes", hint="Save it as JPEG, PNG or WebP."
        )
    with _decode_errors(source):
        picture = _open_image(data)
        picture.draft(None, (1, 1))  # a JPEG is read to its end all the same, and takes no room
        picture.load()


def prepare_image(source: str, data: bytes, limits: ImageLimits, max_bytes: int) -> PreparedImage:
    """A picture turned upright and made to fit, in as good a quality as the limit allows.

    A picture that is already upright, of an accepted type and small enough is not touched. Large
    PNGs become JPEGs: photographs as PNG are what makes uploads fail with 413.

    Raises:
        ImageError: It cannot be decoded, or fits at no useful size.
    """
    mime = sniff(data)
    with _decode_errors(source):
        picture = _open_image(data)
        size = picture.size
        turned = picture.getexif().get(_EXIF_ORIENTATION, 1) != 1
        heavy_png = mime == "image/png" and len(data) > _MAX_PNG_BYTES
        small = len(data) <= max_bytes and max(size) <= limits.max_side
        if mime in limits.types and small and not turned and not heavy_png:
            return PreparedImage(data)
        picture.draft(None, (limits.max_side, limits.max_side))
        upright = _make_upright(picture)
        upright.thumbnail((limits.max_side, limits.max_side))
        made, new_size = _encode_jpeg(source, upright, max_bytes)
    return PreparedImage(made, _describe_change(data, size, made, new_size))


def download_image(url: str) -> bytes:
    """The bytes of a picture behind an ``http(s)`` URL; at most 64 MB.

    Raises:
        ImageError: It cannot be had.
    """
    from veo.http.client import ApiClient  # noqa: PLC0415 - requests is heavy, few requests name a URL

    try:
        with closing(ApiClient(url).open(url)) as answer:
            if answer.status != 200:
                raise ImageError(f"{url}: HTTP {answer.status}")
            return b"".join(_limit_bytes(_MAX_DOWNLOAD_BYTES, url, answer.chunks()))
    except ProviderError as error:
        raise ImageError(f"{url}: {error.message}") from error
    except ConfigError:
        raise ImageError(f"{url!r} is no URL of a picture") from None


def _limit_bytes(limit: int, url: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if count > limit:
            raise ImageError(f"{url} is larger than {limit // 1_000_000} MB")
        yield chunk


@contextmanager
def _decode_errors(source: str) -> Iterator[None]:
    from PIL import Image as Pil  # noqa: PLC0415 - 27 ms that only a request with pictures needs

    try:
        yield
    except ImageError:
        raise
    except (Pil.DecompressionBombError, Pil.DecompressionBombWarning):
        raise ImageError(f"{source} has too many pixels") from None
    except Exception as error:  # noqa: BLE001 - what decoders raise about a broken file is no one kind
        raise ImageError(f"{source} is broken or truncated: {error}") from None


def _open_image(data: bytes) -> Pil.Image:
    from PIL import Image as Pil  # noqa: PLC0415

    return Pil.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))


def _make_upright(picture: Pil.Image) -> Pil.Image:
    """The picture as a person sees it, in RGB, its colour profile kept where that still fits."""
    from PIL import Image as Pil  # noqa: PLC0415
    from PIL import ImageOps  # noqa: PLC0415

    upright = ImageOps.exif_transpose(picture)
    profile = upright.info.get("icc_profile") if upright.mode in {"RGB", "RGBA"} else None
    if upright.has_transparency_data:
        layered = upright.convert("RGBA")
        white = Pil.new("RGBA", layered.size, "white")
        upright = Pil.alpha_composite(white, layered)
    plain = upright.convert("RGB")
    plain.info = {"icc_profile": profile}
    return plain


def _encode_jpeg(source: str, picture: Pil.Image, max_bytes: int) -> tuple[bytes, tuple[int, int]]:
    profile = picture.info["icc_profile"]
    while True:
        for quality in _JPEG_QUALITIES:
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality, optimize=True, icc_profile=profile)
            if out.tell() <= max_bytes:
                return out.getvalue(), picture.size
        if max(picture.size) < _MIN_SIDE_PX:
            raise ImageError(f"{source} does not fit into {max_bytes} bytes at any useful size")
        picture = picture.resize((max(1, picture.width * 3 // 4), max(1, picture.height * 3 // 4)))


def _describe_change(
    before: bytes, size: tuple[int, int], after: bytes, new_size: tuple[int, int]
) -> str:
    kind = str(sniff(before)).removeprefix("image/").upper()
    return (
        f"{kind} {size[0]}x{size[1]}, {len(before) / 1e6:.1f} MB"
        f" -> JPEG {new_size[0]}x{new_size[1]}, {len(after) / 1e6:.1f} MB"
    )


def _file_stamp(image: Image) -> tuple[Any, ...] | None:
    """What tells that a file is still the one that was looked at; None for what is no file."""
    if image.data is not None:
        return ("value", image.sha256)
    if image.is_url:
        return ("url", image.source)
    try:
        stat = to_absolute(image.source).stat()
    except (OSError, ValueError):
        return None
    return ("file", image.source, stat.st_mtime_ns, stat.st_size, stat.st_ino)
