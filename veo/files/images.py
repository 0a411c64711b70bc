"""Images of requests: checked once, stored if necessary, and prepared for a model's limits."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veo.errors import ImageError, LedgerError
from veo.files.atomic import open_atomic
from veo.files.decode import (
    EXIF_ORIENTATION,
    decode_errors,
    describe_losses,
    make_upright,
    open_image,
)
from veo.image import MAX_BYTES, Image, detect_mime
from veo.paths import to_absolute
from veo.text.parsing import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from PIL import Image as Pil

    from veo.ledger.images import LedgerImages
    from veo.model import ImageLimits
    from veo.request import Request

ACCEPTED_TYPES = ("image/jpeg", "image/png", "image/webp")
_JPEG_QUALITIES = (92, 85, 75)  # tried in this order before the image is made smaller
_MIN_SIDE_PX = 256  # a smaller image is of no use to a model
# A larger PNG is a photograph, and becomes a JPEG: uploads of several megabytes fail with 413.
_MAX_PNG_BYTES = 1_000_000
_MIN_UPLOAD_BYTES = 64_000  # no service refuses an image of this size with 413
_SIDEWAYS = (5, 6, 7, 8)  # orientations of EXIF: width and height are swapped
_MAX_DECODERS = 4  # at once, because a decoded image takes up to 50 MB


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """The bytes to send, and a description of the change; None if there was none."""

    data: bytes
    note: str | None = None


class ImageStore:
    """The images of all jobs. Each image is checked once and prepared once for each limit.

    Images given by value or URL are kept in the folder, so that a job survives a restart.

    Args:
        folder: Where images are kept.
        cache_bytes: Size of the prepared images that stay in memory.
        trusted_urls: See ``ApiClient``. By default images come from public addresses only.
        shared: Where the workers of other machines find the images.
    """

    def __init__(
        self,
        folder: Path,
        cache_bytes: int = 64_000_000,
        trusted_urls: Callable[[], Iterable[str]] = tuple,
        shared: LedgerImages | None = None,
    ) -> None:
        self._shared = shared
        self._folder = folder
        self._trusted_urls = trusted_urls
        self._cache_bytes = cache_bytes
        self._prepared: OrderedDict[tuple[Any, ...], PreparedImage] = OrderedDict()
        self._stored: dict[tuple[Any, ...], Image] = {}
        self._lock = threading.Lock()
        # An image always takes the same lock, so that two threads never prepare the same one.
        self._decoder_locks = [threading.Lock() for _ in range(_MAX_DECODERS)]

    def store(self, image: Image) -> Image:
        """Return the image as a reference to a file that stays, with its sha256.

        The image is decoded to its end. An image given by value or URL is written to the folder.

        Raises:
            ImageError: The image is missing, truncated, or of a type that no model accepts.
            LedgerError: The image cannot be written.
        """
        stamp = _file_stamp(image)
        with self._lock:
            stored = self._stored.get(stamp) if stamp else None
        if stored:
            return stored
        source = image.source
        data = self._download(source) if image.is_url else image.read()
        verify_image(source, data)
        digest = hashlib.sha256(data).hexdigest()
        if self._shared:
            self._shared.save(digest, data)
        # A name that is not UTF-8 cannot be stored, so the image itself is.
        is_file = image.data is None and not image.is_url and is_text(source)
        path = str(to_absolute(source)) if is_file else self._write_file(data, digest)
        stored = Image(path, None, digest)
        if stamp:
            with self._lock:
                self._stored[stamp] = stored
        return stored

    def prepare(
        self, image: Image, limits: ImageLimits, shrink: int = 0, fit: FrameFit | None = None
    ) -> tuple[Image, str | None]:
        """Return a stored image with bytes within the limits, and a line if it was changed.

        The size is halved ``shrink`` times, once for each 413 response. ``fit`` gives it the shape
        of the video.
        """
        limit = limits.max_bytes
        if shrink:
            sent = self._prepare(image, limits, limit, fit).data
            limit = max(_MIN_UPLOAD_BYTES, min(limit, len(sent)) >> shrink)
        prepared = self._prepare(image, limits, limit, fit)
        note = prepared.note and f"{image.source}: {prepared.note}"
        return image.with_data(prepared.data), note

    def _prepare(
        self, image: Image, limits: ImageLimits, limit: int, fit: FrameFit | None
    ) -> PreparedImage:
        key = (image.sha256 or image.source, limits.types, limit, limits.max_side, fit)
        with self._decoder_locks[hash(key) % _MAX_DECODERS]:
            prepared = self._prepared.get(key)
            if prepared is None:
                prepared = prepare_image(
                    image.source, self._read_unchanged(image), limits, limit, fit
                )
            self._remember(key, prepared)
        return prepared

    def _read_unchanged(self, image: Image) -> bytes:
        if self._shared and image.sha256 and (shared := self._shared.read(image.sha256)):
            return shared
        data = image.read()
        if image.sha256 and hashlib.sha256(data).hexdigest() != image.sha256:
            raise ImageError(f"{image.source} has changed since the job was planned")
        return data

    def _remember(self, key: tuple[Any, ...], prepared: PreparedImage) -> None:
        with self._lock:
            self._prepared[key] = prepared
            self._prepared.move_to_end(key)  # the least recently used image is dropped first
            while sum(len(each.data) for each in self._prepared.values()) > self._cache_bytes:
                self._prepared.popitem(last=False)

    def _download(self, url: str) -> bytes:
        from veo.http import download_bytes  # noqa: PLC0415 - few requests need requests

        return download_bytes(url, MAX_BYTES, ImageError, self._trusted_urls)

    def _write_file(self, data: bytes, digest: str) -> str:
        path = self._folder / digest
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                with open_atomic(path, durable=True) as file:
                    file.write(data)
        except OSError as error:
            raise LedgerError(
                f"cannot store an image in {self._folder}: {error.strerror or error}",
                hint="Free some space there, or set VEO_HOME to a folder that can be written.",
            ) from error
        return str(path)


# What a telephone makes, and few programs write as something else by themselves.
_CONVERSIONS = {
    "image/heic": ": `heif-convert FILE FILE.jpg` does so, and on macOS the program Preview"
}


def verify_image(source: str, data: bytes) -> None:
    """Decode an image to its end; raise an ImageError if it is broken or of no accepted type."""
    mime = detect_mime(data)
    if mime is None:
        raise ImageError(f"{source} is not an image", hint="Use a JPEG, PNG or WebP file.")
    if mime not in ACCEPTED_TYPES:
        kind = mime.removeprefix("image/").upper()
        hint = f"Save it as JPEG, PNG or WebP{_CONVERSIONS.get(mime, '')}."
        raise ImageError(f"{source} is a {kind}, which no model accepts", hint=hint)
    with decode_errors(source):
        decoded = open_image(source, data)
        decoded.draft(None, (1, 1))  # saves memory: a JPEG is still read to its end
        decoded.load()


@dataclass(frozen=True, slots=True)
class FrameFit:
    """How a frame gets the shape of the video: ``crop`` cuts it, ``pad`` adds black bars."""

    how: str
    ratio: str  # such as 16:9

    def is_shape_of(self, size: tuple[int, int]) -> bool:
        """Return whether an image of a size, width and height in pixels, needs no change."""
        return self._target(size) == size

    def apply_to(self, decoded: Pil.Image) -> Pil.Image:
        from PIL import ImageOps  # noqa: PLC0415

        target = self._target(decoded.size)
        if target == decoded.size:
            return decoded
        change = ImageOps.fit if self.how == "crop" else ImageOps.pad
        changed = change(decoded, target)
        changed.info = decoded.info
        return changed

    def _target(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the largest size inside the image, or the smallest around it, in the ratio."""
        wide, high = map(int, self.ratio.split(":"))
        is_width_kept = (size[0] * high < size[1] * wide) == (self.how == "crop")
        if is_width_kept:
            return size[0], max(1, round(size[0] * high / wide))
        return max(1, round(size[1] * wide / high)), size[1]


