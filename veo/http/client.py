"""One API over HTTP: its key, its redirects, and what a failure proves.

The key goes only to the origin (scheme, host, port) of the API's base URL: never to the host of a
video. A redirect keeps it while every hop so far was that origin. A transport failure becomes one
of two errors: ``UnreachableError`` (the server received nothing that it could act on) and
``ResponseLostError`` (the request was sent, no whole response came). A paid request is never
repeated here.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import cached_property, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests
from requests.utils import requote_uri
from urllib3 import encode_multipart_formdata

from veo.errors import (
    ConfigError,
    ProtocolError,
    ProviderError,
    RefusedError,
    ResponseLostError,
    ResponseTooLongError,
    VeoError,
)
from veo.http.addresses import AddressGuard
from veo.http.deadline import Deadline
from veo.http.response import MAX_RESPONSE_BYTES, Response, StreamingResponse
from veo.http.transport import TrackedBody, Transport
from veo.http.urls import (
    MAX_REDIRECTS,
    REDIRECT_STATUSES,
    get_origin,
    map_to_base,
    redirect_target,
    split_url,
    too_many_redirects_error,
)
from veo.key import Key
from veo.network import user_agent

if TYPE_CHECKING:
    from veo.http.poll_session import PollSession

CONNECT_S = 10.0
READ_S = 60.0
UPLOAD_S = 300.0  # 20 MB of images at 70 kB/s
_HTTP_SCHEMES = ("http:", "https:")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
_MAX_SHOWN_CHARS = 100
_PLAIN_PATH = re.compile(r"\w[\w.~/-]*", re.ASCII)

Upload = tuple[str, tuple[str, bytes, str]]


class ApiClient:
    """One API: its base URL, its key, and its connections. Safe to use from many threads.

    Args:
        base_url: The URL of the API, with or without a path.
        auth: The headers that carry the key.
        key: The key itself, to redact it in texts that a server sends back.
        home_url: The URL of the service behind a custom ``base_url``. A redirect that names it is
            followed at ``base_url``.
        connect_s: Seconds to wait for a connection.
        read_s: Seconds that a response may pause. The whole of it has to be over in ``connect_s``
            plus ``read_s``, counted from the end of the upload. A file has the limits of
            ``StreamingResponse.file_chunks`` instead.
        max_bytes: Size of a response to a GET that is no file, or to ``post_bytes``, at most.
        trusted_urls: Returns the configured URLs, by default ``base_url``. Addresses that are not
            public are reached only where one of these is.

    Raises:
        ConfigError: The base URL or the key cannot be sent.
    """

    def __init__(  # noqa: PLR0913 - one for each property of an API
        self,
        base_url: str,
        *,
        auth: Mapping[str, str] | None = None,
        key: Key | None = None,
        home_url: str = "",
        connect_s: float = CONNECT_S,
        read_s: float = READ_S,
        max_bytes: int = MAX_RESPONSE_BYTES,
        trusted_urls: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.key = key or Key("")
        self._auth = dict(auth or {})
        self._plain_headers = {"Accept": "*/*", "User-Agent": user_agent()}
        self._headers = self._plain_headers | self._auth
        self._connect_s, self._read_s, self._max_bytes = connect_s, read_s, max_bytes
        self._guard = AddressGuard(trusted_urls or (lambda: (base_url,)))
        self._total_s = connect_s + read_s
        self._transport = Transport(connect_s, self._guard)
        if not all(text.isascii() and text.isprintable() for text in self._auth.values()):
            raise ConfigError("the API key contains characters that an HTTP header cannot hold")
        self._origin = check_base_url(base_url)
        # Not a method: in a circle of references the polls could not close their connections.
        self._map_url = partial(
            _map_url, home_url=home_url, base_url=self.base_url, own=self._origin, key=self.key
        )
        self._quoted_base = requote_uri(f"{self.base_url}/")
        self._base_target = split_url(self._quoted_base)[1]

    def resolve_url(self, path: str) -> str:
        """Return the URL of a path below the base.

        ``/path`` is relative to the host, and a URL is returned unchanged.

        Raises:
            ProtocolError: It is a URL of another scheme than http(s).
        """
        if scheme := _SCHEME.match(path):
            if scheme[0].lower() not in _HTTP_SCHEMES:
                text = f"{path[:_MAX_SHOWN_CHARS]!r} is not an http(s) URL"
                raise ProtocolError(text, charged=False, retryable=False)
            return path
        if path.startswith("/"):
            return urljoin(self.base_url, path)
        return f"{self.base_url}/{path}"

    def is_own_origin(self, url: str) -> bool:
        """Whether a URL is on the API's own origin, the only one that may receive the key."""
        return get_origin(url) == self._origin

    def get(self, path: str) -> Response:
        """Send a GET for a small response; redirects are followed. Blocks."""
        return self.open(path, as_is=False).read(self._max_bytes)

    async def get_async(self, path: str) -> Response:
        """Send a GET for a small response, on a kept connection; redirects are followed."""
        if _PLAIN_PATH.fullmatch(path):
            origin, url = self._origin, self._quoted_base + path
        else:
            url = requote_uri(self._map_url(self.resolve_url(path)))
            origin = get_origin(url)
        if not self._polls.can_reach(origin):
            return await asyncio.to_thread(self.get, path)
        return await self._polls.get(url, self._headers_for(origin))

    @cached_property
    def _polls(self) -> PollSession:
        # aiohttp takes as long to import as all else that a request needs, and the paid request,
        # whose outcome a user waits for, needs no poll.
        from veo.http.poll_session import PollSession  # noqa: PLC0415

        return PollSession(
            self._connect_s,
            self._read_s,
            self._auth,
            self.key,
            max_bytes=self._max_bytes,
            map_url=self._map_url,
            guard=self._guard,
        )

    def post_json(self, path: str, body: Any) -> Response:
        """Send a POST of JSON, on a connection of its own; never repeated or redirected."""
        return self.start_json(path, body).read()

    def post_form(self, path: str, fields: Mapping[str, str], files: Sequence[Upload]) -> Response:
        """Send a POST of a multipart form, files in the given order; never repeated."""
        data, content_type = encode_multipart_formdata([*fields.items(), *files])
        headers = {"Content-Type": content_type}
        return self._post(path, data, headers, self._read_s, self._total_s).read()

    def post_bytes(self, path: str, data: bytes, headers: Mapping[str, str]) -> Response:
        """Send a POST of bytes with headers that describe them; never repeated or redirected.

        A URL of the service itself is mapped to the base URL, like that of a redirect.
        """
        url = self._map_url(self.resolve_url(path))
        return self._post(url, data, headers, self._read_s, self._total_s).read(self._max_bytes)

    def start_json(
        self,
        path: str,
        body: Any,
        *,
        silence_s: float | None = None,
        total_s: float | None = None,
    ) -> StreamingResponse:
        """Send a POST of JSON, and return the response with its body still to be read.

        Args:
            path: A path or URL, as ``resolve_url`` takes it.
            body: What is sent as JSON.
            silence_s: Seconds that the response may pause.
            total_s: Seconds that the whole response may take.
        """
        # UTF-8 and no escapes: some gateways count or cut the characters that they see.
        data = json.dumps(body, ensure_ascii=False).encode()
        silence_s, total_s = silence_s or self._read_s, total_s or self._total_s
        headers = {"Content-Type": "application/json"}
        return self._post(path, data, headers, silence_s, total_s)

    def open(self, path: str, *, offset: int = 0, as_is: bool = True) -> StreamingResponse:
        """Send a GET, and return the response with its body still to be read.

        Redirects are followed, with the key while every hop so far was the API's own origin.

        Args:
            path: A path or URL, as ``resolve_url`` takes it.
            offset: The first byte to send; the server may ignore it.
            as_is: Ask for the bytes uncompressed, so that lengths are those of the file.
        """
        origin, target = self._locate(path)
        options = {"Accept-Encoding": "identity"} if as_is else {}
        options |= {"Range": f"bytes={offset}-"} if offset else {}
        headers = self._headers_for(origin) | options
        url = self.resolve_url(path)
        for _ in range(MAX_REDIRECTS + 1):
            deadline = Deadline(self._total_s, _describe_late(self._total_s))
            raw = self._transport.get(origin, target, headers, self._read_s, deadline)
            response = StreamingResponse(raw, url, self.key, deadline)
            if response.status not in REDIRECT_STATUSES:
                return response
            response.close()
            location = response.headers.get("Location", "").encode("latin-1", "replace")
            url = self._map_url(redirect_target(url, location))
            previous, (origin, target) = origin, split_url(url)
            if origin != previous:  # once removed, the key does not come back on the next hop
                headers = {name: text for name, text in headers.items() if name not in self._auth}
        raise too_many_redirects_error(url)

    def _post(
        self, path: str, data: bytes, content: Mapping[str, str], silence_s: float, total_s: float
    ) -> StreamingResponse:
        origin, target = self._locate(path)
        headers = {**self._headers_for(origin), **content, "Content-Length": str(len(data))}
        deadline = Deadline(UPLOAD_S, f"the request was not sent within {UPLOAD_S:.0f} s")
        # The time of the response begins with the end of the upload, which may take minutes.
        wait = partial(deadline.restart, total_s, _describe_late(total_s))
        body = TrackedBody(data, on_sent=wait)
        raw = self._transport.post(origin, target, headers, body, silence_s, deadline)
        response = StreamingResponse(raw, self.resolve_url(path), self.key, deadline)
        if 300 <= response.status < 400:
            response.close()
            target = response.headers.get("Location", "nowhere")
            raise _redirect_error(response.status, self._origin, target)
        return response

    def _locate(self, path: str) -> tuple[str, str]:
        """Return the origin to connect to, and the target to request there."""
        if _PLAIN_PATH.fullmatch(path):  # parsing a URL takes a tenth of the time of a poll
            return self._origin, self._base_target + path
        return split_url(self._map_url(self.resolve_url(path)))

    def _headers_for(self, origin: str) -> dict[str, str]:
        return self._headers if origin == self._origin else self._plain_headers


