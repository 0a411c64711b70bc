"""GETs that are sent now and read later."""

from __future__ import annotations

import gc
import gzip
import select
import threading
import time
from typing import TYPE_CHECKING
from unittest.mock import Mock, patch

import pytest
from raw_server import OK_RESPONSE, RawServer, serve_responses
from recording_server import RecordingServer, Reply

from veo.errors import ResponseLostError, UnreachableError
from veo.http.client import ApiClient, Asked, Response
from veo.http.sent import Connections, whole
from veo.key import Key

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b"ok")


def asked(http: ApiClient, path: str = "videos/1", *, wait: bool = True) -> Asked[Response]:
    """A GET that was sent."""
    found = http.ask(path, lambda answer, _: answer, wait=wait)
    assert found
    return found


def readable(get: Asked[Response]) -> None:
    """Wait until something came."""
    assert get.socket is not None
    assert select.select([get.socket], [], [], 10)[0]


def come(get: Asked[Response]) -> None:
    """Wait until all came."""
    while not get.ready():
        readable(get)


class Pieces:
    """A server that says its pieces one by one, each when it is told to."""

    def __init__(self, *pieces: bytes, hang_up: bool = False) -> None:
        self._pieces = pieces
        self._hang_up = hang_up
        self._told = threading.Semaphore(0)
        self._over = threading.Event()
        self.server = RawServer(self._speak)

    def go_on(self) -> None:
        """Say the next."""
        self._told.release()

    def end(self) -> None:
        """Hang up."""
        self._over.set()

    def _speak(self, connection: socket.socket) -> None:
        self.server.read_request(connection)
        for piece in self._pieces:
            self._told.acquire(timeout=10)
            connection.sendall(piece)
        if not self._hang_up:
            self._over.wait(10)


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD, b"Content-Length: 2\r\n\r\n", b"o", b"k"),
        (HEAD + b"content-length:2\r\n\r", b"\nok"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n", b"0\r\n\r\n"),
        (HEAD + b"Transfer-Encoding: Chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n", b"\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK_RESPONSE),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 22\r\n\r\n", PACKED),
    ],
    ids=["length", "length in odd places", "chunked", "chunked late", "continue", "gzip"],
)
def test_it_is_ready_when_all_came(pieces: tuple[bytes, ...]) -> None:
    """Before that nobody waits; then nobody waits either."""
    said = Pieces(*pieces)
    with said.server:
        get = asked(ApiClient(said.server.url))
        for piece in pieces:
            assert not get.ready()
            said.go_on()
            readable(get)
            last = piece is pieces[-1]
        assert last
        come(get)
        assert get.read().body == b"ok"
        said.end()


def test_what_ends_with_its_connection_is_ready_then() -> None:
    """Neither a length nor chunks."""
    said = Pieces(HEAD + b"\r\nok", hang_up=True)
    with said.server:
        get = asked(ApiClient(said.server.url))
        said.go_on()
        come(get)
        assert get.read().body == b"ok"


@pytest.mark.parametrize(
    ("data", "is_whole"),
    [
        (b"", False),
        (HEAD, False),
        (OK_RESPONSE[:-1], False),
        (OK_RESPONSE, True),
        (OK_RESPONSE + b"more", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK_RESPONSE, True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\n0\r\n\r\n\r\n0\r\n", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", True),
        (HEAD + b"X-Content-Length: 2\r\n\r\nok", False),
    ],
)
def test_a_guess_at_the_end(data: bytes, is_whole: bool) -> None:
    """Good enough to know when to look closely."""
    assert whole(data) is is_whole


@pytest.mark.parametrize("answer", [b"", OK_RESPONSE[:-1], b"what?\r\n\r\n"])
def test_an_answer_cut_short_is_a_lost_answer(answer: bytes) -> None:
    """The server hung up too early; or said what is no HTTP."""
    with serve_responses(answer) as server:
        get = asked(ApiClient(server.url))
        come(get)
        with pytest.raises(ResponseLostError):
            get.read()


def test_an_answer_without_end_is_cut_short() -> None:
    """However much comes, those that wait for other answers get their turn."""
    endless = Pieces(HEAD + b"Content-Length: 9000000000\r\n\r\n" + bytes(5 << 20), hang_up=True)
    with endless.server:
        get = asked(ApiClient(endless.server.url))
        endless.go_on()
        come(get)
        with pytest.raises(ResponseLostError):
            get.read()


@pytest.mark.parametrize("first", [b"", OK_RESPONSE[:-1]])
def test_silence_is_a_lost_answer(first: bytes) -> None:
    """Whether it never began or stopped in the middle; nobody waits any longer for it."""
    said = Pieces(first)
    with said.server:
        get = asked(ApiClient(said.server.url, read_s=0.2))
        said.go_on()
        while time.monotonic() < get.until:
            assert not get.ready()
        with (
            patch("urllib3.connection.HTTPConnection.getresponse", side_effect=AssertionError),
            pytest.raises(ResponseLostError, match="silence"),
        ):
            get.read()
        said.end()