def read_frame_sizes(request: Request) -> dict[str, tuple[int, int]]:
    """Return width and height of the frames, upright, by field; not of unreadable ones and URLs."""
    frames = {"start_frame": request.start_frame, "end_frame": request.end_frame}
    sizes = {name: _read_size(frame) for name, frame in frames.items() if frame}
    return {name: size for name, size in sizes.items() if size}


def _read_size(image: Image) -> tuple[int, int] | None:
    if image.is_url:
        return None
    try:
        data = image.read()
        with decode_errors(image.source), open_image(image.source, data) as decoded:
            return _upright_size(decoded)
    except ImageError:  # reported with its reason when the image is stored
        return None


def _upright_size(decoded: Pil.Image) -> tuple[int, int]:
    width, height = decoded.size
    is_sideways = decoded.getexif().get(EXIF_ORIENTATION, 1) in _SIDEWAYS
    return (height, width) if is_sideways else (width, height)


def prepare_image(
    source: str, data: bytes, limits: ImageLimits, max_bytes: int, fit: FrameFit | None = None
) -> PreparedImage:
    """Return an image upright and within the limits, in the best quality that they allow.

    An image that is upright, of an accepted type, of the right shape and small enough is not
    changed, if every service shows it as the user sees it. Any other image becomes a JPEG.
    """
    mime = detect_mime(data)
    with decode_errors(source):
        decoded = open_image(source, data)
        size = decoded.size
        is_rotated = decoded.getexif().get(EXIF_ORIENTATION, 1) != 1
        is_large_png = mime == "image/png" and len(data) > _MAX_PNG_BYTES
        fits = len(data) <= max_bytes and max(size) <= limits.max_side
        has_shape = fit is None or fit.is_shape_of(_upright_size(decoded))
        losses = describe_losses(decoded)
        is_plain = has_shape and not is_rotated and not is_large_png and not losses
        if mime in limits.types and fits and is_plain:
            return PreparedImage(data)
        decoded.draft(None, (limits.max_side, limits.max_side))
        upright = make_upright(decoded)
        if fit:
            upright = fit.apply_to(upright)
        upright.thumbnail((limits.max_side, limits.max_side))
        jpeg, jpeg_size = _encode_jpeg(source, upright, max_bytes)
    note = "; ".join([_describe_change(data, size, jpeg, jpeg_size), *losses])
    return PreparedImage(jpeg, note)


