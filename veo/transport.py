"""One exchange over requests: proxies, certificates, and what a failure proves."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ConnectTimeout,
    InvalidProxyURL,
    InvalidSchema,
    InvalidURL,
    ProxyError,
    RequestException,
    SSLError,
)
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3 import Retry, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
)
from urllib3.exceptions import SSLError as TlsError
from urllib3.util import create_urllib3_context

from veo.errors import AnswerLostError, ConfigError, ProtocolError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from ssl import SSLContext

    from requests import Response
    from urllib3 import BaseHTTPResponse

_PORTS = {"http": 80, "https": 443}
_BROKEN = (RequestException, HTTPError, OSError, ValueError)
_NEVER_CONNECTED = (ConnectTimeout, InvalidURL, LocationValueError, ProxyError, SSLError)
_NO_WAY = (NewConnectionError, ConnectTimeoutError, TlsError)
_ONCE = Retry(0, read=False)


class Body:
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
    """Connections, kept for each thread. Nothing is retried or redirected.

    Args:
        connect_s: Seconds to wait for a connection.
    """

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._local = threading.local()

    def get(self, request: PreparedRequest, read_s: float) -> Response:
        """Send a GET, on a kept connection if there is one; the body is still to be read."""
        return self._send(self._adapter("get"), request, read_s)

    def direct(self, origin: str) -> bool:
        """Whether no proxy stands between."""
        return not _proxies(origin)

    def fetch(
        self, origin: str, target: str, headers: Mapping[str, str], read_s: float
    ) -> BaseHTTPResponse:
        """A GET with its whole answer, straight from the connections that ``get`` uses.

        A poll is little else than this, and is done half a million times for ten thousand
        videos: requests would take as long again for its own objects.

        Args:
            origin: A server to which no proxy stands between.
            target: Path and query, quoted.
            headers: All that are sent.
            read_s: Seconds of silence to bear.
        """
        with lost(), _unsent(origin, None):
            answer: BaseHTTPResponse = self._pool(origin).urlopen(
                "GET",
                target,
                headers=headers,
                retries=_ONCE,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(self._connect_s, read_s),
            )
        return answer

    def post(self, request: PreparedRequest, read_s: float) -> Response:
        """Send a paid request, whose body is a ``Body``, on a connection of its own."""
        adapter = self._adapter("post")
        # A kept connection that the server has just closed looks like a lost answer: none is kept.
        adapter.close()
        return self._send(adapter, request, read_s)

    def _send(self, adapter: HTTPAdapter, request: PreparedRequest, read_s: float) -> Response:
        url = str(request.url)
        with lost(), _unsent(url, request.body):
            return adapter.send(
                request,
                stream=True,
                timeout=(self._connect_s, read_s),
                verify=_certificates(),
                proxies=_proxies(origin(url)),
            )

    def _adapter(self, use: str) -> HTTPAdapter:
        adapter: HTTPAdapter | None = getattr(self._local, use, None)
        if adapter is None:
            adapter = _Adapter(pool_connections=4, pool_maxsize=2)
            setattr(self._local, use, adapter)
        return adapter

    def _pool(self, origin: str) -> Any:
        pools: dict[str, Any] = self._local.__dict__.setdefault("pools", {})
        if origin not in pools:
            anything = PreparedRequest()
            anything.url = f"{origin}/"
            adapter = self._adapter("get")
            pools[origin] = adapter.get_connection_with_tls_context(anything, _certificates())
        return pools[origin]


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
        raise ProtocolError(f"{url!r} is no http(s) URL", charged=False, retryable=False)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


@contextmanager
def lost() -> Iterator[None]:
    """Turn whatever breaks while an answer is awaited or read into an ``AnswerLostError``."""
    try:
        yield
    except _BROKEN as error:
        cause = _innermost(error)
        kind = "silence" if isinstance(cause, TimeoutError) else type(cause).__name__
        raise AnswerLostError(
            f"the connection broke before a whole answer came ({kind})"
        ) from error


@contextmanager
def _unsent(url: str, body: object) -> Iterator[None]:
    """Tell what certainly was not sent from what may have been."""
    try:
        yield
    except (InvalidSchema, InvalidProxyURL) as error:
        raise ConfigError(
            f"the proxy that the environment names for {origin(url)} cannot be used",
            hint="A SOCKS proxy needs `pip install PySocks`; NO_PROXY names hosts without a proxy.",
        ) from error
    except _BROKEN as error:
        if body.begun if isinstance(body, Body) else not _never_connected(error):
            raise
        raise UnreachableError(f"no connection to {origin(url)}: {_why(error)}") from error


def _never_connected(error: Exception) -> bool:
    wrapped = error.args[0] if error.args else None
    reason = getattr(error, "reason", None) or getattr(wrapped, "reason", None)
    return (
        isinstance(error, _NEVER_CONNECTED)
        or isinstance(reason, _NO_WAY)
        or str(_innermost(error)).startswith("Tunnel connection failed")
    )


def _why(error: BaseException) -> str:
    inner = _innermost(error)
    why = inner.strerror if isinstance(inner, OSError) else None
    proxy = "the proxy says: " if isinstance(error, ProxyError) else ""
    return proxy + (why or str(inner) or type(inner).__name__)


def _innermost(error: BaseException) -> BaseException:
    """What requests and urllib3 wrapped, up to five times."""
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
