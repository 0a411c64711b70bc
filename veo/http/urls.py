"""Origins, request targets and redirects; pure."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urljoin, urlsplit

from requests.utils import requote_uri

from veo.errors import ProtocolError

MAX_REDIRECTS = 5
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
DEFAULT_PORTS = {"http": 80, "https": 443}


def get_origin(url: str) -> str:
    """Return scheme, host and port of an ``http(s)`` URL.

    Raises:
        ProtocolError: It is not an ``http(s)`` URL.
    """
    # Thousands of URLs have a few beginnings; parsing one takes a tenth of the time of a poll.
    origin = _parse_origin("/".join(url.split("/", 3)[:3]))
    if origin is None:
        raise ProtocolError(f"{url!r} is not an http(s) URL", charged=False, retryable=False)
    return origin


@lru_cache(maxsize=256)
def _parse_origin(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        default_port = DEFAULT_PORTS[parts.scheme]  # raises a KeyError for another scheme
        port = parts.port or default_port
    except (ValueError, KeyError):
        return None
    if not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def split_url(url: str) -> tuple[str, str]:
    """Return the origin of a URL and the request target (path and query), quoted.

    Raises:
        ProtocolError: It is not an ``http(s)`` URL.
    """
    origin = get_origin(url)
    parts = urlsplit(requote_uri(url))
    query = f"?{parts.query}" if parts.query else ""
    return origin, (parts.path or "/") + query


def redirect_target(url: str, location: bytes) -> str:
    """Return the URL that a redirect leads to.

    Some servers send the ``Location`` in UTF-8, although HTTP headers are Latin-1. Both clients
    therefore give its bytes.

    Raises:
        ProtocolError: The ``Location`` is not a URL.
    """
    try:
        return requote_uri(urljoin(url, location.decode("utf-8", "replace")))
    except ValueError:
        raise ProtocolError(f"{get_origin(url)} redirects to an invalid URL") from None


def map_to_base(url: str, home_url: str, base_url: str) -> str:
    """Return a URL of a service's own host as one below a custom base URL; others unchanged.

    Args:
        url: For example what a response or a redirect of the service names.
        home_url: The service's own URL; empty if there is none.
        base_url: The configured URL, for example that of a gateway.
    """
    home_url = home_url.rstrip("/")
    if home_url and url.startswith(f"{home_url}/"):
        return base_url.rstrip("/") + url.removeprefix(home_url)
    return url


def too_many_redirects_error(url: str) -> ProtocolError:
    return ProtocolError(f"more than {MAX_REDIRECTS} redirects from {get_origin(url)}")
