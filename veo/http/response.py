"""HTTP answers: whole, or still to be read; and one as the bytes of a file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veo.errors import GoneError, ProtocolError, ProviderError
from veo.http.transport import translate_failures
from veo.key import Key
from veo.provider import ByteStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3 import BaseHTTPResponse

CHUNK_BYTES = 1 << 18
_PART = re.compile(r"bytes\s+(\d+)-\d*/(\d+|\*)", re.ASCII)
_NO_KEY = Key("")


@dataclass(slots=True)
class Response:
    """A whole HTTP answer.

    Attributes:
        status: The HTTP status.
        headers: Names in any case.
        body: The decoded body, bytes.
        key: Taken out of ``text``, should a server echo it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    key: Key = _NO_KEY

    @property
    def ok(self) -> bool:
        """Whether the status is one of the 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, whatever it holds, without the key."""
        return self.key.redact(self.body.decode("utf-8", "replace"))

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ProtocolError: It is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ProtocolError(
                f"HTTP {self.status}, but the body is not JSON: {self.text[:200]!r}"
            ) from None


@dataclass(slots=True)
class StreamingResponse:
    """An HTTP answer whose body is still to be read; ``close`` gives the connection back.

    Attributes:
        response: As it came.
        url: Where it came from, after redirects.
        key: Taken out of ``text`` of what is read.
    """

    response: BaseHTTPResponse
    url: str
    key: Key = _NO_KEY

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in any case."""
        return self.response.headers

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    def chunks(self, size: int | None = CHUNK_BYTES) -> Iterator[bytes]:
        """The body in pieces; with None as they arrive.

        Raises:
            ResponseLostError: The connection broke, fell silent, or ended too early.
        """
        response = self.response
        packed = bool(self.headers.get("Content-Encoding"))  # what is not is copied once less
        with translate_failures():
            if size is None:
                yield from iter(lambda: response.read1(CHUNK_BYTES, decode_content=True), b"")
            else:
                yield from iter(lambda: response.read(size, decode_content=packed), b"")

    def read(self) -> Response:
        """The rest of the body, at once."""
        with translate_failures():
            body = self.response.read(decode_content=True)
        self.close()
        return Response(self.status, self.headers, body, self.key)

    def close(self) -> None:
        """Give the connection back; safe to call more than once."""
        self.response.close()
        self.response.release_conn()


def to_byte_stream(answer: StreamingResponse, offset: int = 0) -> ByteStream:
    """A 200, 206 or 416 answer as the bytes of a file.

    416 is no error when the file ends right at the offset: there is nothing left to send then.

    Raises:
        GoneError: There are no bytes at that offset.
        ProtocolError: The answer holds a part of the file, and does not say which.
    """
    try:
        start, total = _extent(answer, offset)
    except ProviderError:
        answer.close()
        raise
    chunks = iter(()) if answer.status == 416 else answer.chunks()
    return ByteStream(chunks, start, total, answer.headers.get("ETag"), answer.close)


def _extent(answer: StreamingResponse, offset: int) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how long the whole file is, if that is known."""
    said = answer.headers.get("Content-Range", "")
    part = _PART.match(said)
    if answer.status == 206 and part:
        return int(part[1]), None if part[2] == "*" else int(part[2])
    if answer.status == 416 and said.strip() == f"bytes */{offset}":
        return offset, offset
    if answer.status == 416:
        raise GoneError(f"the file ends before byte {offset}", retryable=True)
    if answer.status == 206 and offset:
        raise ProtocolError("HTTP 206 without a valid Content-Range")
    return 0, _length(answer)


def _length(answer: StreamingResponse) -> int | None:
    """The Content-Length, where it is that of the file: a compressed answer has another one."""
    text = answer.headers.get("Content-Length", "")
    plain = answer.headers.get("Content-Encoding", "identity").lower() == "identity"
    return int(text) if plain and text.isascii() and text.isdigit() else None
