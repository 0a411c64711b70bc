"""HTTP responses: whole, or still to be read; and a response as the bytes of a file."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from requests.structures import CaseInsensitiveDict

from veo.errors import GoneError, ProtocolError, ProviderError
from veo.http.deadline import Deadline
from veo.http.decoding import Decoder
from veo.http.failures import too_long_error
from veo.http.transport import translate_failures
from veo.key import Key
from veo.provider import ByteStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3 import BaseHTTPResponse

CHUNK_BYTES = 1 << 18  # larger chunks do not make a download faster
# A response that is not a file takes a kilobyte, but some relays put the video itself into it.
MAX_RESPONSE_BYTES = 64 << 20
# A file that comes slower than this is given up; the rest is requested later, so that eight
# servers that send a byte a second do not hold all downloads. It is a tenth of a modem's speed.
MIN_FILE_BYTES, MIN_FILE_S = 16_384, 30.0
MAX_FILE_S = 1800.0  # and so is one that takes longer
_CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-\d*/(\d+|\*)", re.ASCII)
_NO_KEY = Key("")


@dataclass(slots=True)
class Response:
    """A whole HTTP response."""

    status: int
    headers: Mapping[str, str]  # names are not case-sensitive
    body: bytes  # decompressed
    key: Key = _NO_KEY  # the key, which is removed from headers and body if the server echoes it

    def __post_init__(self) -> None:
        self.headers = _redact_headers(self.headers, self.key)
        self.body = self.key.redact_bytes(self.body)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Parse the body as JSON.

        Raises:
            ProtocolError: It is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ProtocolError(
                f"HTTP {self.status}, but the body is not JSON: {self.text[:200]!r}"
            ) from None


@dataclass(slots=True)
class StreamingResponse:
    """An HTTP response whose body is still to be read; ``close`` releases the connection."""

    response: BaseHTTPResponse
    url: str  # the URL that it came from, after redirects
    key: Key = _NO_KEY  # the key, which is removed from headers and from a body that is read whole
    deadline: Deadline = field(default_factory=Deadline)
    headers: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = _redact_headers(self.response.headers, self.key)

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    def chunks(self) -> Iterator[bytes]:
        """Read the body in chunks as they arrive, of 256 kB at most, decompressed.

        Raises:
            ResponseLostError: The connection broke, fell silent, ended too early, or was cut off
                because the time was over.
            ProtocolError: The body has an encoding that was not requested.
        """
        decoder = Decoder(self.headers.get("Content-Encoding", ""))
        with translate_failures(self.deadline):
            while data := self.response.read1(CHUNK_BYTES, decode_content=False):
                yield from decoder.decode(data)
        self.deadline.check()
        self.deadline.close()  # the connection may be used again

    def file_chunks(self) -> Iterator[bytes]:
        """Read a file as ``chunks`` does, but give it up when it comes too slowly."""
        end, missing = time.monotonic() + MAX_FILE_S, 0
        for chunk in chain((b"",), self.chunks()):
            missing -= len(chunk)
            if missing <= 0:
                missing = MIN_FILE_BYTES
                seconds = max(0.0, min(MIN_FILE_S, end - time.monotonic()))
                self.deadline.restart(seconds, _describe_slow(seconds))
            if chunk:
                yield chunk

    def read(self, max_bytes: int = MAX_RESPONSE_BYTES) -> Response:
        """Read the rest of the body, and release the connection.

        Raises:
            ResponseTooLongError: It is longer than ``max_bytes``, decompressed.
        """
        body = bytearray()
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) > max_bytes:
                    raise too_long_error(max_bytes)
        finally:
            self.close()
        return Response(self.status, self.headers, bytes(body), self.key)

    def close(self) -> None:
        """Release the connection; safe to call more than once."""
        self.deadline.close()
        self.response.close()
        self.response.release_conn()


def _redact_headers(headers: Mapping[str, str], key: Key) -> Mapping[str, str]:
    """Return the headers of a response without the key."""
    text = "\n".join(headers.values())
    if key.redact(text) is text:  # nearly always; names are not case-sensitive as they are
        return headers
    return CaseInsensitiveDict({name: key.redact(value) for name, value in headers.items()})


def _describe_slow(seconds: float) -> str:
    if seconds < MIN_FILE_S:
        return f"the file took longer than {MAX_FILE_S:.0f} s"
    return f"the file came too slowly: less than {MIN_FILE_BYTES} bytes in {MIN_FILE_S:.0f} s"


def to_byte_stream(response: StreamingResponse, offset: int = 0) -> ByteStream:
    """Return a response with status 200, 206 or 416 as the bytes of a file.

    A 416 is not an error if the file ends exactly at the offset: there is nothing left to send.

    Raises:
        GoneError: The file has no bytes at that offset.
        ProtocolError: The response carries a part of the file, but does not say which.
    """
    try:
        start, total = _read_extent(response, offset)
    except ProviderError:
        response.close()
        raise
    chunks = iter(()) if response.status == 416 else response.file_chunks()
    return ByteStream(chunks, start, total, response.headers.get("ETag"), response.close)


def open_bytes(data: bytes, offset: int) -> ByteStream:
    """Return bytes in memory as a file from an offset.

    Raises:
        GoneError: The offset is behind the end.
    """
    if offset and offset >= len(data):
        raise _too_short_error(offset)
    # The hash takes the place of an ETag: a resumed download must continue the same bytes.
    validator = hashlib.sha256(data).hexdigest()
    starts = range(offset, len(data), CHUNK_BYTES)
    chunks = (data[start : start + CHUNK_BYTES] for start in starts)
    return ByteStream(chunks, offset, len(data), validator)


def _too_short_error(offset: int) -> GoneError:
    return GoneError(f"the file ends before byte {offset}", retryable=True)


def _read_extent(response: StreamingResponse, offset: int) -> tuple[int, int | None]:
    """Return the position of the first byte, and the length of the whole file if it is known."""
    content_range = response.headers.get("Content-Range", "")
    part = _CONTENT_RANGE.match(content_range)
    if response.status == 206 and part:
        return int(part[1]), None if part[2] == "*" else int(part[2])
    if response.status == 416 and content_range.strip() == f"bytes */{offset}":
        return offset, offset
    if response.status == 416:
        raise _too_short_error(offset)
    if response.status == 206 and offset:
        raise ProtocolError("HTTP 206 without a valid Content-Range")
    return 0, _read_length(response)


def _read_length(response: StreamingResponse) -> int | None:
    """Return the Content-Length if it is that of the file: a compressed response has another."""
    text = response.headers.get("Content-Length", "")
    is_plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"
    return int(text) if is_plain and text.isascii() and text.isdigit() else None
