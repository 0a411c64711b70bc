"""The synchronous route: one chat whose stream ends with a link to the video."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NoReturn

from veo.errors import ProtocolError, ResponseLostError, TaskNotFoundError
from veo.model import Facts, load_facts
from veo.update import RemoteVideo, Stage, Update
from veo_laozhang import chat_text as prose
from veo_laozhang import request_bodies as bodies
from veo_laozhang.base import Route, read_seconds
from veo_laozhang.chat_stream import ChatStreamParser
from veo_laozhang.error_body import ErrorBody, parse_error, read_request_id
from veo_laozhang.error_table import generation_error, submit_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.errors import VeoError
    from veo.http.client import StreamingResponse
    from veo.provider import Connection, Pingable, ProviderClass
    from veo.request import Request
    from veo.update import Report

STREAM_DEADLINE_S = 600.0  # 189 and 352 s were measured; the vendor's pages advise 300 to 600
MAX_SILENCE_S = 300.0
MAX_STREAM_BYTES = 8_000_000
_MAX_TRANSCRIPT_CHARS = 4_000
_MAX_STRAY_CHARS = 500
_HINT = "It is not sent again unasked: it may have been charged, and may be in the usage log."

_log = logging.getLogger(__name__)


class LaoZhangSync(Route):
    """``POST /v1/chat/completions`` as a stream.

    Charged as soon as HTTP 200 arrives: one of the vendor's pages says so, another that failures
    are free. The dearer one is believed: every error from then on has ``charged`` True, and none
    may be tried again unasked.

    Options of the configuration table, besides those of ``Route``: ``deadline_s``, how long a
    stream may take, looked at whenever something arrives, and ``silence_s``, how long it may
    pause. Both in seconds.
    """

    facts: ClassVar[Facts] = load_facts("veo_laozhang", "laozhang-sync")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._deadline_s = read_seconds(connection, "deadline_s", STREAM_DEADLINE_S)
        self._silence_s = min(
            read_seconds(connection, "silence_s", MAX_SILENCE_S), self._deadline_s
        )

    def submit(self, request: Request, report: Report) -> Update:
        """Have a video made, and return when it is."""
        end = time.monotonic() + self._deadline_s
        answer = self._http.start_json(
            "chat/completions", bodies.build_chat_body(request), silence_s=self._silence_s
        )
        if not 200 <= answer.status < 300:
            raise submit_error(answer.read(), self.models.get(request.model or ""))
        try:
            report(Update(stage=Stage.SUBMITTED, message="accepted, and charged from here on"))
            return self._read_stream(answer, report, end)
        finally:
            answer.close()

    def poll(self, task_id: str) -> NoReturn:
        """There is nothing to ask.

        Raises:
            TaskNotFoundError: Always.
        """
        raise TaskNotFoundError(
            f"{self.name} has no tasks, so none called {task_id!r}: its stream is all there is",
            hint="laozhang-async has tasks that survive a lost connection.",
        )

    def _read_stream(self, answer: StreamingResponse, report: Report, end: float) -> Update:
        reader, told = ChatStreamParser(), None
        for piece in _read_chunks(answer, reader, end):
            reader.feed(piece)
            if (news := self._read_progress(reader)) != told:
                told = news
                report(news)
            if reader.is_done or (reader.is_finished and _find_url(reader)):
                break
        reader.close()
        url = _find_url(reader)
        if not url:
            raise _no_video_error(reader, answer)
        if reader.interruption:
            _log.warning("the stream was cut behind the video's link: %s", reader.interruption)
        return Update(stage=Stage.READY, progress=1.0, video=RemoteVideo(url))

    def _read_progress(self, reader: ChatStreamParser) -> Update:
        line = prose.find_last_line(reader.transcript)
        return Update(
            stage=Stage.RUNNING,
            progress=prose.parse_progress(reader.transcript),
            message=self._http.key.redact(line) if line else None,
        )


def _read_chunks(
    answer: StreamingResponse, reader: ChatStreamParser, end: float
) -> Iterator[bytes]:
    """The stream as it comes; what cuts it short is noted, for the link may have come before."""
    size = 0
    try:
        for piece in answer.chunks(None):
            size += len(piece)
            yield piece
            reader.interruption = _check_limits(size, end)
            if reader.interruption:
                return
    except ResponseLostError as error:
        reader.interruption = error.message


def _check_limits(size: int, end: float) -> str:
    if size > MAX_STREAM_BYTES:
        return f"the stream is longer than {MAX_STREAM_BYTES} bytes"
    return "the stream took too long, and was left" if time.monotonic() > end else ""


def _find_url(reader: ChatStreamParser) -> str | None:
    urls = (
        prose.find_video_url(said, finished=reader.is_finished)
        for said in (reader.content, reader.transcript)
    )
    return next(filter(None, urls), None)


def _no_video_error(reader: ChatStreamParser, answer: StreamingResponse) -> VeoError:
    """Why a stream brought no video, with what it said."""
    words = prose.strip_echo(reader.transcript).strip()[-_MAX_TRANSCRIPT_CHARS:]
    name = read_request_id(answer.headers)
    if reader.error:
        said = parse_error(reader.error)
        told = f"{said.message}; before that: {words}" if words else said.message
        said = replace(said, message=told, request_id=said.request_id or name)
    elif reader.interruption:
        told = f"{reader.interruption}; the stream had said: {words or 'nothing'}"
        return _stream_error(ResponseLostError, answer.key.redact(told), name)
    elif reader.stray_lines and not reader.event_count:
        told = f"the answer is no chat: {' '.join(reader.stray_lines)[:_MAX_STRAY_CHARS]}"
        return _stream_error(ProtocolError, answer.key.redact(told), name)
    else:
        told = f"the stream ended without a video: {words or 'without a word'}"
        said = ErrorBody(told, (reader.finish_reason,), name)
    return generation_error(replace(said, message=answer.key.redact(said.message)), charged=True)


def _stream_error(kind: type[VeoError], told: str, name: str | None) -> VeoError:
    return kind(told, charged=True, retryable=False, hint=_HINT, request_id=name)


if TYPE_CHECKING:
    _class: ProviderClass = LaoZhangSync

    def _pings(route: LaoZhangSync) -> Pingable:
        return route
