"""The bytes of finished videos: over HTTP, or out of an operation's answer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from veo.errors import GoneError, ProtocolError
from veo.http.client import CHUNK, ApiClient, to_byte_stream
from veo.key import Key
from veo.provider import ByteStream
from veo_gemini.error_table import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo_gemini.error_table import Verb


def stream(http: ApiClient, url: str, offset: int, verb: Verb = "open") -> ByteStream:
    """A file from an offset; the key goes to the API's own origin alone."""
    answer = http.open(url, offset=offset)
    if answer.status not in {200, 206, 416}:
        raise error_of(answer.read(), verb)
    return to_byte_stream(answer, offset)


def storage(base_url: str, token: str) -> ApiClient:
    """Cloud Storage, with an access token."""
    return ApiClient(base_url, auth={"Authorization": f"Bearer {token}"}, key=Key(token))


def inline(data: bytes, offset: int) -> ByteStream:
    """Bytes that are there already, as a file from an offset.

    Raises:
        GoneError: There are no bytes at that offset.
    """
    if offset and offset >= len(data):
        raise GoneError(f"the file has no byte {offset}", retryable=True)
    return ByteStream(_pieces(data, offset), offset, len(data), hashlib.sha256(data).hexdigest())


def file_url(uri: str, home: str, base_url: str) -> str:
    """Where to fetch a file of the Developer API.

    Finished videos are named by URLs of Google's own host, whatever ``base_url`` the operation
    was asked from (so google-genai 2.34 reads them too); they are fetched from ``base_url``.

    Args:
        uri: As the operation names it: a URL, or ``files/<id>``.
        home: Google's own base URL.
        base_url: The configured one.

    Raises:
        ProtocolError: It is neither.
    """
    base_url = base_url.rstrip("/")
    if uri.startswith(f"{home}/"):
        return base_url + uri.removeprefix(home)
    if uri.startswith("files/"):
        return f"{base_url}/v1beta/{uri.partition(':')[0]}:download?alt=media"
    if uri.startswith(("https://", "http://")):
        return uri
    raise ProtocolError(f"the video's address {uri!r} cannot be fetched", retryable=False)


def object_path(uri: str) -> str:
    """The path of ``gs://bucket/object`` in Cloud Storage's JSON API."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return f"storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}?alt=media"


def _pieces(data: bytes, offset: int) -> Iterator[bytes]:
    view = memoryview(data)
    return (bytes(view[start : start + CHUNK]) for start in range(offset, len(data), CHUNK))
