"""Open a finished file: a public URL, or ``/content``, which is the file or JSON.

The vendor's pages show JSON with a URL at ``/content``; users of the service received the bytes.
The content decides which it is, not its declared type, and a web page is never a video.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from veo.errors import GoneError, NotReadyError, ProtocolError, SetupError, VeoError
from veo.http import ApiClient, Response, StreamingResponse, open_bytes, to_byte_stream
from veo.update import Stage
from veo.wire.error_rules import response_error
from veo.wire.values import parse_json_or_none
from veo_laozhang.error_body import read_error
from veo_laozhang.error_table import get_error
from veo_laozhang.request_bodies import task_path
from veo_laozhang.responses import INLINE, read_inline_video, read_task

if TYPE_CHECKING:
    from veo.provider import ByteStream

NOT_READY_S = 4.0  # the wait that a sister reseller advises after `completed`
_NOT_READY_STATUSES = (400, 404, 409, 425)
_HEAD_BYTES = 64  # enough to tell an MP4 from text
_MAX_TEXT_BYTES = 1 << 18  # JSON with a URL takes a kilobyte
_UNFINISHED = re.compile(r"in[_ ]progress|not completed yet", re.IGNORECASE)


def open_file(http: ApiClient, uri: str, offset: int = 0) -> ByteStream:
    """Return the bytes of a file, from an offset if the server supports it.

    A file that is missing on the API's own host may be too new, so the error is not that it is
    gone; the caller limits how often it tries again.

    Raises:
        NotReadyError: The API does not have the file, or not yet.
        GoneError: The storage host no longer has it. Retryable if the host refuses the link, for
            example because its signature has expired, as a new link may work.
        ProtocolError: The response is not a file: a web page, or JSON without a URL.
    """
    if uri.startswith(INLINE):
        return _open_inline(http, uri.removeprefix(INLINE), offset)
    for _ in range(2):  # JSON at /content may lead to the file, but no further
        response = http.open(uri, offset=offset)
        if response.status not in (200, 206, 416):
            raise file_error(response.read(), is_own=http.is_own_origin(response.url))
        stream = to_byte_stream(response, offset)
        body = _read_text(stream, response)
        if body is None:
            return stream
        uri = read_file_url(Response(response.status, response.headers, body, http.key))
    raise ProtocolError("the URL of the file leads to another URL instead of the file")


def _open_inline(http: ApiClient, task_id: str, offset: int) -> ByteStream:
    """Return the video that the response to a poll holds."""
    response = http.get(task_path(task_id))
    if not response.ok:
        raise get_error(response)
    data = read_inline_video(parse_json_or_none(response.body))
    if data is None:
        raise GoneError("the response no longer holds the video")
    return open_bytes(data, offset)


def file_error(response: Response, *, is_own: bool) -> VeoError:
    """Return why there is no file.

    Args:
        response: The response.
        is_own: Whether it came from the API's own origin, not from a storage host.
    """
    message = read_error(response).message
    if response.status == 410 or (response.status == 404 and not is_own):
        return response_error(response, GoneError, f"the file is gone: {message}")
    if _UNFINISHED.search(response.text):
        return response_error(response, NotReadyError, message, retry_after=NOT_READY_S)
    error = get_error(response)
    is_setup = isinstance(error, SetupError) or response.status == 403
    if is_own and response.status in _NOT_READY_STATUSES and not is_setup:
        wait = error.retry_after or NOT_READY_S
        return response_error(response, NotReadyError, message, retry_after=wait)
    if not is_own and is_setup:
        # A storage host knows no API key: its 401 or 403 is about the signature of the link.
        message = f"the link to the file no longer works: {message}"
        return response_error(response, GoneError, message, retryable=True)
    return error


def read_file_url(response: Response) -> str:
    """Return the URL in a JSON response that was received instead of the file.

    Raises:
        NotReadyError: It says that the file is not finished.
        ProtocolError: It contains no URL.
    """
    task = read_task(parse_json_or_none(response.body))
    if task.stage is Stage.READY and task.url:
        return task.url
    if task.stage in (Stage.SUBMITTED, Stage.RUNNING) or _UNFINISHED.search(response.text):
        raise NotReadyError(f"the file is not ready yet: {task.status}", retry_after=NOT_READY_S)
    raise get_error(response)


def _read_text(stream: ByteStream, response: StreamingResponse) -> bytes | None:
    """Return the body if it is text instead of a file; otherwise None, and the stream is whole."""
    try:
        head = b"".join(_take_chunks(stream.chunks, _HEAD_BYTES))
        if not _is_text(head, stream.offset, response.content_type):
            stream.chunks = chain((head,), stream.chunks)
            return None
        body = head + b"".join(_take_chunks(stream.chunks, _MAX_TEXT_BYTES))
    except VeoError:
        stream.close()
        raise
    stream.close()
    return body


def _take_chunks(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield chunks until they hold ``count`` bytes, which may be in the last one."""
    while count > 0 and (chunk := next(chunks, b"")):
        count -= len(chunk)
        yield chunk


def _is_text(head: bytes, offset: int, content_type: str) -> bool:
    # Every MP4 has "ftyp" at byte 4, and only a file is sent from an offset. The content type
    # counts only where the bytes do not tell.
    if offset or head[4:8] == b"ftyp":
        return False
    is_declared = content_type.startswith("text/") or content_type.endswith(("json", "xml", "html"))
    return is_declared or head.lstrip()[:1] in (b"{", b"[", b"<")
