"""HTTP for providers, over requests: one place for keys, redirects, time-outs and lost answers.

A key goes only to the origin (scheme, host, port) of the API's base URL: never to the host of a
video, never across a redirect. Transport failures become one of two errors: ``UnreachableError``
(nothing was sent) and ``AnswerLostError`` (sent, no answer). Nothing is ever retried here.
"""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from veo.errors import (
    AnswerLostError,
    ConfigError,
    GoneError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from veo.key import Key
from veo.provider import ByteStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHUNK = 1 << 20
REDIRECTS = 5
_RANGE = re.compile(r"bytes\s+(\d+)-\d*/(\d+|\*)")
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
        with _lost():
            if size is not None:
                yield from self.response.iter_content(size)
            else:
                # Of a body that is not chunked iter_content(None) would wait for the whole.
                yield from iter(lambda: self.response.raw.read1(CHUNK, decode_content=True), b"")

    def read(self) -> Answer:
        """The rest of the body, at once."""
        with _lost():
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
        if urlsplit(base_url).scheme not in {"http", "https"} or not urlsplit(base_url).netloc:
            raise ConfigError(
                f"base_url {base_url!r} is no http(s) URL",
                hint="It looks like https://host/v1.",
            )
        self.base_url = base_url.rstrip("/")
        self.key = key or _NO_KEY
        self._auth = dict(auth or {})
        self._timeout = (connect_s, read_s)
        self._local = threading.local()

    def url(self, path: str) -> str:
        """The URL of a path below the base; ``/path`` counts from the host, a URL stays itself."""
        if path.startswith(("http://", "https://")):
            return path
        if path.startswith("/"):
            return urljoin(self.base_url, path)
        return f"{self.base_url}/{path}"

    def owns(self, url: str) -> bool:
        """Whether a URL is on the API's own origin, the only one that may see the key."""
        return _origin(url) == _origin(self.base_url)

    def get(self, path: str) -> Answer:
        """One GET of a small body, redirects followed."""
        return self.open(path, identity=False).read()

    def post_json(self, path: str, body: Any) -> Answer:
        """One POST of JSON, on a connection of its own, never repeated or redirected."""
        return self.start_json(path, body).read()

    def post_form(self, path: str, fields: Mapping[str, str], files: Sequence[Upload]) -> Answer:
        """One POST of a multipart form, files in the order given, never repeated or redirected."""
        # As parts without a file name: without files, `data` would be sent urlencoded.
        parts = [(name, (None, value)) for name, value in fields.items()]
        request = requests.Request("POST", self.url(path), files=[*parts, *files])
        return self._post(request, self._timeout[1]).read()

    def start_json(self, path: str, body: Any, *, silence_s: float | None = None) -> OpenAnswer:
        """Like ``post_json``, but the body of the answer is still to be read, as it comes.

        ``silence_s`` is how long the answer may pause, in seconds.
        """
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        request = requests.Request("POST", self.url(path), data=data, headers=headers)
        return self._post(request, silence_s or self._timeout[1])

    def open(self, path: str, *, offset: int = 0, identity: bool = True) -> OpenAnswer:
        """One GET whose body is still to be read; redirects followed, the key left at home.

        Args:
            path: A path or URL, as ``url`` takes it.
            offset: First byte wanted; the server may ignore it.
            identity: Ask for the bytes uncompressed, so that lengths are those of the file.
        """
        url = self.url(path)
        for _ in range(REDIRECTS + 1):
            answer = self._get(url, offset, identity=identity)
            if answer.status not in {301, 302, 303, 307, 308}:
                return answer
            answer.close()
            url = urljoin(url, answer.headers.get("Location", ""))
        raise ProtocolError(f"more than {REDIRECTS} redirects from {_origin(self.url(path))}")

    def _get(self, url: str, offset: int, *, identity: bool) -> OpenAnswer:
        headers = dict(self._auth) if self.owns(url) else {}
        if identity:
            headers["Accept-Encoding"] = "identity"
        if offset:
            headers["Range"] = f"bytes={offset}-"
        return self._send(self._session("get"), _bare_get(url, headers), self._timeout[1])

    def _post(self, request: requests.Request, silence_s: float) -> OpenAnswer:
        adapter = self._session("post")
        # A kept connection that the server has just closed looks like a lost answer: none is kept.
        adapter.close()
        request.headers = {**self._auth, **(request.headers or {})}
        answer = self._send(adapter, request.prepare(), silence_s)
        if 300 <= answer.status < 400:
            answer.close()
            place = answer.headers.get("Location", "nowhere")
            raise RefusedError(
                f"{_origin(self.base_url)} redirects to {place}", hint="Set base_url to that place."
            )
        return answer

    def _send(
        self, adapter: HTTPAdapter, request: requests.PreparedRequest, read_s: float
    ) -> OpenAnswer:
        url = str(request.url)
        with _lost(), _unreachable(url):
            response = adapter.send(
                request,
                stream=True,
                timeout=(self._timeout[0], read_s),
                verify=_certificates(),
                proxies=_proxies(_origin(url)),
            )
        return OpenAnswer(response, self.key)

    def _session(self, use: str) -> HTTPAdapter:
        adapter: HTTPAdapter | None = getattr(self._local, use, None)
        if adapter is None:
            adapter = HTTPAdapter(pool_connections=4, pool_maxsize=2)
            setattr(self._local, use, adapter)
        return adapter


def byte_stream(answer: OpenAnswer, offset: int = 0) -> ByteStream:
    """A 200 or 206 answer as the bytes of a file.

    Raises:
        GoneError: The answer is 416: there are no bytes at that offset.
    """
    if answer.status == 416:
        answer.close()
        raise GoneError(f"the file has no byte {offset}", retryable=True)
    match = _RANGE.match(answer.headers.get("Content-Range", ""))
    if answer.status == 206 and match:
        start, whole = match.groups()
        total = int(whole) if whole != "*" else None
        offset = int(start)
    else:
        length = answer.headers.get("Content-Length", "")
        offset, total = 0, int(length) if length.isdigit() else None
    return ByteStream(answer.chunks(), offset, total, answer.headers.get("ETag"), answer.close)


def _bare_get(url: str, headers: Mapping[str, str]) -> requests.PreparedRequest:
    """A GET without the cookies, hooks and bodies that are half the price of a poll."""
    request = requests.PreparedRequest()
    request.method = "GET"
    request.url = requests.utils.requote_uri(url)
    request.headers = CaseInsensitiveDict({"Accept": "*/*", **headers})
    request.hooks = {}
    return request


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


@cache
def _proxies(origin: str) -> dict[str, str]:
    return dict(get_environ_proxies(origin))


@cache
def _certificates() -> str | bool:
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


@contextmanager
def _unreachable(url: str) -> Iterator[None]:
    try:
        yield
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise ProtocolError(f"{url!r} is no URL that can be opened", charged=False) from error
    except requests.ConnectionError as error:
        cause = getattr(error.args[0], "reason", None) if error.args else None
        never_sent = (NewConnectionError, ConnectTimeoutError, ProxyError)
        # Of TLS failures only this one is certain to come before the request is sent.
        distrusted = "certificate verify failed" in str(error)
        if not isinstance(cause, never_sent) and not distrusted:
            raise
        why = str(cause or error).rpartition(": ")[2]
        raise UnreachableError(f"no connection to {_origin(url)}: {why}") from error


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, HTTPError, OSError) as error:
        silence = isinstance(error, (requests.Timeout, ReadTimeoutError))
        kind = "silence" if silence else type(error).__name__
        raise AnswerLostError(
            f"the connection broke before a whole answer came ({kind})"
        ) from error
