"""Opening a finished file: a public URL, or ``/content``, which may be the file or JSON.

The vendor's pages show JSON with a URL behind ``/content``; users of the service got the bytes.
Both are taken for what they are, not for what they are called, and a web page is never a video.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from veo.errors import GoneError, NotReadyError, ProtocolError, SetupError, VeoError
from veo.http.client import Response, to_byte_stream
from veo.update import Stage
from veo_laozhang.error_body import read_error
from veo_laozhang.error_table import get_error
from veo_laozhang.lenient_json import parse_json
from veo_laozhang.responses import read_task

if TYPE_CHECKING:
    from veo.http.client import ApiClient, StreamingResponse
    from veo.provider import ByteStream

NOT_READY_S = 4.0  # what a sister reseller advises for the seconds after `completed`
_NOT_READY_STATUSES = (400, 404, 409, 425)
_UNFINISHED = re.compile(r"in[_ ]progress|not completed yet", re.IGNORECASE)


def open_file(http: ApiClient, uri: str, offset: int = 0) -> ByteStream:
    """The bytes of a file, from an offset if the server can.

    A file that is missing on the API's own host may only be too new: it is never called gone
    here. Whoever asks again bounds how often, and draws the conclusion.

    Raises:
        NotReadyError: The API does not have the file, or not yet.
        GoneError: The storage host does not have it any more; retryable where it refuses the
            link, for example one whose signature has expired: another link may do.
        ProtocolError: What came is no file: a web page, or JSON without a URL.
    """
    for _ in range(2):
        answer = http.open(uri, offset=offset)
        if answer.status not in (200, 206, 416):
            raise file_error(answer.read(), own=http.is_own_origin(answer.url))
        stream = to_byte_stream(answer, offset)
        body = _read_text(stream, answer)
        if body is None:
            return stream
        uri = read_file_url(Response(answer.status, answer.headers, body, http.key))
    raise ProtocolError("the URL of the file leads to yet another URL")


def file_error(answer: Response, *, own: bool) -> VeoError:
    """Why there is no file, by an answer of the API's own host or of a storage host."""
    told = f"{read_error(answer).message} (HTTP {answer.status})"
    if answer.status == 410 or (answer.status == 404 and not own):
        return GoneError(f"the file is gone: {told}")
    if _UNFINISHED.search(answer.text):
        return NotReadyError(told, retry_after=NOT_READY_S)
    error = get_error(answer)
    if own and answer.status in _NOT_READY_STATUSES and not isinstance(error, SetupError):
        return NotReadyError(told, retry_after=error.retry_after or NOT_READY_S)
    if not own and isinstance(error, SetupError):
        return GoneError(f"the link to the file does not work any more: {told}", retryable=True)
    return error


def read_file_url(answer: Response) -> str:
    """The URL in a JSON answer that stands where the file should be.

    Raises:
        NotReadyError: It says that the file is still being made.
        ProtocolError: It says nothing of use.
    """
    task = read_task(parse_json(answer.body))
    if task.stage is Stage.READY and task.url:
        return task.url
    if task.stage in (Stage.SUBMITTED, Stage.RUNNING) or _UNFINISHED.search(answer.text):
        raise NotReadyError(f"the file is not there yet: {task.status}", retry_after=NOT_READY_S)
    raise get_error(answer)


def _read_text(stream: ByteStream, answer: StreamingResponse) -> bytes | None:
    """The body if it is text instead of a file; what was read of a file is put back."""
    try:
        head = next(stream.chunks, b"")
    except VeoError:
        stream.close()
        raise
    if not _is_text(head, stream.offset, answer.content_type):
        stream.chunks = chain((head,), stream.chunks)
        return None
    stream.close()
    return head


def _is_text(head: bytes, offset: int, kind: str) -> bool:
    """Labels are only asked where the bytes cannot tell; the middle of a file is a file."""
    if offset or head[4:8] == b"ftyp":
        return False
    named = kind.startswith("text/") or kind.endswith(("json", "xml", "html"))
    return named or head.lstrip()[:1] in (b"{", b"[", b"<")
