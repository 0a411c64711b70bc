"""Images that go into a request: where one comes from, and what its bytes say it is."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from veo.errors import ImageError
from veo.paths import to_absolute

if TYPE_CHECKING:
    from pathlib import Path

_HEADS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
}
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


def detect_mime(data: bytes) -> str | None:
    """The MIME type that the first bytes of a picture tell, or None; suffixes are never asked."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return _BRANDS[data[8:12]]
    return next((mime for head, mime in _HEADS if data.startswith(head)), None)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture by reference (a path, a URL) or by value (bytes, a data URI).

    A provider only ever sees images that carry their bytes, fitted to its model's limits.

    Attributes:
        source: The path or URL, or a label such as ``<bytes>`` for a picture given by value.
        data: The encoded picture, or None while it is only referred to.
        sha256: Of the picture as the user gave it; known once it has been looked at.
    """

    source: str
    data: bytes | None = field(default=None, repr=False)
    sha256: str | None = None

    @classmethod
    def of(cls, source: Image | str | Path | bytes) -> Image:
        """An image from a path, an ``http(s)`` URL, a ``data:`` URI or the bytes themselves.

        Raises:
            ImageError: The data URI cannot be decoded.
        """
        if isinstance(source, Image):
            return source
        if isinstance(source, bytes):
            return cls("<bytes>", source, hashlib.sha256(source).hexdigest())
        text = str(source)
        if text[:5].lower() == "data:":
            data = _decode_data_uri(text)
            return cls("<data URI>", data, hashlib.sha256(data).hexdigest())
        return cls(text)

    @property
    def is_url(self) -> bool:
        """Whether the picture has to be downloaded first."""
        return self.source.lower().startswith(("http://", "https://"))

    @property
    def mime(self) -> str:
        """The MIME type by magic bytes; the bytes must be there.

        Raises:
            ImageError: The image carries no bytes, or bytes of no known kind of picture.
        """
        mime = detect_mime(self.data or b"")
        if mime is None:
            raise ImageError(f"{self.source} is not a picture that anyone knows")
        return mime

    @property
    def filename(self) -> str:
        """A file name for an upload: it tells the real type, and nothing about the user's disk."""
        return f"image{_SUFFIXES.get(self.mime, '.bin')}"

    def data_uri(self) -> str:
        """The picture as ``data:<mime>;base64,...``; the bytes must be there."""
        return f"data:{self.mime};base64,{base64.b64encode(self.data or b'').decode()}"

    def read(self) -> bytes:
        """The bytes of a picture given by value or by path.

        Raises:
            ImageError: The file is missing, a folder, or cannot be read.
        """
        if self.data is not None:
            return self.data
        try:
            return to_absolute(self.source).read_bytes()
        except FileNotFoundError:
            raise ImageError(f"{self.source}: no such file") from None
        except OSError as error:
            raise ImageError(f"{self.source}: {error.strerror or error}") from error
        except ValueError as error:
            raise ImageError(f"{self.source!r} is no path: {error}") from error

    def with_data(self, data: bytes) -> Image:
        """The same image with these bytes, for example after it was fitted to a limit."""
        return replace(self, data=data)


def _decode_data_uri(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise ImageError("the data URI has no comma: data:image/png;base64,... was expected")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError as error:
        raise ImageError(f"the data URI is not valid base64: {error}") from error
