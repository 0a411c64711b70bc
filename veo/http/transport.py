"""One exchange over requests and urllib3, where it is known what was sent. Nothing is retried."""

from __future__ import annotations

import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from http.client import HTTPException
from typing import Any, NamedTuple

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidSchema, InvalidURL, RequestException
from urllib3 import BaseHTTPResponse, Retry, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
    SSLError,
)

from veo.errors import ConfigError, VeoError
from veo.http.addresses import AddressGuard, InsideAddressError
from veo.http.deadline import Deadline, WatchedConnection
from veo.http.failures import innermost_cause, lost_response_error, unreachable_error
from veo.http.urls import DEFAULT_PORTS, get_origin
from veo.network import (
    MissingCertificatesError,
    find_proxy,
    read_proxies,
    tls_context,
)
from veo.provider import check_send_time

_NEVER_TRIED = (InvalidURL, LocationValueError, MissingCertificatesError, InsideAddressError)
_TRANSPORT_ERRORS = (RequestException, HTTPError, HTTPException, OSError, ValueError, zlib.error)
_NEVER_CONNECTED = (NewConnectionError, ConnectTimeoutError, ProxyError, SSLError)
_NO_RETRIES = Retry(0, read=False)
# A socket that accepts less than this in the time for a connection counts as broken.
_SENT_BYTES = 1 << 16


class TrackedBody:
    """The body of a paid request, which records whether the network has asked for any of it.

    A server cannot act on a request without its body. Whatever fails before that (no connection,
    no way through a proxy, no TLS) proves that nothing was accepted.

    Args:
        data: The body.
        on_sent: Called when all of it was handed to the network.
    """

    def __init__(self, data: bytes, on_sent: Callable[[], object]) -> None:
        self._data = data
        self._on_sent = on_sent
        self.is_begun = False

    def __iter__(self) -> Iterator[bytes]:
        check_send_time()
        self.is_begun = True
        for start in range(0, len(self._data), _SENT_BYTES):
            yield self._data[start : start + _SENT_BYTES]
        self._on_sent()


class Transport:
    """Connections, a set for every thread. Nothing is retried or redirected.

    Args:
        connect_s: Seconds to wait for a connection.
        guard: Decides which addresses may be reached.
    """

    def __init__(self, connect_s: float, guard: AddressGuard) -> None:
        self._connect_s = connect_s
        self._guard = guard
        self._local = _ThreadConnections()

    def get(
        self,
        origin: str,
        target: str,
        headers: Mapping[str, str],
        read_s: float,
        deadline: Deadline,
    ) -> BaseHTTPResponse:
        """Send a GET, on a kept connection if there is one; the body is still to be read."""
        with translate_failures(deadline), _detect_unsent(origin), deadline.apply():
            pools = self._local.pools
            if origin not in pools:
                pools[origin] = self._open_pool(self._local.adapters["get"], origin)
            return self._send("GET", pools[origin], target, headers, None, read_s)

    def post(
        self,
        origin: str,
        target: str,
        headers: Mapping[str, str],
        body: TrackedBody,
        read_s: float,
        deadline: Deadline,
    ) -> BaseHTTPResponse:
        """Send a paid request, on a connection of its own."""
        with translate_failures(deadline), _detect_unsent(origin, body), deadline.apply():
            adapter = self._local.adapters["post"]
            # A kept connection that the server has just closed looks like a lost response.
            adapter.close()
            return self._send(
                "POST", self._open_pool(adapter, origin), target, headers, body, read_s
            )

    def _open_pool(self, adapter: HTTPAdapter, origin: str) -> _Pool:
        root = PreparedRequest()
        default_port = f":{DEFAULT_PORTS[origin.partition(':')[0]]}"
        root.url = f"{origin.removesuffix(default_port)}/"
        proxies = read_proxies(origin)
        connections: Any = adapter.get_connection_with_tls_context(
            root, verify=True, proxies=proxies
        )
        if find_proxy(origin):
            self._guard.check_proxied(origin)
        else:
            connections.ConnectionCls = self._guard.guard_class(connections.ConnectionCls)
        connections.ConnectionCls = _watch_class(connections.ConnectionCls)
        return _Pool(connections, adapter.request_url(root, proxies).removesuffix("/"))

    def _send(
        self,
        method: str,
        pool: _Pool,
        target: str,
        headers: Mapping[str, str],
        body: TrackedBody | None,
        read_s: float,
    ) -> BaseHTTPResponse:
        # urllib3 directly: the request objects of requests cost as much as the rest of a GET.
        response: BaseHTTPResponse = pool.connections.urlopen(
            method,
            pool.prefix + target,
            body=body,
            headers=headers,
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,  # through a plain proxy the target is a URL of another host
            timeout=Timeout(connect=self._connect_s, read=read_s),
            preload_content=False,  # files are streamed
        )
        return response


class _Pool(NamedTuple):
    """The connections of one thread to one origin."""

    connections: Any  # the pool of urllib3
    prefix: str  # what stands before every target: a plain proxy needs the whole URL


class _Adapter(HTTPAdapter):
    """An adapter whose connections share one TLS context."""

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        """Add the TLS context, as the documentation of requests shows."""
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": tls_context()} if host["scheme"] == "https" else options

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """Do nothing: the TLS context verifies certificates."""


class _ThreadConnections(threading.local):
    def __init__(self) -> None:
        # Made when it is used: hundreds of threads send only paid requests. Each has connections
        # to the API, a storage host or two, and a redirect.
        self.adapters: defaultdict[str, HTTPAdapter] = defaultdict(
            lambda: _Adapter(pool_connections=4, pool_maxsize=2)
        )
        self.pools: dict[str, _Pool] = {}


@lru_cache(maxsize=16)
def _watch_class(connection: type) -> type:
    """Return a class of connections whose sockets deadlines can shut down."""
    if issubclass(connection, WatchedConnection):
        return connection
    return type(connection.__name__, (WatchedConnection, connection), {})


@contextmanager
def translate_failures(deadline: Deadline) -> Iterator[None]:
    """Turn what fails while a response is awaited or read into a ``ResponseLostError``."""
    try:
        yield
    except _TRANSPORT_ERRORS as error:
        deadline.check()
        raise lost_response_error(error) from error


@contextmanager
def _detect_unsent(origin: str, body: TrackedBody | None = None) -> Iterator[None]:
    """Raise ``UnreachableError`` for a failure which proves that nothing was received."""
    try:
        yield
    except (InvalidSchema, InvalidProxyURL, ProxySchemeUnknown) as error:
        raise ConfigError(
            f"the proxy that the environment sets for {get_origin(origin)} cannot be used",
            hint="A SOCKS proxy needs `pip install PySocks`; NO_PROXY names hosts without a proxy.",
        ) from error
    except _TRANSPORT_ERRORS as error:
        if body.is_begun if body else not _is_never_connected(error):
            raise
        raise unreachable_error(get_origin(origin), error) from error
    except VeoError:
        raise
    except Exception as error:
        if body is None or body.is_begun:
            raise
        reason = type(error).__name__
        raise ConfigError(f"the request to {origin} cannot be sent: {reason}") from error


def _is_never_connected(error: Exception) -> bool:
    return (
        isinstance(error, _NEVER_TRIED)
        or isinstance(innermost_cause(error), InsideAddressError)
        or isinstance(getattr(error, "reason", error), _NEVER_CONNECTED)
        or str(innermost_cause(error)).startswith("Tunnel connection failed")
    )
