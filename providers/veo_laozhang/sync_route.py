"""The sync route: a chat whose stream ends with a link to the video."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NoReturn

from veo.errors import ProtocolError, ResponseLostError, TaskNotFoundError
from veo.model import ProviderFacts, load_facts
from veo.update import RemoteVideo, Stage, Update
from veo_laozhang import chat_text, request_bodies
from veo_laozhang.base import LaoZhangProvider, read_seconds
from veo_laozhang.chat_stream import ChatStreamParser
from veo_laozhang.error_body import ErrorBody, parse_error, read_request_id
from veo_laozhang.error_table import find_refusal, generation_error, submit_error
from veo_laozhang.evidence import add_evidence, extend_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.errors import VeoError
    from veo.http import StreamingResponse
    from veo.model import Model
    from veo.provider import Connection, Pingable, ProviderClass
    from veo.request import Request
    from veo.update import UpdateCallback

STREAM_DEADLINE_S = 600.0  # users measured 189 and 352 s; the vendor's pages advise 300 to 600
MAX_SILENCE_S = 300.0
# A published stream has 2 kB; this only stops one that never ends.
MAX_STREAM_BYTES = 8_000_000
_MAX_TRANSCRIPT_CHARS = 4_000
_MAX_STRAY_CHARS = 500
_TAIL_CHARS = 16_000  # at the end of the text, where the progress is; more than an echo has
_ACCEPTED = Update(stage=Stage.SUBMITTED, message="accepted, and therefore charged")
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

    facts: ClassVar[ProviderFacts] = load_facts("veo_laozhang", "laozhang-sync")

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
            return self._read_stream(response, report, self.models.get(request.model or ""))
        finally:
            response.close()

    async def poll(self, task_id: str) -> NoReturn:
        """Raise: this route has no tasks."""
        raise TaskNotFoundError(
            f"{self.name} has no task {task_id!r}: its videos come within the request",
            hint="laozhang-async has tasks that survive a lost connection.",
        )

    def _read_stream(
        self, response: StreamingResponse, report: UpdateCallback, model: Model | None = None
    ) -> Update:
        # An event stream is an acceptance. A page or an object may be a refusal, which is read
        # first.
        if not response.content_type.endswith(("json", "html")):
            report(_ACCEPTED)
        parser, end = ChatStreamParser(), bytearray()
        self._feed_parser(parser, _read_chunks(response, parser, end), report)
        parser.close()
        url = _find_url(parser)
        if not url:
            error = _find_refusal(parser, response, model) or _no_video_error(parser, response)
            raise add_evidence(error, bytes(end), str(parser.transcript), response.key)
        if parser.interruption:
            _log.warning(
                "the stream was interrupted after the video's link: %s", parser.interruption
            )
        return Update(stage=Stage.READY, progress=1.0, video=RemoteVideo(url))

    def _feed_parser(
        self, parser: ChatStreamParser, chunks: Iterator[bytes], report: UpdateCallback
    ) -> None:
        reported = None
        # The progress is in the tail, which is cheap to read; a link may be anywhere in the text.
        # A stream may end without text, so the ending is looked for at length 0 too.
        progress, ending = _Growth(1024, 0), _Growth(8, -1)
        for chunk in chunks:
            parser.feed(chunk)
            length = len(parser.transcript)
            if progress.has_grown(length) and (update := self._read_progress(parser)) != reported:
                reported = update
                report(update)
            # Some streams stay open after the message, so its URL ends the reading as well.
            if parser.is_done or (
                parser.is_finished and ending.has_grown(length) and _find_url(parser)
            ):
                return

    def _read_progress(self, parser: ChatStreamParser) -> Update:
        text = parser.transcript.tail(_TAIL_CHARS)
        line = chat_text.find_last_line(text)
        return Update(
            stage=Stage.RUNNING,
            progress=chat_text.parse_progress(text),
            message=self._http.key.redact(line) if line else None,
        )


class _Growth:
    """Says when a text has grown by a ``divisor``-th since it was last read, at length ``last``.

    Reading all of a long text again after each small chunk would take time in proportion to the
    square of its length.
    """

    def __init__(self, divisor: int, last: int) -> None:
        self._divisor = divisor
        self._last = last

    def has_grown(self, length: int) -> bool:
        if length <= self._last + max(0, self._last) // self._divisor:
            return False
        self._last = length
        return True


def _read_chunks(
    response: StreamingResponse, parser: ChatStreamParser, end: bytearray
) -> Iterator[bytes]:
    """Yield the stream as it arrives, and keep the end of it.

    An interruption is noted and not raised, because the link may have arrived before it.
    """
    size = 0
    try:
        for chunk in response.chunks():
            size += len(chunk)
            extend_end(end, chunk)
            yield chunk
            if size > MAX_STREAM_BYTES:
                parser.interruption = f"the stream is longer than {MAX_STREAM_BYTES} bytes"
                return
    except ResponseLostError as error:
        parser.interruption = error.message


def _find_url(parser: ChatStreamParser) -> str | None:
    """Return the video's URL; one in the message counts more than one in the reasoning."""
    texts = dict.fromkeys((str(parser.content), str(parser.transcript)))  # mostly the same
    urls = (chat_text.find_video_url(text, finished=parser.is_finished) for text in texts)
    in_text = next(filter(None, urls), None)
    return in_text or next(reversed(parser.video_urls), None)


def _find_refusal(
    parser: ChatStreamParser, response: StreamingResponse, model: Model | None
) -> VeoError | None:
    """Return the error of a page or an object that clearly says no, although it has HTTP 200."""
    if parser.event_count or parser.interruption:
        return None
    body = "\n".join(parser.stray_lines).encode()
    from veo.http import Response  # noqa: PLC0415 - imports an HTTP library, as in the base class

    return find_refusal(Response(response.status, response.headers, body, response.key), model)


def _no_video_error(parser: ChatStreamParser, response: StreamingResponse) -> VeoError:
    """Return the error of a stream without a video, with what the stream contained."""
    text = chat_text.strip_echo(str(parser.transcript)).strip()[-_MAX_TRANSCRIPT_CHARS:]
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
    _pingable: type[Pingable] = LaoZhangSync
