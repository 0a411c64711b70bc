"""Open finished videos: over HTTP, or from the response of an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from veo.errors import ProtocolError
from veo.http import ApiClient, to_byte_stream
from veo.http.urls import map_to_base
from veo_gemini.error_table import Verb, google_error

if TYPE_CHECKING:
    from veo.provider import ByteStream


def open_url(http: ApiClient, url: str, offset: int, verb: Verb = "open") -> ByteStream:
    """Return a file's bytes from an offset; the key is sent to the API's own origin only."""
    response = http.open(url, offset=offset)
    if response.status not in {200, 206, 416}:
        raise google_error(response.read(), verb)
    return to_byte_stream(response, offset)


def resolve_file_url(uri: str, home: str, base_url: str) -> str:
    """Return the URL of a file of the Developer API.

    Operations name videos by URLs of Google's own host, whatever the ``base_url`` (google-genai
    2.34 reads them so too). They are fetched from ``base_url`` instead, so that a gateway works.

    Args:
        uri: The operation's address of the file: a URL, or ``files/<id>``.
        home: Google's own base URL.
        base_url: The configured base URL.

    Raises:
        ProtocolError: The address is neither.
    """
    if uri.startswith("files/"):
        return f"{base_url.rstrip('/')}/v1beta/{uri.partition(':')[0]}:download?alt=media"
    if uri.startswith(("https://", "http://")):
        # A published capture has the address without the query that the service requires.
        media = "?alt=media" if uri.startswith(home) and uri.endswith(":download") else ""
        return map_to_base(uri + media, home, base_url)
    raise ProtocolError(f"cannot fetch the video at {uri!r}", retryable=False)


def build_object_path(uri: str) -> str:
    """Return the path of ``gs://bucket/object`` in the JSON API of Cloud Storage."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return f"storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}?alt=media"