def _map_url(url: str, *, home_url: str, base_url: str, own: str, key: Key) -> str:
    """Return a URL that a server named as the URL to request.

    A key that the server put into the URL was removed; only the API's own origin gets it back.
    """
    url = map_to_base(url, home_url, base_url)
    return key.restore(url) if get_origin(url) == own else url


def _redirect_error(status: int, origin: str, target: str) -> RefusedError | ResponseLostError:
    """Return what the redirect of a POST says about it, by RFC 9110.

    With 303 the request was carried out, and its result is elsewhere. With every other status the
    request itself belongs elsewhere: this server did not carry it out, so nothing was charged.
    """
    text = f"{origin} redirects to {target} (HTTP {status})"
    if status == HTTPStatus.SEE_OTHER:
        return ResponseLostError(f"{text}, as the result of the request")
    return RefusedError(text, hint="Set base_url to that address: the request was not sent there.")


def _describe_late(seconds: float) -> str:
    return f"the response took longer than {seconds:.3g} s"


def check_base_url(base_url: str) -> str:
    """Return the origin of a base URL, which does not appear in an error: it may hold a key.

    Raises:
        ConfigError: It is not an http(s) URL.
    """
    try:
        requests.Request("GET", base_url).prepare()
        return get_origin(base_url)
    except (ProtocolError, requests.RequestException):
        hint = "Example: https://host/v1."
        raise ConfigError("base_url is not an http(s) URL", hint=hint) from None


def download_bytes(
    url: str,
    max_bytes: int,
    error: type[VeoError],
    trusted_urls: Callable[[], Iterable[str]] | None = None,
) -> bytes:
    """Return a small file at a URL that a user named; every error is of the class ``error``.

    No credentials are sent. ``ApiClient`` describes ``trusted_urls``.
    """
    try:
        with closing(ApiClient(url, trusted_urls=trusted_urls).open(url)) as response:
            if response.status != 200:
                raise error(f"{url}: HTTP {response.status}")
            return response.read(max_bytes).body
    except ConfigError:
        raise error(f"{url!r} is not a valid URL") from None
    except ResponseTooLongError:
        raise error(f"{url} is larger than {max_bytes // 1_000_000} MB") from None
    except ProviderError as cause:
        raise error(f"{url}: {cause.message}", hint=cause.hint) from None