def _encode_jpeg(source: str, decoded: Pil.Image, max_bytes: int) -> tuple[bytes, tuple[int, int]]:
    profile = decoded.info["icc_profile"]
    while True:
        for quality in _JPEG_QUALITIES:
            out = io.BytesIO()
            decoded.save(out, "JPEG", quality=quality, optimize=True, icc_profile=profile)
            if out.tell() <= max_bytes:
                return out.getvalue(), decoded.size
        if max(decoded.size) < _MIN_SIDE_PX:
            raise ImageError(f"{source} does not fit into {max_bytes} bytes at any useful size")
        decoded = decoded.resize((max(1, decoded.width * 3 // 4), max(1, decoded.height * 3 // 4)))


def _describe_change(
    before: bytes, size: tuple[int, int], after: bytes, new_size: tuple[int, int]
) -> str:
    kind = str(detect_mime(before)).removeprefix("image/").upper()
    return (
        f"{kind} {size[0]}x{size[1]}, {len(before) / 1e6:.1f} MB"
        f" -> JPEG {new_size[0]}x{new_size[1]}, {len(after) / 1e6:.1f} MB"
    )


def _file_stamp(image: Image) -> tuple[Any, ...] | None:
    """Return a key that changes when the image changes; None for a file that cannot be read."""
    if image.data is not None:
        return ("value", image.sha256)
    if image.is_url:
        return ("url", image.source)
    try:
        stat = to_absolute(image.source).stat()
    except (OSError, ValueError):
        return None
    return ("file", image.source, stat.st_mtime_ns, stat.st_size, stat.st_ino)
