"""Proxies and certificates of the environment: resolved here for every HTTP client.

The rules are those of requests: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``,
in either case, and ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE``. The variables of OpenSSL,
``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, come next. Everything is read once per process, so
that all requests of a run take the same way.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from requests.utils import (
    DEFAULT_CA_BUNDLE_PATH,
    get_environ_proxies,
    prepend_scheme_if_needed,
    select_proxy,
)
from urllib3.util import create_urllib3_context

if TYPE_CHECKING:
    from ssl import SSLContext

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class MissingCertificatesError(OSError):
    """The certificate file or folder that the environment names does not exist."""


@cache
def read_proxies(origin: str) -> dict[str, str]:
    """Return the proxies for an origin, by scheme, as requests takes them."""
    return dict(get_environ_proxies(origin))


@cache
def find_proxy(origin: str) -> str | None:
    """Return the URL of the proxy for an origin; None for a direct connection."""
    proxy = select_proxy(origin, read_proxies(origin))
    if not proxy:
        return None
    # The variables may name a proxy as `host:port`.
    url: str = prepend_scheme_if_needed(proxy, "http")  # type: ignore[no-untyped-call]
    return url


def proxy_name(origin: str) -> str:
    """Return the host and the port of the proxy for an origin, without its password; or nothing."""
    return (find_proxy(origin) or "").rpartition("@")[2].rpartition("//")[2].rstrip("/")


def find_certificates() -> Path:
    """Return the file or folder of the certificates that are trusted.

    Raises:
        MissingCertificatesError: There is no such file or folder.
    """
    named = next(filter(None, map(os.environ.get, CA_VARIABLES)), None)
    path = Path(named or DEFAULT_CA_BUNDLE_PATH)
    if not path.exists():
        raise MissingCertificatesError(f"cannot find the certificate file {path}")
    return path


def read_certificates() -> bytes:
    """Return the certificates that are trusted, as PEM.

    Raises:
        MissingCertificatesError: There is no such file or folder.
    """
    path = find_certificates()
    # In a folder OpenSSL looks for names like `9d66eef0.0`, and ignores all others.
    files = sorted(path.glob("????????.[0-9]*")) if path.is_dir() else [path]
    return b"\n".join(file.read_bytes() for file in files)


def certificate_hint() -> str:
    """Return what a user can do about a certificate that is not trusted."""
    if named := next(filter(os.environ.get, CA_VARIABLES), None):
        return f"{named} names the certificates that are trusted, for all traffic."
    return f"Set {CA_VARIABLES[0]} to the certificate of your proxy or gateway."


@cache
def tls_context() -> SSLContext:
    """Return the shared TLS context. Loading the certificates takes 15 ms each time.

    Raises:
        MissingCertificatesError: There is no such file or folder.
    """
    path = find_certificates()
    context = create_urllib3_context()
    if path.is_dir():
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(cafile=path)
    return context


@cache
def user_agent() -> str:
    """Return how every client of this package names itself to servers."""
    from importlib.metadata import version  # noqa: PLC0415 - 10 ms that --help can spare

    return f"veo-video/{version('veo-video')}"


def reset() -> None:
    """Forget what was read, so that the next request reads the environment again."""
    read_proxies.cache_clear()
    find_proxy.cache_clear()
    tls_context.cache_clear()
