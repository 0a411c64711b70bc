"""One exchange over the connections of requests: proxies, certificates, what a failure proves."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidSchema, InvalidURL, RequestException
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3 import Retry, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.util import create_urllib3_context

from veo.errors import ConfigError, ProtocolError, ResponseLostError, UnreachableError
from veo.http.sent import Connections, Sent, closed_if_broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ssl import SSLContext

    from urllib3 import BaseHTTPResponse

_PORTS = {"http": 80, "https": 443}
_BROKEN = (RequestException, HTTPError, HTTPException, OSError, ValueError)
_NOWHERE = (InvalidURL, LocationValueError)
_NEVER_CONNECTED = (NewConnectionError, ConnectTimeoutError, ProxyError, SSLError)
_ONCE = Retry(0, read=False)


class TrackedBody:
    """The body of a paid request, which knows whether any of it was asked for by the network.

    Nobody can act upon a request without its body. Whatever broke before that (no connection, no
    way through a proxy, no TLS): nothing was accepted.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.begun = False

    def __iter__(self) -> Iterator[bytes]:
        self.begun = True
        yield self._data


class Transport:
    """Connections. Nothing is retried or redirected.

    Args:
        connect_s: Seconds to wait for a connection.
    """

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._local = threading.local()
        self._shared: dict[str, Connections] = {}

    def send(
        self, origin: str, target: str, headers: Mapping[str, str], read_s: float, *, wait: bool
    ) -> Sent | None:
        """Send a small GET, on a connection kept for all threads.

        None through a proxy, or, unless it may ``wait``, when there is no open connection.
        """
        with lost(), _unsent(origin, None):
            connections = self._shared.get(origin) or self._share(origin)
            if connections.proxied:
                return None
            connection = connections.take(fresh=wait)
            if connection is None:
                return None
            connection.timeout = self._connect_s
            with closed_if_broken(connection):
                connection.request("GET", target, headers=headers)
            return Sent(connections, connection, monotonic() + read_s)

    def _share(self, origin: str) -> Connections:
        pool = _pool(self._adapter("get"), origin).connections
        return self._shared.setdefault(origin, Connections(pool))

    def get(
        self, origin: str, target: str, headers: Mapping[str, str], read_s: float
    ) -> BaseHTTPResponse:
        """Send a GET, on a kept connection if there is one; the body is still to be read."""
        with lost(), _unsent(origin, None):
            pool = self._pools.get(origin)
            if pool is None:
                pool = self._pools[origin] = _pool(self._adapter("get"), origin)
            return self._send("GET", pool, target, headers, None, read_s)

    def post(
        self, origin: str, target: str, headers: Mapping[str, str], body: TrackedBody, read_s: float
    ) -> BaseHTTPResponse:
        """Send a paid request, on a connection of its own."""
        with lost(), _unsent(origin, body):
            adapter = self._adapter("post")
            # A kept connection that the server has just closed looks like a lost answer.
            adapter.close()
            return self._send("POST", _pool(adapter, origin), target, headers, body, read_s)

    def _send(
        self,
        method: str,
        pool: _Pool,
        target: str,
        headers: Mapping[str, str],
        body: TrackedBody | None,
        read_s: float,
    ) -> BaseHTTPResponse:
        """Past the objects of requests, which cost as much as the rest of a poll."""
        answer: BaseHTTPResponse = pool.connections.urlopen(
            method,
            pool.prefix + target,
            body=body,
            headers=headers,
            retries=_ONCE,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(connect=self._connect_s, read=read_s),
            preload_content=False,
        )
        return answer

    @property
    def _pools(self) -> dict[str, _Pool]:
        pools: dict[str, _Pool] = self._local.__dict__.setdefault("pools", {})
        return pools

    def _adapter(self, use: str) -> HTTPAdapter:
        adapter: HTTPAdapter | None = getattr(self._local, use, None)
        if adapter is None:
            adapter = _Adapter(pool_connections=4, pool_maxsize=2)
            setattr(self._local, use, adapter)
        return adapter


