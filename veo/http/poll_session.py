"""The free requests of polls, on kept connections of an event loop, hundreds at a time."""

from __future__ import annotations

import asyncio
import weakref
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from veo.http.addresses import AddressGuard, InsideAddressError
from veo.http.decoding import ACCEPTED_ENCODING, Decoder
from veo.http.failures import lost_response_error, too_long_error, unreachable_error
from veo.http.response import MAX_RESPONSE_BYTES, Response
from veo.http.urls import (
    MAX_REDIRECTS,
    REDIRECT_STATUSES,
    get_origin,
    redirect_target,
    too_many_redirects_error,
)
from veo.key import Key
from veo.network import MissingCertificatesError, find_proxy, tls_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Mapping

    from veo.errors import VeoError

KEEPALIVE_S = 30.0  # longer than the interval between two polls of a busy engine
DNS_CACHE_S = 60
_UNREACHABLE = (
    InsideAddressError,
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    MissingCertificatesError,
)
_TRANSPORT_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError, zlib.error)
_Session = tuple[aiohttp.ClientSession, object]


class PollSession:
    """An HTTP client for polls. It may be used on several event loops, one after the other.

    Redirects of a GET are followed. The headers that carry the key are dropped for good at the
    first hop to another origin. aiohttp repeats a GET once if its connection broke before the
    response, for example because the server has closed a kept one. Nothing else is repeated.

    Args:
        connect_s: Seconds to wait for a connection, TLS included.
        read_s: Seconds to wait for the whole response, after ``connect_s``.
        secret_headers: Names of the headers that carry the key.
        key: The key, to redact it in the texts of responses.
        max_bytes: Size of a response body, at most.
        map_url: Applied to the target of every redirect.
        guard: Decides which addresses may be reached; by default only public ones.
    """

    def __init__(  # noqa: PLR0913 - one for each limit or rule
        self,
        connect_s: float,
        read_s: float,
        secret_headers: Collection[str] = (),
        key: Key | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
        *,
        map_url: Callable[[str], str] = str,
        guard: AddressGuard | None = None,
    ) -> None:
        # No limit on pauses, which would cost two timers per poll: the whole poll has a limit.
        self._timeout = aiohttp.ClientTimeout(total=connect_s + read_s, sock_connect=connect_s)
        self._secret_headers = frozenset(name.lower() for name in secret_headers)
        self._key = key or Key("")
        self._max_bytes = max_bytes
        self._map_url = map_url
        self._guard = guard or AddressGuard()
        # A guarded connector would refuse a proxy inside; its target is checked instead.
        self._sessions: dict[tuple[asyncio.AbstractEventLoop, bool], _Session] = {}

    @staticmethod
    def can_reach(origin: str) -> bool:
        """Whether aiohttp can reach an origin: it knows HTTP proxies only, and not SOCKS."""
        proxy = find_proxy(origin)
        return proxy is None or (proxy.startswith("http://") and bool(urlsplit(proxy).hostname))

    async def get(self, url: str, headers: Mapping[str, str]) -> Response:
        """Send a GET and return the whole response; redirects are followed.

        Raises:
            UnreachableError: There is no connection.
            ResponseLostError: The response did not come, or not whole, or it is too long.
            ProtocolError: A redirect does not lead anywhere.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = await self.request("GET", url, headers)
            if response.status not in REDIRECT_STATUSES:
                return response
            location = response.headers.get("Location", "").encode("utf-8", "surrogateescape")
            previous, url = url, self._map_url(redirect_target(url, location))
            if get_origin(url) != get_origin(previous):
                headers = {
                    name: text
                    for name, text in headers.items()
                    if name.lower() not in self._secret_headers
                }
        raise too_many_redirects_error(url)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Response:
        """Send one request that is free of charge, and return the whole response.

        Raises:
            UnreachableError: There is no connection.
            ResponseLostError: The response did not come, or not whole, or it is too long.
        """
        origin = get_origin(url)
        loop, proxy = asyncio.get_running_loop(), find_proxy(origin)
        try:
            if proxy and self._guard.needs_lookup(origin):
                await asyncio.to_thread(self._guard.check_proxied, origin)
            key = (loop, proxy is None)
            session, _ = self._sessions.get(key) or await self._open_session(*key)
            response = await session.request(
                method,
                URL(url, encoded=True),  # quoted already; yarl would change some task ids
                headers=headers,
                data=body,
                allow_redirects=False,
                proxy=proxy,
                ssl=tls_context() if origin.startswith("https:") else True,
            )
            # The end of the body gives the connection back: ``async with`` would do so again, for
            # each poll.
            try:
                content = await self._read_body(response)
            except BaseException:
                response.close()  # with the rest of the body in it
                raise
            return Response(response.status, response.headers, content, self._key)
        except _TRANSPORT_ERRORS as error:
            raise _transport_error(origin, error) from error

    async def _open_session(self, loop: asyncio.AbstractEventLoop, is_direct: bool) -> _Session:
        guard = self._guard if is_direct else None
        lifetime = _session_lifetime(weakref.ref(self), self._timeout, guard)
        self._sessions[loop, is_direct] = await anext(lifetime), lifetime
        return self._sessions[loop, is_direct]

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        # Not ``response.read()``, which has no limit. A bytearray, because bytes would be copied
        # whole for every chunk.
        decoder, content = Decoder(response.headers.get("Content-Encoding", "")), bytearray()
        while chunk := await response.content.readany():
            for piece in decoder.decode(chunk):
                content += piece
                if len(content) > self._max_bytes:
                    raise too_long_error(self._max_bytes)
        return bytes(content)


async def _session_lifetime(
    owner: weakref.ref[PollSession], limits: aiohttp.ClientTimeout, guard: AddressGuard | None
) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """Open a session that is closed with its event loop, or when its owner is dropped.

    A loop closes the asynchronous generators that are left on it (``shutdown_asyncgens``), so
    that no caller has to close the session of a provider. The reference to the owner is weak:
    in a circle, the garbage collector would end the session before this generator could close it.
    """
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(
        limit=0,  # the caller limits the polls in flight
        keepalive_timeout=KEEPALIVE_S,
        ttl_dns_cache=DNS_CACHE_S,
        socket_factory=guard.open_socket if guard else None,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": ACCEPTED_ENCODING},
        auto_decompress=False,  # it would unpack each chunk whole
        timeout=limits,
        trust_env=False,  # ``veo.network`` resolves proxies
    )
    async with session:
        try:
            yield session
        finally:
            if polls := owner():
                polls._sessions.pop((loop, guard is not None), None)  # noqa: SLF001 - of this module


def _transport_error(origin: str, error: Exception) -> VeoError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return unreachable_error(origin, OSError(f"HTTP {error.status} {error.message}"))
    if isinstance(error, _UNREACHABLE):
        return unreachable_error(origin, error)
    return lost_response_error(error)
