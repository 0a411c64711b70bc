"""HTTP for providers, over requests: one place for keys, redirects, time-outs and lost answers.

A key goes only to the origin (scheme, host, port) of the API's base URL: never to the host of a
video, never across a redirect. Transport failures become one of two errors: ``UnreachableError``
(nothing that could be acted upon was sent) and ``AnswerLostError`` (sent, no answer). Nothing is
ever retried here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import requote_uri

from veo.errors import ConfigError, GoneError, ProtocolError, ProviderError, RefusedError
from veo.key import Key
from veo.provider import ByteStream
from veo.transport import Body, Transport, lost, origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHUNK = 1 << 18
REDIRECTS = 5
_PART = re.compile(r"bytes\s+(\d+)-\d*/(\d+|\*)", re.ASCII)
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_NO_KEY = Key("")

Upload = tuple[str, tuple[str, bytes, str]]


@dataclass(slots=True)
class Answer:
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
class OpenAnswer:
    """An HTTP answer whose body is still to be read; ``close`` gives the connection back."""

    response: requests.Response
    key: Key = _NO_KEY

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.response.status_code)

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in any case."""
        return self.response.headers

    @property
    def url(self) -> str:
        """Where the answer came from in the end, after redirects."""
        return str(self.response.url)

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower case."""
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()

    def chunks(self, size: int | None = CHUNK) -> Iterator[bytes]:
        """The body in pieces; with None as they arrive.

        Raises:
            AnswerLostError: The connection broke, fell silent, or ended too early.
        """
        raw = self.response.raw
        with lost():
            if size is None:
                # Of a body that is not chunked iter_content(None) would wait for the whole.
                yield from iter(lambda: raw.read1(CHUNK, decode_content=True), b"")
            elif self.headers.get("Content-Encoding"):
                yield from self.response.iter_content(size)
            else:  # what needs no decoding is copied once less
                yield from iter(lambda: raw.read(size, decode_content=False), b"")

    def read(self) -> Answer:
        """The rest of the body, at once."""
        with lost():
            body = self.response.content
        self.close()
        return Answer(self.status, self.headers, body, self.key)

    def close(self) -> None:
        """Give the connection back; safe to call more than once."""
        self.response.close()


class Http:
    """One API: its base URL, its key, and a connection for each thread.

    Args:
        base_url: Where the API is, with or without a path.
        auth: The headers that carry the key.
        key: The key itself, to take it out of texts that a server sends back.
        connect_s: Seconds to wait for a connection.
        read_s: Seconds of silence to bear while an answer is on its way.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Mapping[str, str] | None = None,
        key: Key | None = None,
        connect_s: float = 10.0,
        read_s: float = 60.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key or _NO_KEY
        self._auth = dict(auth or {})
        self._read_s = read_s
        self._transport = Transport(connect_s)
        self._home = _checked(base_url, self._auth)
        self._path = urlsplit(self.base_url).path
        self._usual = {"Accept": "*/*", **self._auth}

    def url(self, path: str) -> str:
        """The URL of a path below the base; ``/path`` counts from the host, a URL stays itself."""
        if path.startswith(("http://", "https://")):
            return path
        if path.startswith("/"):
            return urljoin(self.base_url, path)
        return f"{self.base_url}/{path}"

    def owns(self, url: str) -> bool:
        """Whether a URL is on the API's own origin, the only one that may see the key."""
        return origin(url) == self._home

    def get(self, path: str) -> Answer:
        """One GET of a small body, redirects followed."""
        answer = self._ask(path)
        if answer is None:
            return self.open(path, identity=False).read()
        if answer.status in _REDIRECTED:
            return self._follow(_target(self.url(path), answer), {}, REDIRECTS).read()
        return answer

    def post_json(self, path: str, body: Any) -> Answer:
        """One POST of JSON, on a connection of its own, never repeated or redirected."""
        return self.start_json(path, body).read()

    def post_form(self, path: str, fields: Mapping[str, str], files: Sequence[Upload]) -> Answer:
        """One POST of a multipart form, files in the order given, never repeated or redirected."""
        # As parts without a file name: without files, `data` would be sent urlencoded.
        parts = [(name, (None, value)) for name, value in fields.items()]
        request = requests.Request("POST", self.url(path), files=[*parts, *files])
        return self._post(request, self._read_s).read()

    def start_json(self, path: str, body: Any, *, silence_s: float | None = None) -> OpenAnswer:
        """Like ``post_json``, but the body of the answer is still to be read, as it comes.

        ``silence_s`` is how long the answer may pause, in seconds.
        """
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        request = requests.Request("POST", self.url(path), data=data, headers=headers)
        return self._post(request, silence_s or self._read_s)

    def open(self, path: str, *, offset: int = 0, identity: bool = True) -> OpenAnswer:
        """One GET whose body is still to be read; redirects followed, the key left at home.

        Args:
            path: A path or URL, as ``url`` takes it.
            offset: First byte wanted; the server may ignore it.
            identity: Ask for the bytes uncompressed, so that lengths are those of the file.
        """
        url = self.url(path)
        headers = dict(self._auth) if self.owns(url) else {}
        headers |= {"Accept-Encoding": "identity"} if identity else {}
        headers |= {"Range": f"bytes={offset}-"} if offset else {}
        return self._follow(url, headers, REDIRECTS + 1)

    def _ask(self, path: str) -> Answer | None:
        """The first answer to a GET below the base, where no proxy stands between."""
        if path.startswith(("http:", "https:", "/")) or not self._transport.direct(self._home):
            return None
        target = f"{self._path}/{path}"
        answer = self._transport.fetch(self._home, target, self._usual, self._read_s)
        return Answer(answer.status, answer.headers, answer.data, self.key)

    def _follow(self, url: str, headers: Mapping[str, str], hops: int) -> OpenAnswer:
        """A GET, its redirects followed, the key left at home."""
        for _ in range(hops):
            response = self._transport.get(_bare_get(url, headers), self._read_s)
            answer = OpenAnswer(response, self.key)
            if answer.status not in _REDIRECTED:
                return answer
            answer.close()
            url = _target(url, answer)
            headers = {name: text for name, text in headers.items() if name not in self._auth}
        raise ProtocolError(f"more than {REDIRECTS} redirects from {origin(url)}")

    def _post(self, request: requests.Request, silence_s: float) -> OpenAnswer:
        auth = self._auth if self.owns(str(request.url)) else {}
        request.headers = {**auth, **(request.headers or {})}
        prepared = request.prepare()
        prepared.body = Body(prepared.body)  # type: ignore[arg-type,assignment]
        answer = OpenAnswer(self._transport.post(prepared, silence_s), self.key)
        if 300 <= answer.status < 400:
            answer.close()
            place = self.key.redact(answer.headers.get("Location", "nowhere"))
            raise RefusedError(
                f"{self._home} redirects to {place}", hint="Set base_url to that place."
            )
        return answer


