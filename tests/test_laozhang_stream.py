"""The synchronous route over real sockets: streams that come, break, and fall silent."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
from laozhang import FILE, KEY, LINES, STREAM, chat_at, ignore, picture, request, stream
from polling import poll
from recording_server import RecordingServer, Reply

from veo.errors import (
    AuthError,
    BalanceError,
    BusyError,
    LeaseLostError,
    ModelUnavailableError,
    ResponseLostError,
    TaskNotFoundError,
    TooLargeError,
    VeoError,
)
from veo.update import RemoteVideo, Stage, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Piece = bytes | Callable[[], object]


@pytest.fixture
def api() -> Iterator[RecordingServer]:
    """The API's host."""
    with RecordingServer() as server:
        yield server


class Drip:
    """A server for one connection: the request is read, then the pieces go out one by one.

    A piece may be bytes, or a function that is called, for example to wait. At the end the
    connection is closed, with ``reset`` so that the other side sees an error.
    """

    def __init__(
        self, pieces: Iterable[bytes | Callable[[], object]], *, reset: bool = False
    ) -> None:
        self._pieces, self._reset = pieces, reset
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rb") as lines:
            length = 0
            while (line := lines.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            lines.read(length)
            if self._reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            for piece in self._pieces:
                connection.sendall(piece) if isinstance(piece, bytes) else piece()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
PLAIN = HEAD + b"Connection: close\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BEGUN = stream(LINES[:4], ended=False)


def framed(body: bytes) -> bytes:
    """One HTTP chunk."""
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


def test_a_chat_becomes_a_video(api: RecordingServer) -> None:
    """One POST; accepted is told first, then the progress, then comes the video."""
    api.reply = Reply(STREAM, headers={"Content-Type": "text/event-stream"})
    told: list[Update] = []
    route = chat_at(api.url)
    update = route.submit(
        request(model="veo-3.1-fast-fl", start_frame=picture("PNG", "red")), told.append
    )
    assert update.video == RemoteVideo(FILE)
    assert (told[0].stage, told[1].stage) == (Stage.SUBMITTED, Stage.RUNNING)
    assert api.only_request.path == "/v1/chat/completions"
    assert api.only_request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert api.only_request.json["stream"] is True
    parts = api.only_request.json["messages"][0]["content"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_server_may_ignore_the_wish_for_a_stream(api: RecordingServer) -> None:
    """A whole JSON answer is read as one."""
    api.reply = Reply({"choices": [{"message": {"content": "".join(LINES)}}]})
    assert chat_at(api.url).submit(request(), ignore).video == RemoteVideo(FILE)


@pytest.mark.parametrize("chunked", [True, False])
def test_acceptance_is_told_before_the_stream_speaks(*, chunked: bool) -> None:
    """The money goes with HTTP 200; every line is told as it comes, however it is framed."""
    accepted, running = threading.Event(), threading.Event()
    body = [BEGUN, STREAM[len(BEGUN) :]]
    pieces = [framed(piece) for piece in body] if chunked else body
    end = framed(b"") if chunked else b""

    def report(update: Update) -> None:
        (accepted if update.stage is Stage.SUBMITTED else running).set()

    def told(event: threading.Event) -> Callable[[], object]:
        return lambda: event.wait(10)

    head = CHUNKED if chunked else PLAIN
    with Drip([head, told(accepted), pieces[0], told(running), pieces[1] + end]) as server:
        assert chat_at(server.url).submit(request(), report).video == RemoteVideo(FILE)
    assert accepted.is_set()
    assert running.is_set()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("head", [CHUNKED, HEAD + b"Content-Length: 99999\r\n\r\n"])
def test_a_stream_that_breaks_has_cost_its_price(head: bytes, *, reset: bool) -> None:
    """What it had said is in the error; it is never sent again by itself."""
    body = framed(BEGUN) if head is CHUNKED else BEGUN
    with (
        Drip([head, body, lambda: time.sleep(0.1)], reset=reset) as server,
        pytest.raises(ResponseLostError, match=r"9\.0%") as caught,
    ):
        chat_at(server.url).submit(request(), ignore)
    assert (caught.value.charged, caught.value.retryable) == (True, False)
    assert caught.value.hint is not None


def test_a_stream_that_breaks_behind_its_link_has_brought_the_video() -> None:
    """All that matters had come."""
    with Drip([CHUNKED, framed(stream(LINES, ended=False)) + b"ff\r\nhalf"]) as server:
        assert chat_at(server.url).submit(request(), ignore).video == RemoteVideo(FILE)


def test_silence_after_acceptance_ends_the_waiting() -> None:
    """`silence_s` without a byte; charged."""
    left = threading.Event()
    with Drip([CHUNKED, framed(BEGUN), lambda: left.wait(10)]) as server:
        with pytest.raises(ResponseLostError, match="silence") as caught:
            chat_at(server.url, silence_s=0.2).submit(request(), ignore)
        left.set()
    assert caught.value.charged is True


def test_silence_before_any_answer_is_an_unknown_outcome() -> None:
    """Before HTTP 200 nobody can tell."""
    left = threading.Event()
    with Drip([lambda: left.wait(10)]) as server:
        with pytest.raises(ResponseLostError) as caught:
            chat_at(server.url, silence_s=0.2).submit(request(), ignore)
        left.set()
    assert caught.value.charged is None


def test_pings_do_not_keep_a_stream_alive_for_ever() -> None:
    """`deadline_s` ends it although something keeps arriving."""
    left = threading.Event()

    def trickle() -> Iterator[Piece]:
        yield CHUNKED
        while not left.is_set():
            yield framed(b": PING\n\n")
            yield lambda: left.wait(0.02)

    with Drip(trickle()) as server:
        with pytest.raises(ResponseLostError, match="took too long") as caught:
            chat_at(server.url, deadline_s=0.3).submit(request(), ignore)
        left.set()
    assert caught.value.charged is True


@pytest.mark.parametrize(
    ("status", "body", "kind", "charged"),
    [
        (429, {"error": {"code": "rate_limit_exceeded"}}, BusyError, False),
        (401, {"error": {"code": "invalid_api_key"}}, AuthError, False),
        (402, {"error": {"message": "no"}}, BalanceError, False),
        (
            503,
            {"error": {"message": "no", "code": "model_not_found"}},
            ModelUnavailableError,
            False,
        ),
        (413, b"<html></html>", TooLargeError, False),
        (500, {"error": {"code": "server_error"}}, ResponseLostError, None),
        (502, b"<html></html>", ResponseLostError, None),
    ],
)
def test_before_200_the_table_decides(
    api: RecordingServer, status: int, body: Any, kind: type[VeoError], *, charged: bool | None
) -> None:
    """The same table as for tasks; nothing was reported as accepted."""
    api.reply = Reply(body, status)
    told: list[Update] = []
    with pytest.raises(VeoError) as caught:
        chat_at(api.url).submit(request(), told.append)
    assert (type(caught.value), caught.value.charged, told) == (kind, charged, [])


def test_no_answer_at_all_is_an_unknown_outcome(api: RecordingServer) -> None:
    """The connection closes without a word."""
    api.reply = Reply(silent=True)
    with pytest.raises(ResponseLostError) as caught:
        chat_at(api.url).submit(request(), ignore)
    assert caught.value.charged is None


def test_an_error_of_the_report_is_not_swallowed(api: RecordingServer) -> None:
    """Who cannot write the acceptance down is not told that the stream broke."""
    api.reply = Reply(STREAM, headers={"Content-Type": "text/event-stream"})

    def report(update: Update) -> None:
        if update.stage is Stage.RUNNING:
            raise LeaseLostError("another process works on it")

    with pytest.raises(LeaseLostError):
        chat_at(api.url).submit(request(), report)


def test_a_failed_chat_says_all_that_it_heard(api: RecordingServer) -> None:
    """HTTP 200, then no link: the text is in the error, the request's id too."""
    said = stream(["```json\n{}\n```\n\n", "> ❌ 生成失败: odd weather\n\n"])
    api.reply = Reply(said, headers={"X-Oneapi-Request-Id": "r-1"})
    with pytest.raises(VeoError, match="odd weather") as caught:
        chat_at(api.url).submit(request(), ignore)
    assert (caught.value.charged, caught.value.request_id) == (True, "r-1")


def test_a_stream_has_no_tasks() -> None:
    """There is nothing to poll."""
    with pytest.raises(TaskNotFoundError, match="no tasks"):
        poll(chat_at("http://127.0.0.1:9"), "x")


def test_a_chats_video_is_fetched_without_the_key(api: RecordingServer) -> None:
    """It lies on a host of its own."""
    api.reply = Reply(b"\0\0\0\x18ftypisom")
    opened = chat_at("http://127.0.0.1:9").open(RemoteVideo(f"{api.url}/v.mp4"))
    assert b"".join(opened.chunks) == b"\0\0\0\x18ftypisom"
    assert "authorization" not in api.only_request.headers
