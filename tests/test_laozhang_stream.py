"""The sync route over real sockets: streams that finish, break, and pause."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
from laozhang import (
    FILE,
    KEY,
    LINES,
    STREAM,
    connect_sync,
    ignore_update,
    make_image,
    make_request,
    make_stream,
)
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
    """Serve the API."""
    with RecordingServer() as server:
        yield server


class SlowServer:
    """A server for one connection: it reads the request, then sends the pieces one by one.

    A piece is bytes, or a function to call, for example to wait. At the end the connection is
    closed; with ``reset`` the client sees an error.
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
BEGUN = make_stream(LINES[:4], ended=False)


def make_http_chunk(body: bytes) -> bytes:
    """Return one HTTP chunk."""
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


def test_chat_becomes_a_video(api: RecordingServer) -> None:
    """One POST reports the acceptance, then progress, and returns the video."""
    api.reply = Reply(STREAM, headers={"Content-Type": "text/event-stream"})
    reported: list[Update] = []
    update = connect_sync(api.url).submit(
        make_request(model="veo-3.1-fast-fl", start_frame=make_image("PNG", "red")), reported.append
    )
    assert update.video == RemoteVideo(FILE)
    assert (reported[0].stage, reported[1].stage) == (Stage.SUBMITTED, Stage.RUNNING)
    assert api.only_request.path == "/v1/chat/completions"
    assert api.only_request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert api.only_request.json["stream"] is True
    parts = api.only_request.json["messages"][0]["content"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")


def test_response_without_a_stream(api: RecordingServer) -> None:
    """A JSON body instead of a stream is read."""
    api.reply = Reply({"choices": [{"message": {"content": "".join(LINES)}}]})
    assert connect_sync(api.url).submit(make_request(), ignore_update).video == RemoteVideo(FILE)


@pytest.mark.parametrize("chunked", [True, False])
def test_acceptance_is_reported_at_once(*, chunked: bool) -> None:
    """HTTP 200 is reported at once, and every line when it arrives, whatever the framing."""
    accepted, running = threading.Event(), threading.Event()
    body = [BEGUN, STREAM[len(BEGUN) :]]
    pieces = [make_http_chunk(piece) for piece in body] if chunked else body
    end = make_http_chunk(b"") if chunked else b""

    def report(update: Update) -> None:
        (accepted if update.stage is Stage.SUBMITTED else running).set()

    def wait_for(event: threading.Event) -> Callable[[], object]:
        return lambda: event.wait(10)

    head = CHUNKED if chunked else PLAIN
    with SlowServer(
        [head, wait_for(accepted), pieces[0], wait_for(running), pieces[1] + end]
    ) as server:
        assert connect_sync(server.url).submit(make_request(), report).video == RemoteVideo(FILE)
    assert accepted.is_set()
    assert running.is_set()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("head", [CHUNKED, HEAD + b"Content-Length: 99999\r\n\r\n"])
def test_broken_stream_is_charged(head: bytes, *, reset: bool) -> None:
    """A broken stream is charged, not retryable, and its text is in the error."""
    body = make_http_chunk(BEGUN) if head is CHUNKED else BEGUN
    with (
        SlowServer([head, body, lambda: time.sleep(0.1)], reset=reset) as server,
        pytest.raises(ResponseLostError, match=r"9\.0%") as caught,
    ):
        connect_sync(server.url).submit(make_request(), ignore_update)
    assert (caught.value.charged, caught.value.retryable) == (True, False)
    assert caught.value.hint is not None


def test_stream_broken_after_its_link() -> None:
    """A stream that breaks after its link gives the video."""
    with SlowServer(
        [CHUNKED, make_http_chunk(make_stream(LINES, ended=False)) + b"ff\r\nhalf"]
    ) as server:
        assert connect_sync(server.url).submit(make_request(), ignore_update).video == RemoteVideo(
            FILE
        )


def test_pause_after_acceptance() -> None:
    """A stream that pauses for `silence_s` is a lost response, and charged."""
    closed = threading.Event()
    with SlowServer([CHUNKED, make_http_chunk(BEGUN), lambda: closed.wait(10)]) as server:
        with pytest.raises(ResponseLostError, match="silence") as caught:
            connect_sync(server.url, silence_s=0.2).submit(make_request(), ignore_update)
        closed.set()
    assert caught.value.charged is True


def test_no_response_in_time() -> None:
    """Without HTTP 200 the charge is unknown."""
    closed = threading.Event()
    with SlowServer([lambda: closed.wait(10)]) as server:
        with pytest.raises(ResponseLostError) as caught:
            connect_sync(server.url, silence_s=0.2).submit(make_request(), ignore_update)
        closed.set()
    assert caught.value.charged is None


def test_deadline_of_a_stream() -> None:
    """`deadline_s` ends a stream that keeps sending comments."""
    closed = threading.Event()

    def send_comments() -> Iterator[Piece]:
        yield CHUNKED
        while not closed.is_set():
            yield make_http_chunk(b": PING\n\n")
            yield lambda: closed.wait(0.02)

    with SlowServer(send_comments()) as server:
        with pytest.raises(ResponseLostError, match="took longer") as caught:
            connect_sync(server.url, deadline_s=0.3).submit(make_request(), ignore_update)
        closed.set()
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
def test_refused_chat(
    api: RecordingServer, status: int, body: Any, kind: type[VeoError], *, charged: bool | None
) -> None:
    """A refusal follows the error table, and is not reported as accepted."""
    api.reply = Reply(body, status)
    reported: list[Update] = []
    with pytest.raises(VeoError) as caught:
        connect_sync(api.url).submit(make_request(), reported.append)
    assert (type(caught.value), caught.value.charged, reported) == (kind, charged, [])


def test_closed_connection(api: RecordingServer) -> None:
    """If the connection closes without a response, the charge is unknown."""
    api.reply = Reply(silent=True)
    with pytest.raises(ResponseLostError) as caught:
        connect_sync(api.url).submit(make_request(), ignore_update)
    assert caught.value.charged is None


def test_error_of_the_report_is_raised(api: RecordingServer) -> None:
    """An error of the report function is raised, not treated as a broken stream."""
    api.reply = Reply(STREAM, headers={"Content-Type": "text/event-stream"})

    def report(update: Update) -> None:
        if update.stage is Stage.RUNNING:
            raise LeaseLostError("another process works on it")

    with pytest.raises(LeaseLostError):
        connect_sync(api.url).submit(make_request(), report)


def test_failed_chat(api: RecordingServer) -> None:
    """A stream without a link gives an error with its text and the request id."""
    body = make_stream(["```json\n{}\n```\n\n", "> ❌ 生成失败: odd weather\n\n"])
    api.reply = Reply(body, headers={"X-Oneapi-Request-Id": "r-1"})
    with pytest.raises(VeoError, match="odd weather") as caught:
        connect_sync(api.url).submit(make_request(), ignore_update)
    assert (caught.value.charged, caught.value.request_id) == (True, "r-1")


def test_sync_route_has_no_tasks() -> None:
    """A poll of the sync route is an error."""
    with pytest.raises(TaskNotFoundError, match="has no task"):
        poll(connect_sync("http://127.0.0.1:9"), "x")


def test_video_is_fetched_without_the_key(api: RecordingServer) -> None:
    """The video is on another host, which does not receive the key."""
    api.reply = Reply(b"\0\0\0\x18ftypisom")
    opened = connect_sync("http://127.0.0.1:9").open(RemoteVideo(f"{api.url}/v.mp4"))
    assert b"".join(opened.chunks) == b"\0\0\0\x18ftypisom"
    assert "authorization" not in api.only_request.headers