def byte_stream(answer: OpenAnswer, offset: int = 0) -> ByteStream:
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


def _extent(answer: OpenAnswer, offset: int) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how long the whole file is, if that is known."""
    said = answer.headers.get("Content-Range", "")
    part = _PART.match(said)
    if answer.status == 206 and part:
        return int(part[1]), None if part[2] == "*" else int(part[2])
    if answer.status == 416 and said.strip() == f"bytes */{offset}":
        return offset, offset
    if answer.status == 416:
        raise GoneError(f"the file has no byte {offset}", retryable=True)
    if answer.status == 206 and offset:
        raise ProtocolError("HTTP 206, but not which bytes of the file these are")
    return 0, _length(answer)


def _length(answer: OpenAnswer) -> int | None:
    """The Content-Length, where it is that of the file: a compressed answer has another one."""
    text = answer.headers.get("Content-Length", "")
    plain = answer.headers.get("Content-Encoding", "identity").lower() == "identity"
    return int(text) if plain and text.isascii() and text.isdigit() else None


def _checked(base_url: str, auth: Mapping[str, str]) -> str:
    """The origin of a base URL that, like the headers, can be sent; both stay out of the error."""
    if not all(text.isascii() and text.isprintable() for text in auth.values()):
        raise ConfigError("the API key holds signs that no HTTP header can carry")
    try:
        requests.Request("GET", base_url).prepare()
        return origin(base_url)
    except (ProtocolError, requests.RequestException):
        hint = "It looks like https://host/v1."
        raise ConfigError("base_url is no http(s) URL", hint=hint) from None


def _target(url: str, answer: Answer | OpenAnswer) -> str:
    """Where a redirect leads; some servers write the URL in UTF-8, which HTTP reads as Latin-1."""
    location = answer.headers.get("Location", "").encode("latin-1", "replace")
    try:
        return urljoin(url, location.decode("utf-8", "replace"))
    except ValueError:
        raise ProtocolError(f"{origin(url)} redirects to what is no URL") from None


def _bare_get(url: str, headers: Mapping[str, str]) -> requests.PreparedRequest:
    """A GET without the cookies, hooks and bodies that are half the price of a poll."""
    request = requests.PreparedRequest()
    request.method = "GET"
    request.url = requote_uri(url)
    request.headers = CaseInsensitiveDict({"Accept": "*/*", **headers})
    request.hooks = {}
    return request