def test_what_came_in_time_is_read_late() -> None:
    """Whoever should have looked was busy."""
    with RecordingServer(Reply({"a": 1})) as server:
        get = asked(ApiClient(server.url, read_s=0.2))
        readable(get)
        while time.monotonic() < get.until:
            time.sleep(0.01)
        assert get.read().json() == {"a": 1}


def test_reading_without_looking_waits() -> None:
    """As `get` does."""
    with RecordingServer(Reply({"a": 1})) as server:
        assert asked(ApiClient(server.url)).read().json() == {"a": 1}
        assert ApiClient(server.url).get("b").json() == {"a": 1}


def test_a_connection_is_used_again() -> None:
    """By whoever comes next; two at a time need two."""
    said = keeping(lambda _: OK_RESPONSE)
    with said as server:
        http = ApiClient(server.url)
        for _ in range(3):
            get = asked(http)
            come(get)
            assert get.read().body == b"ok"
        assert server.connections == 1
        both = [asked(http), asked(http)]
        assert [get.read().body for get in both] == [b"ok", b"ok"]
        assert server.connections == 2
        del http, get, both
        gc.collect()


def test_without_waiting_only_what_is_open_is_used() -> None:
    """To connect may take seconds."""
    with keeping(lambda _: OK_RESPONSE) as server:
        http = ApiClient(server.url)
        assert http.ask("videos/1", lambda answer, _: answer, wait=False) is None
        http.get("videos/1")
        assert asked(http, wait=False).read().body == b"ok"
        assert server.connections == 1
        del http
        gc.collect()


def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    """Nothing is lost for it."""
    with serve_responses(OK_RESPONSE) as server:
        http = ApiClient(server.url)
        for number in (1, 2):
            assert http.ask("videos/1", lambda answer, _: answer, wait=False) is None
            get = asked(http)
            come(get)
            assert get.read().body == b"ok"
            assert server.connections == number
            readable(get)  # the end of the connection has come through


def test_connections_that_the_server_has_closed_do_not_pile_up() -> None:
    """After a rush most are not needed any more; the oldest are let go as others are used."""
    kept = Connections(Mock(proxy=None))
    rush = [Mock(is_connected=True) for _ in range(100)]
    for connection in rush:
        kept.give(connection)
    for connection in rush[:-1]:
        connection.is_connected = False
    for _ in range(200):
        kept.give(kept.take(fresh=False))

    assert kept.take(fresh=False) is rush[-1]
    assert sum(connection.close.called for connection in rush) >= 92
    assert not rush[-1].close.called


def test_nobody_there() -> None:
    """It is told when it is sent."""
    with pytest.raises(UnreachableError):
        ApiClient("http://127.0.0.1:9").ask("videos/1", lambda answer, _: answer)


def test_a_redirect_is_followed_without_the_key() -> None:
    """As everywhere. The next question expects it, and keeps nobody waiting who should not."""
    key = Key("sandbox-key")
    auth = {"Authorization": f"Bearer {key.reveal()}"}
    with RecordingServer(Reply({"a": 1})) as other, RecordingServer() as server:
        server.reply = Reply(status=302, headers={"Location": f"{other.url}/there"})
        get = asked(ApiClient(server.url, auth=auth, key=key))
        come(get)
        assert get.read().json() == {"a": 1}
        http = get._http
        assert http.ask("videos/1", lambda answer, _: answer) is None
        assert http.get("videos/1").json() == {"a": 1}

    assert "authorization" in server.requests[0].headers
    assert "authorization" not in other.requests[0].headers


def test_through_a_proxy_nothing_is_sent_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """`get` asks the proxy."""
    with RecordingServer(Reply({"a": 1})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        http = ApiClient("http://api.test")
        assert http.ask("b", lambda answer, _: answer) is None
        assert proxy.requests == []
        assert http.get("b").json() == {"a": 1}


def test_what_nobody_reads_is_hung_up() -> None:
    """The connection is closed with it."""
    ended = threading.Event()

    def speak(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.recv(1)
        ended.set()

    with RawServer(speak) as server:
        get = asked(ApiClient(server.url))
        del get
        gc.collect()
        assert ended.wait(10)


def keeping(answer: Callable[[bytes], bytes]) -> RawServer:
    """A server that answers on a connection for as long as the client wants."""

    def speak(connection: socket.socket) -> None:
        while request := server.read_request(connection):
            connection.sendall(answer(request))

    server = RawServer(speak)
    return server