class _Pool(NamedTuple):
    """The connections of one thread to one origin.

    Attributes:
        connections: As urllib3 has them.
        prefix: What stands before every target: a plain proxy wants the whole URL.
    """

    connections: Any
    prefix: str


class _Adapter(HTTPAdapter):
    """All connections share what is known of certificates: to read them takes 15 ms a time."""

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        """As its own documentation tells to hand in a context."""
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": _trust(verify)} if host["scheme"] == "https" else options

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """Nothing is left to do: the context verifies."""


def _pool(adapter: HTTPAdapter, origin: str) -> _Pool:
    root = PreparedRequest()
    usual = f":{_PORTS[origin.partition(':')[0]]}"
    root.url = f"{origin.removesuffix(usual)}/"
    proxies = _proxies(origin)
    connections = adapter.get_connection_with_tls_context(root, _certificates(), proxies)
    return _Pool(connections, adapter.request_url(root, proxies).removesuffix("/"))


def origin(url: str) -> str:
    """Scheme, host and port of an ``http(s)`` URL.

    Raises:
        ProtocolError: It is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        port = 0
    if not port or not parts.hostname:
        raise ProtocolError(f"{url!r} is not an http(s) URL", charged=False, retryable=False)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


@contextmanager
def lost() -> Iterator[None]:
    """Turn whatever breaks while an answer is awaited or read into an ``ResponseLostError``."""
    try:
        yield
    except _BROKEN as error:
        cause = _innermost(error)
        kind = "silence" if isinstance(cause, TimeoutError) else type(cause).__name__
        raise ResponseLostError(
            f"the connection was lost before the response was complete ({kind})"
        ) from error


@contextmanager
def _unsent(url: str, body: object) -> Iterator[None]:
    """Tell what certainly was not sent from what may have been."""
    try:
        yield
    except (InvalidSchema, InvalidProxyURL) as error:
        raise ConfigError(
            f"the proxy that the environment sets for {origin(url)} cannot be used",
            hint="A SOCKS proxy needs `pip install PySocks`; NO_PROXY names hosts without a proxy.",
        ) from error
    except _BROKEN as error:
        if body.begun if isinstance(body, TrackedBody) else not _never_connected(error):
            raise
        raise UnreachableError(f"no connection to {origin(url)}: {_why(error)}") from error


def _never_connected(error: Exception) -> bool:
    return (
        isinstance(error, _NOWHERE)
        or isinstance(_reason(error), _NEVER_CONNECTED)
        or str(_innermost(error)).startswith("Tunnel connection failed")
    )


def _reason(error: Exception) -> object:
    """What urllib3 says was in the way."""
    return getattr(error, "reason", error)


def _why(error: Exception) -> str:
    inner = _innermost(error)
    why = inner.strerror if isinstance(inner, OSError) else None
    proxy = "the proxy says: " if isinstance(_reason(error), ProxyError) else ""
    return proxy + (why or str(inner) or type(inner).__name__)


def _innermost(error: BaseException) -> BaseException:
    """What urllib3 wrapped, up to five times."""
    while True:
        wrapped = [arg for arg in error.args if isinstance(arg, BaseException)]
        inner = error.__cause__ or next(iter(wrapped), None)
        if inner is None:
            return error
        error = inner


@cache
def _proxies(origin: str) -> dict[str, str]:
    return dict(get_environ_proxies(origin))


@cache
def _certificates() -> str | bool:
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


@cache
def _trust(bundle: str | bool) -> SSLContext:
    place = Path(bundle if isinstance(bundle, str) else DEFAULT_CA_BUNDLE_PATH)
    if not place.exists():
        raise OSError(f"there is no certificate file {place}")
    context = create_urllib3_context()
    if place.is_dir():
        context.load_verify_locations(capath=place)
    else:
        context.load_verify_locations(cafile=place)
    return context
