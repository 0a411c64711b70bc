"""Images of a request: where one comes from, and which type its bytes have."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from urllib.parse import unquote_to_bytes

from veo.errors import ImageError
from veo.paths import to_absolute

# By magic bytes. Types that no model accepts are here too, so that errors can name them.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
# HEIC and AVIF share a container, whose brand at byte 8 tells them apart.
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
}
# What JPEG, PNG, WebP and GIF files begin with in base64. No path is that long.
_RAW_BASE64 = re.compile(r"(?:/9j/|iVBORw0KGgo|UklGR|R0lGOD)[\w+/=\s-]{200,}", re.ASCII)
_MAX_SHOWN_CHARS = 300  # of a path or URL in an error
MAX_BYTES = 64_000_000  # of an image; services take at most 20 MB
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


def detect_mime(data: bytes) -> str | None:
    """Return the MIME type of an image by its first bytes, or None; file names often lie."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return _BRANDS[data[8:12]]
    return next((mime for signature, mime in _SIGNATURES if data.startswith(signature)), None)


@dataclass(frozen=True, slots=True)
class Image:
    """An image by reference (a path, a URL) or by value (bytes, a data URI).

    Providers receive only images with bytes that fit the limits of the model.

    Attributes:
        source: The path or URL, or a label such as ``<bytes>`` for an image given by value.
        data: The encoded image; None for a reference.
        sha256: The hash of the original image; None before it was read.
    """

    source: str
    data: bytes | None = field(default=None, repr=False)
    sha256: str | None = None

    @classmethod
    def of(cls, source: Image | str | Path | bytes) -> Image:
        """Return an image from a path, an ``http(s)`` URL, a ``data:`` URI or its bytes.

        Raises:
            ImageError: The data URI cannot be decoded.
        """
        if isinstance(source, Image):
            return source
        if isinstance(source, bytes):
            # Hashed at once: a value cannot change, and requests are compared by their images.
            return cls("<bytes>", source, hashlib.sha256(source).hexdigest())
        text = str(source)
        if _RAW_BASE64.fullmatch(text):
            raise ImageError(
                "an image in base64 needs its header: data:image/png;base64,...",
                hint="A path or a URL works as well.",
            )
        if text[:5].lower() == "data:":
            data = _decode_data_uri(text)
            return cls("<data URI>", data, hashlib.sha256(data).hexdigest())
        return cls(text)

    @property
    def is_url(self) -> bool:
        """Whether the image has to be downloaded first."""
        return self.source.lower().startswith(("http://", "https://"))

    @property
    def mime(self) -> str:
        """The MIME type of the bytes.

        Raises:
            ImageError: The image has no bytes, or they are of no known type.
        """
        mime = detect_mime(self.data or b"")
        if mime is None:
            raise ImageError(f"{self.source} is not an image of a known type")
        return mime

    @property
    def filename(self) -> str:
        """A file name for uploads: of the right type, without the user's own path."""
        return f"image{_SUFFIXES.get(self.mime, '.bin')}"

    def data_uri(self) -> str:
        """Return the image as ``data:<mime>;base64,...``; it must have bytes."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data or b'').decode()}"

    def read(self) -> bytes:
        """Return the bytes of an image given by value or by path.

        Raises:
            ImageError: The file cannot be read.
        """
        if self.data is not None:
            return self.data
        name = shorten_source(self.source)
        try:
            path = to_absolute(self.source)
            stat = path.stat()
            # A device or a pipe may have no end, and opening one may wait for ever.
            if not S_ISREG(stat.st_mode):
                kind = "a directory" if S_ISDIR(stat.st_mode) else "a device or a pipe"
                raise ImageError(f"{name} is {kind}, not a file")
            if stat.st_size > MAX_BYTES:
                raise ImageError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB")
            return path.read_bytes()
        except FileNotFoundError:
            raise ImageError(f"{name}: no such file") from None
        except OSError as error:
            raise ImageError(f"{name}: {error.strerror or error}") from error
        except ValueError as error:
            raise ImageError(f"{name!r} is not a valid path: {error}") from error

    def with_data(self, data: bytes) -> Image:
        """Return the image with other bytes, for example made smaller; the sha256 stays."""
        return replace(self, data=data)


def shorten_source(source: str) -> str:
    """Return a path or URL for an error, cut if it is longer than any real one."""
    return source if len(source) <= _MAX_SHOWN_CHARS else f"{source[:_MAX_SHOWN_CHARS]}..."


def _decode_data_uri(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise ImageError(
            "the data URI has no comma; a valid one starts with data:image/png;base64,"
        )
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        # Line breaks are common in base64; any other foreign character is an error.
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError as error:
        raise ImageError(f"the data URI is not valid base64: {error}") from error
