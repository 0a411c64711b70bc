"""HTTP for providers: one place for keys, redirects, time-outs and lost answers.

A key goes only to the origin (scheme, host, port) of the API's base URL: never to the host of a
video, never across a redirect. Transport failures become one of two errors: ``UnreachableError``
(nothing that could be acted upon was sent) and ``ResponseLostError`` (sent, no answer). Nothing is
ever retried here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import requote_uri
from urllib3 import encode_multipart_formdata

from veo.errors import ConfigError, ProtocolError, RefusedError
from veo.http.response import CHUNK, Response, StreamingResponse, to_byte_stream
from veo.http.transport import TrackedBody, Transport, lost, origin
from veo.key import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from urllib3 import BaseHTTPResponse

    from veo.http.sent import Sent

__all__ = ["CHUNK", "ApiClient", "Response", "StreamingResponse", "Upload", "to_byte_stream"]

REDIRECTS = 5
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_USUAL = {"Accept": "*/*"}
_PLAIN = re.compile(r"\w[\w.~/-]*", re.ASCII)

Read = TypeVar("Read")
Upload = tuple[str, tuple[str, bytes, str]]


class ApiClient:
    """One API: its base URL, its key, and its connections.

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
        self.key = key or Key("")
        self._auth = dict(auth or {})
        self._read_s = read_s
        self._transport = Transport(connect_s)
        self._home = _checked(base_url, self._auth)
        self._root = _split(f"{self.base_url}/")[1]
        self._redirects = False

    def resolve_url(self, path: str) -> str:
        """The URL of a path below the base; ``/path`` counts from the host, a URL stays itself."""
        if path.startswith(("http://", "https://")):
            return path
        if path.startswith("/"):
            return urljoin(self.base_url, path)
        return f"{self.base_url}/{path}"

    def is_own_origin(self, url: str) -> bool:
        """Whether a URL is on the API's own origin, the only one that may see the key."""
        return origin(url) == self._home

    def get(self, path: str) -> Response:
        """One GET of a small body, redirects followed."""
        asked = self.ask(path, lambda answer, _: answer)
        return asked.read() if asked else self.open(path, identity=False).read()

    def ask(
        self,
        path: str,
        reading: Callable[[Response, str], Read],
        about: str = "",
        *,
        wait: bool = True,
    ) -> Asked[Read] | None:
        """Send what ``get`` sends; the answer is still to be waited for and read.

        None where a proxy or redirects are in the way, or, unless it may ``wait``, where no
        connection is open.

        Args:
            path: As ``get`` takes it.
            reading: What makes something of the answer, and of ``about``.
            about: What the question is about.
            wait: Whether a connection may be made for it.
        """
        if self._redirects:
            return None
        url, host, target = self._locate(path)
        headers = _USUAL | self._keyed(host)
        sent = self._transport.send(host, target, headers, self._read_s, wait=wait)
        return Asked(self, sent, url, headers, reading, about) if sent else None

    def heard(self, response: BaseHTTPResponse, url: str, headers: Mapping[str, str]) -> Response:
        """What came for a small GET, redirects followed: the next will expect them."""
        if response.status not in _REDIRECTED:
            return Response(response.status, response.headers, response.data, self.key)
        self._redirects = True
        return self._follow(StreamingResponse(response, url, self.key), headers).read()

    def post_json(self, path: str, body: Any) -> Response:
        """One POST of JSON, on a connection of its own, never repeated or redirected."""
        return self.start_json(path, body).read()

    def post_form(self, path: str, fields: Mapping[str, str], files: Sequence[Upload]) -> Response:
        """One POST of a multipart form, files in the order given, never repeated or redirected."""
        data, kind = encode_multipart_formdata([*fields.items(), *files])
        return self._post(path, data, kind, self._read_s).read()

    def start_json(
        self, path: str, body: Any, *, silence_s: float | None = None
    ) -> StreamingResponse:
        """Like ``post_json``, but the body of the answer is still to be read, as it comes.

        ``silence_s`` is how long the answer may pause, in seconds.
        """
        data = json.dumps(body, ensure_ascii=False).encode()
        return self._post(path, data, "application/json", silence_s or self._read_s)

    def open(self, path: str, *, offset: int = 0, identity: bool = True) -> StreamingResponse:
        """One GET whose body is still to be read; redirects followed, the key left at home.

        Args:
            path: A path or URL, as ``url`` takes it.
            offset: First byte wanted; the server may ignore it.
            identity: Ask for the bytes uncompressed, so that lengths are those of the file.
        """
        url, host, target = self._locate(path)
        headers = _USUAL | self._keyed(host)
        headers |= {"Accept-Encoding": "identity"} if identity else {}
        headers |= {"Range": f"bytes={offset}-"} if offset else {}
        response = self._transport.get(host, target, headers, self._read_s)
        return self._follow(StreamingResponse(response, url, self.key), headers)

    def _follow(self, answer: StreamingResponse, headers: Mapping[str, str]) -> StreamingResponse:
        """What an answer leads to in the end; the key is not taken along."""
        headers = {name: text for name, text in headers.items() if name not in self._auth}
        asked = origin(answer.url)
        for _ in range(REDIRECTS):
            if answer.status not in _REDIRECTED:
                return answer
            answer.close()
            url = _target(answer.url, answer)
            response = self._transport.get(*_split(url), headers, self._read_s)
            answer = StreamingResponse(response, url, self.key)
        if answer.status not in _REDIRECTED:
            return answer
        answer.close()
        raise ProtocolError(f"more than {REDIRECTS} redirects from {asked}")

    def _post(self, path: str, data: bytes, kind: str, silence_s: float) -> StreamingResponse:
        url, host, target = self._locate(path)
        about = {"Content-Type": kind, "Content-Length": str(len(data))}
        headers = _USUAL | self._keyed(host) | about
        response = self._transport.post(host, target, headers, TrackedBody(data), silence_s)
        answer = StreamingResponse(response, url, self.key)
        if 300 <= answer.status < 400:
            answer.close()
            place = self.key.redact(answer.headers.get("Location", "nowhere"))
            raise RefusedError(
                f"{self._home} redirects to {place}", hint="Set base_url to that address."
            )
        return answer

    def _locate(self, path: str) -> tuple[str, str, str]:
        """The URL of a path, where to connect to for it, and what to ask for there."""
        url = self.resolve_url(path)
        if _PLAIN.fullmatch(path):  # to take URLs apart was a tenth of a poll
            return url, self._home, self._root + path
        return url, *_split(url)

    def _keyed(self, host: str) -> dict[str, str]:
        return self._auth if host == self._home else {}


