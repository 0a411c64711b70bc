"""The sync route: a chat whose stream ends with a link to the video."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NoReturn

from veo.errors import ProtocolError, ResponseLostError, TaskNotFoundError
from veo.model import Facts, load_facts
from veo.update import RemoteVideo, Stage, Update
from veo_laozhang import chat_text, request_bodies
from veo_laozhang.base import LaoZhangProvider, read_seconds
from veo_laozhang.chat_stream import ChatStreamParser
from veo_laozhang.error_body import ErrorBody, parse_error, read_request_id
from veo_laozhang.error_table import generation_error, submit_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.errors import VeoError
    from veo.http import StreamingResponse
    from veo.provider import Connection, Pingable, ProviderClass
    from veo.request import Request
    from veo.update import UpdateCallback

STREAM_DEADLINE_S = 600.0  # users measured 189 and 352 s; the vendor's pages advise 300 to 600
MAX_SILENCE_S = 300.0
# A published stream has 2 kB; this only stops one that never ends.
MAX_STREAM_BYTES = 8_000_000
_MAX_TRANSCRIPT_CHARS = 4_000
_MAX_STRAY_CHARS = 500
_HINT = "It may have been charged, so it is not sent again automatically; check the usage log."

_log = logging.getLogger(__name__)


class LaoZhangSync(LaoZhangProvider):
    """``POST /v1/chat/completions`` as a stream.

    One of the vendor's pages says that a request is charged once HTTP 200 arrives, another that
    failures are free. The more expensive statement is assumed: after HTTP 200 every error has
    ``charged`` True and is not retryable.

    Options of the configuration, in addition to those of the base class: ``deadline_s``, the
    seconds a stream may take as a whole, and ``silence_s``, the seconds it may pause.
    """

    facts: ClassVar[Facts] = load_facts("veo_laozhang", "laozhang-sync")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._deadline_s = read_seconds(connection, "deadline_s", STREAM_DEADLINE_S)
        self._silence_s = min(
            read_seconds(connection, "silence_s", MAX_SILENCE_S), self._deadline_s
        )

    def submit(self, request: Request, report: UpdateCallback) -> Update:
        """Send the chat, report its progress, and return the finished video."""
        from veo.http.failures import before_sending  # noqa: PLC0415 - as in the base class

        with before_sending():
            body = request_bodies.build_chat_body(request)
        response = self._http.start_json(
            "chat/completions", body, silence_s=self._silence_s, total_s=self._deadline_s
        )
        if not 200 <= response.status < 300:
            raise submit_error(response.read(), self.models.get(request.model or ""))
        try:
            report(Update(stage=Stage.SUBMITTED, message="accepted, and therefore charged"))
            return self._read_stream(response, report)
        finally:
            response.close()

    async def poll(self, task_id: str) -> NoReturn:
        """Raise: this route has no tasks."""
        raise TaskNotFoundError(
            f"{self.name} has no task {task_id!r}: its videos come within the request",
            hint="laozhang-async has tasks that survive a lost connection.",
        )

    def _read_stream(self, response: StreamingResponse, report: UpdateCallback) -> Update:
        parser, reported = ChatStreamParser(), None
        for chunk in _read_chunks(response, parser):
            parser.feed(chunk)
            if (update := self._read_progress(parser)) != reported:
                reported = update
                report(update)
            # Some streams stay open after the message, so its URL ends the reading as well.
            if parser.is_done or (parser.is_finished and _find_url(parser)):
                break
        parser.close()
        url = _find_url(parser)
        if not url:
            raise _no_video_error(parser, response)
        if parser.interruption:
            _log.warning(
                "the stream was interrupted after the video's link: %s", parser.interruption
            )
        return Update(stage=Stage.READY, progress=1.0, video=RemoteVideo(url))

    def _read_progress(self, parser: ChatStreamParser) -> Update:
        line = chat_text.find_last_line(parser.transcript)
        return Update(
            stage=Stage.RUNNING,
            progress=chat_text.parse_progress(parser.transcript),
            message=self._http.key.redact(line) if line else None,
        )


def _read_chunks(response: StreamingResponse, parser: ChatStreamParser) -> Iterator[bytes]:
    """Yield the stream as it arrives.

    An interruption is noted and not raised, because the link may have arrived before it.
    """
    size = 0
    try:
        for chunk in response.chunks():
            size += len(chunk)
            yield chunk
            if size > MAX_STREAM_BYTES:
                parser.interruption = f"the stream is longer than {MAX_STREAM_BYTES} bytes"
                return
    except ResponseLostError as error:
        parser.interruption = error.message


def _find_url(parser: ChatStreamParser) -> str | None:
    """Return the video's URL; one in the message counts more than one in the reasoning."""
    urls = (
        chat_text.find_video_url(text, finished=parser.is_finished)
        for text in (parser.content, parser.transcript)
    )
    return next(filter(None, urls), None)


def _no_video_error(parser: ChatStreamParser, response: StreamingResponse) -> VeoError:
    """Return the error of a stream without a video, with what the stream contained."""
    text = chat_text.strip_echo(parser.transcript).strip()[-_MAX_TRANSCRIPT_CHARS:]
    request_id = read_request_id(response.headers)
    if parser.error:
        body = parse_error(parser.error)
        message = f"{body.message}; before that: {text}" if text else body.message
        body = replace(body, message=message, request_id=body.request_id or request_id)
    elif parser.interruption:
        message = f"{parser.interruption}; received before: {text or 'nothing'}"
        return _stream_error(ResponseLostError, message, response, request_id)
    elif parser.stray_lines and not parser.event_count:
        lines = " ".join(parser.stray_lines)[:_MAX_STRAY_CHARS]
        message = f"the response is not a chat: {lines}"
        return _stream_error(ProtocolError, message, response, request_id)
    else:
        message = f"the stream ended without a video: {text or 'it has no text'}"
        body = ErrorBody(message, (parser.finish_reason,), request_id)
    return generation_error(body, response.key, charged=True)


def _stream_error(
    error: type[VeoError], message: str, response: StreamingResponse, request_id: str | None
) -> VeoError:
    message = response.key.redact(message)
    return error(message, charged=True, retryable=False, hint=_HINT, request_id=request_id)


if TYPE_CHECKING:
    _class: ProviderClass = LaoZhangSync

    def _pings(route: LaoZhangSync) -> Pingable:
        return route