class Asked(Generic[Read]):
    """A GET of a small body that was sent; see ``veo.provider.Asked``.

    Thousands of them come and go in a second, which is why it is one plain object.
    """

    __slots__ = ("_about", "_headers", "_http", "_reading", "_sent", "_url", "socket", "until")

    def __init__(
        self,
        http: ApiClient,
        sent: Sent,
        url: str,
        headers: Mapping[str, str],
        reading: Callable[[Response, str], Read],
        about: str,
    ) -> None:
        self._http, self._sent, self._url, self._headers = http, sent, url, headers
        self._reading, self._about = reading, about
        self.socket, self.until = sent.socket, sent.until

    def ready(self) -> bool:
        """Take in what has come, without waiting; whether that is all."""
        return self._sent.ready()

    def read(self) -> Read:
        """What is made of the answer, redirects followed; waits for it if need be."""
        with lost():
            response = self._sent.receive()
        answer = self._http.heard(response, self._url, self._headers)
        return self._reading(answer, self._about)


def _split(url: str) -> tuple[str, str]:
    """Where to connect to, and what to ask for there."""
    host = origin(url)
    parts = urlsplit(requote_uri(url))
    query = f"?{parts.query}" if parts.query else ""
    return host, (parts.path or "/") + query


def _checked(base_url: str, auth: Mapping[str, str]) -> str:
    """The origin of a base URL that, like the headers, can be sent; both stay out of the error."""
    if not all(text.isascii() and text.isprintable() for text in auth.values()):
        raise ConfigError("the API key contains characters that an HTTP header cannot hold")
    try:
        requests.Request("GET", base_url).prepare()
        return origin(base_url)
    except (ProtocolError, requests.RequestException):
        hint = "It looks like https://host/v1."
        raise ConfigError("base_url is not an http(s) URL", hint=hint) from None


def _target(url: str, answer: StreamingResponse) -> str:
    """Where a redirect leads; some servers write the URL in UTF-8, which HTTP reads as Latin-1."""
    location = answer.headers.get("Location", "").encode("latin-1", "replace")
    try:
        return urljoin(url, location.decode("utf-8", "replace"))
    except ValueError:
        raise ProtocolError(f"{origin(url)} redirects to an invalid URL") from None
