"""Limits of time and size: a server that drips or never ends holds nothing."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from raw_server import OK_RESPONSE, RawServer, serve_responses

from veo import network
from veo.errors import (
    ProtocolError,
    ResponseLostError,
    ResponseTooLongError,
    UnreachableError,
    VeoError,
)
from veo.http import ApiClient, client, deadline, response, to_byte_stream
from veo.http.deadline import Deadline
from veo.http.decoding import Decoder
from veo.http.response import MAX_RESPONSE_BYTES
from veo.key import Key
from veo.provider import Connection
from veo.request import Request
from veo_gemini import Gemini, sdk_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAUSE_S = 0.02  # shorter than every limit of a pause
HEAD = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 100000\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = bytes(1 << 20)


@pytest.fixture(autouse=True)
def fresh_environment() -> Iterator[None]:
    """The environment is read once a process."""
    network.reset()
    yield
    network.reset()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A hundred kilobytes that stand for more than any response may have."""
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(MEGABYTE) for _ in range((MAX_RESPONSE_BYTES >> 20) + 1)]
    return b"".join(packed) + packer.flush()


def make_client(url: str, total_s: float = 0.3) -> ApiClient:
    """Return a client that accepts pauses of 10 s, and ``total_s`` for a response as a whole."""
    api = ApiClient(url, connect_s=5.0, read_s=10.0)
    api._total_s = total_s
    return api


def drip(first: bytes, drops: bytes = b".") -> RawServer:
    """Return a server that reads a request, sends some bytes, then a byte now and then."""

    def handle(connection: socket.socket) -> None:
        server.read_request(connection)
        send_slowly(connection, first, drops)

    server = RawServer(handle)
    return server


def send_slowly(connection: socket.socket, first: bytes, drops: bytes) -> None:
    """Send until the client closes the connection."""
    with suppress(OSError):
        connection.sendall(first)
        for drop in itertools.cycle(drops):
            time.sleep(PAUSE_S)
            connection.sendall(bytes((drop,)))


DRIPS = {
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "head": (HEAD + b"X-Long: ", b"x"),
    "body": (HEAD + LENGTH, b"."),
    "body without a length": (HEAD + b"\r\n", b"."),
    "size of a chunk": (HEAD + CHUNKED, b"0"),
    "chunks of a byte": (HEAD + CHUNKED, b"1\r\n.\r\n"),
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
CALLS: dict[str, Callable[[ApiClient], object]] = {
    "create": lambda api: api.post_json("videos", {}),
    "upload": lambda api: api.post_form("videos", {}, []),
    "list": lambda api: api.get("models"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("first", "drops"), DRIPS.values(), ids=DRIPS)
def test_a_response_has_a_total_limit(call: str, first: bytes, drops: bytes) -> None:
    """Wherever the bytes come slowly, the response counts as lost, and so may be paid for."""
    with drip(first, drops) as server, pytest.raises(ResponseLostError, match="longer than") as got:
        CALLS[call](make_client(server.url))
    assert got.value.charged is None
    assert server.connections == 1


@pytest.mark.parametrize(("first", "drops"), DRIPS.values(), ids=DRIPS)
def test_a_poll_has_a_total_limit(first: bytes, drops: bytes) -> None:
    """Polls run on an event loop, and have the limit as well."""
    api = ApiClient("http://127.0.0.1", connect_s=0.2, read_s=0.2)
    with drip(first, drops) as server, pytest.raises(VeoError):
        asyncio.run(api._polls.get(server.url, {}))


def test_a_server_that_reads_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload has a limit as well; it may have arrived."""
    monkeypatch.setattr(client, "UPLOAD_S", 0.3)

    over = threading.Event()

    def read_slowly(connection: socket.socket) -> None:
        while connection.recv(1000) and not over.is_set():
            time.sleep(PAUSE_S)

    with RawServer(read_slowly) as server:
        with pytest.raises(ResponseLostError, match="not sent") as caught:
            make_client(server.url).post_form("videos", {"image": "x" * 12_000_000}, [])
        over.set()
    assert caught.value.charged is None


def test_the_time_of_an_upload_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the response begins when the request is sent."""
    sent = threading.Event()

    def respond(connection: socket.socket) -> None:
        sent.wait(10)
        server.read_request(connection)
        connection.sendall(OK_RESPONSE)

    monkeypatch.setattr(client, "UPLOAD_S", 10.0)
    with RawServer(respond) as server:
        timer = threading.Timer(0.5, sent.set)
        timer.start()
        body = make_client(server.url).post_form("videos", {"image": "x" * 9_000_000}, []).body
    assert body == b"ok"


def test_a_proxy_that_opens_a_tunnel_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been sent yet, so nothing can have been charged."""
    monkeypatch.setattr(client, "UPLOAD_S", 0.3)
    api = make_client("https://api.test")
    with drip(b"HTTP/1.1 200 ") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(UnreachableError) as caught:
            api.post_json("videos", {})
    assert caught.value.charged is False


def test_a_kept_connection_is_watched_too() -> None:
    """The second request on a connection has its own limit, the first one no more."""

    def respond(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(OK_RESPONSE)
        server.read_request(connection)
        send_slowly(connection, HEAD, b"X")

    with RawServer(respond) as server:
        api = make_client(server.url)
        assert api.get("models").body == b"ok"
        time.sleep(0.4)  # the limit of the first response passes
        with pytest.raises(ResponseLostError, match="longer than"):
            api.get("models")
    assert server.connections == 1


# ---- files


def read_file(url: str) -> bytes:
    """Return what is received of a file."""
    return b"".join(to_byte_stream(make_client(url).open("file.mp4")).chunks)


@pytest.mark.parametrize(("first", "drops"), list(DRIPS.values())[2:6], ids=list(DRIPS)[2:6])
def test_eight_slow_files(first: bytes, drops: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is given up, so that no thread is held."""
    monkeypatch.setattr(response, "MIN_FILE_S", 0.3)
    with drip(first, drops) as server, ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(read_file, server.url) for _ in range(8)]
        errors = [future.exception() for future in futures]
    assert [type(error) for error in errors] == [ResponseLostError] * 8
    assert all("too slowly" in str(error) for error in errors)


def test_a_file_at_the_least_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow connection gets its file, however long it takes."""
    monkeypatch.setattr(response, "MIN_FILE_S", 0.5)
    monkeypatch.setattr(response, "MIN_FILE_BYTES", 100)
    body = bytes(1000)

    def respond(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        for start in range(0, 1000, 100):
            time.sleep(0.1)
            connection.sendall(body[start : start + 100])

    with RawServer(respond) as server:
        assert read_file(server.url) == body


def test_a_file_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough speed does not help a file that never ends."""
    monkeypatch.setattr(response, "MAX_FILE_S", 0.3)
    monkeypatch.setattr(response, "MIN_FILE_BYTES", 1)
    with drip(HEAD + LENGTH) as server, pytest.raises(ResponseLostError, match="took longer"):
        read_file(server.url)


def test_what_was_received_of_a_slow_file_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request can ask for the rest."""
    monkeypatch.setattr(response, "MIN_FILE_S", 0.3)
    received: list[bytes] = []
    with drip(HEAD + LENGTH + bytes(500)) as server:
        stream = to_byte_stream(make_client(server.url).open("file.mp4"))
        with pytest.raises(ResponseLostError):
            received.extend(stream.chunks)
    assert sum(map(len, received)) > 500


# ---- sizes


def send_endlessly(first: bytes, piece: bytes) -> RawServer:
    """Return a server that reads a request, then sends for ever."""

    def handle(connection: socket.socket) -> None:
        server.read_request(connection)
        with suppress(OSError):
            connection.sendall(first)
            while True:
                connection.sendall(piece)

    server = RawServer(handle)
    return server


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (HEAD + b"Content-Length: 9000000000\r\n\r\n", MEGABYTE),
        (HEAD + b"\r\n", MEGABYTE),
        (HEAD + CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", MEGABYTE),
    ],
    ids=["length", "no length", "chunked", "an error"],
)
def test_an_endless_response_is_cut_off(call: str, first: bytes, piece: bytes) -> None:
    """No call reads more than the limit, which has an error of its own."""
    with send_endlessly(first, piece) as server, pytest.raises(ResponseTooLongError) as caught:
        CALLS[call](make_client(server.url, 60.0))
    assert str(MAX_RESPONSE_BYTES) in str(caught.value)
    assert (caught.value.charged, caught.value.retryable) == (None, False)


@pytest.mark.parametrize("call", CALLS)
def test_a_compressed_response_is_measured_unpacked(call: str, bomb: bytes) -> None:
    """A few kilobytes on the wire may be gigabytes in memory."""
    assert len(bomb) < 100_000
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with serve_responses(HEAD + head + bomb) as server, pytest.raises(ResponseTooLongError):
        CALLS[call](make_client(server.url, 60.0))


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip,gzip,gzip,gzip", "what"])
def test_an_encoding_that_was_not_requested(encoding: str) -> None:
    """It is refused: its unpacked length cannot be limited while it is unpacked."""
    head = f"Content-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\nok".encode()
    with (
        serve_responses(HEAD + head) as server,
        pytest.raises(ProtocolError, match="has the encoding"),
    ):
        make_client(server.url).get("models")
    with (
        serve_responses(HEAD + head) as server,
        pytest.raises(ProtocolError, match="has the encoding"),
    ):
        asyncio.run(make_client(server.url).get_async("models"))


class TestGemini:
    """The paid request of Google's SDK."""

    @pytest.fixture(autouse=True)
    def short_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A response has 0.5 s and one megabyte."""
        monkeypatch.setattr(sdk_client, "CONNECT_S", 0.2)
        monkeypatch.setattr(sdk_client, "SUBMIT_MS", 300)
        monkeypatch.setattr(sdk_client, "MAX_BYTES", 1 << 20)

    def submit(self, url: str) -> VeoError:
        """Return the error of a paid request."""
        provider = Gemini(Connection(url, Key("sandbox-key"), Gemini.facts.models))
        request = Request(prompt="a lion", model="veo-3.1-generate-preview")
        with pytest.raises(VeoError) as caught:
            provider.submit(request, lambda _: None)
        return caught.value

    @pytest.mark.parametrize(("first", "drops"), DRIPS.values(), ids=DRIPS)
    def test_a_total_limit(self, first: bytes, drops: bytes) -> None:
        """Wherever the bytes come slowly."""
        with drip(first, drops) as server:
            error = self.submit(server.url)
        assert isinstance(error, ResponseLostError)
        assert "longer than 0.5 s" in error.message
        assert error.charged is None

    def test_a_response_over_the_limit(self) -> None:
        """The limit is that of this client: an inline video is longer than other responses."""
        body = b" " * (1 << 20) + b"{}"
        head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
        with serve_responses(head + body) as server:
            assert isinstance(self.submit(server.url), ResponseTooLongError)

    @pytest.mark.parametrize("status", [b"200 OK", b"500 Oops"])
    def test_an_endless_response(self, status: bytes) -> None:
        """It is cut off at the limit."""
        with send_endlessly(b"HTTP/1.1 " + status + b"\r\n\r\n", MEGABYTE) as server:
            assert isinstance(self.submit(server.url), ResponseTooLongError)

    def test_a_compressed_response(self, bomb: bytes) -> None:
        """It is measured unpacked."""
        head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
        with serve_responses(HEAD + head + bomb) as server:
            assert isinstance(self.submit(server.url), ResponseTooLongError)


class TestDecoder:
    """Compressed bytes become small pieces."""

    @pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
    @pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
    def test_any_pieces(self, step: int, pack: Callable[[bytes], bytes]) -> None:
        """Bytes arrive in pieces of any length."""
        plain = b"".join(b"%d " % number for number in range(5000))
        packed, decoder = pack(plain), Decoder("gzip")
        pieces = [packed[at : at + step] for at in range(0, len(packed), step)]
        assert b"".join(part for piece in pieces for part in decoder.decode(piece)) == plain

    def test_no_piece_is_long(self, bomb: bytes) -> None:
        """A bomb is unpacked a quarter of a megabyte at a time."""
        sizes = [len(piece) for piece in Decoder("gzip").decode(bomb)]
        assert max(sizes) <= 1 << 18
        assert sum(sizes) > MAX_RESPONSE_BYTES

    def test_bytes_after_the_end_are_ignored(self) -> None:
        """They are not collected either."""
        decoder = Decoder("gzip")
        first = list(decoder.decode(gzip.compress(b"ok") + b"more"))
        assert first + list(decoder.decode(MEGABYTE)) == [b"ok"]


class TestDeadline:
    """The thread that watches."""

    def test_a_socket_that_comes_too_late_is_shut_down(self) -> None:
        """A redirect or a proxy may open one after the time is over."""
        late = Deadline(0.0, "late")
        while not late.is_over:
            time.sleep(0.001)
        with (
            RawServer(lambda connection: connection.recv(1)) as server,
            socket.create_connection(("127.0.0.1", server.port)) as sock,
        ):
            late.add_socket(sock)
            assert sock.recv(1) == b""
        with pytest.raises(ResponseLostError, match="late"):
            late.check()

    def test_an_earlier_time_wakes_the_thread(self) -> None:
        """A file has less time for its next bytes than its server had for the head."""
        one = Deadline(60.0, "later")
        one.restart(0.0, "now")
        for _ in range(1000):
            if one.is_over:
                break
            time.sleep(0.01)
        assert one.is_over

    def test_a_closed_one_never_ends(self) -> None:
        """Its connection belongs to another exchange by then."""
        one = Deadline(0.05, "no")
        one.close()
        time.sleep(0.1)
        one.check()

    def test_the_thread_ends_when_it_is_idle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It starts again with the next exchange."""
        monkeypatch.setattr(deadline, "IDLE_S", 0.01)
        watch = deadline._Watch()
        for _ in range(2):
            one: Any = Deadline()
            one.ends_at = 0.0
            watch.add(one, 0.0)
            for _ in range(1000):
                if one.is_over and watch._thread is None:
                    break
                time.sleep(0.01)
            assert (one.is_over, watch._thread) == (True, None)

    def test_closed_ones_are_not_kept(self) -> None:
        """Thousands of exchanges end long before their deadlines."""
        for _ in range(10 * deadline.MAX_CLOSED):
            Deadline(60.0, "never").close()
        again = Deadline(60.0, "never")
        again.close()
        again.restart(0.0, "late")
        while not again.is_over:
            time.sleep(0.001)

        assert len(deadline._watch._heap) <= 3 * deadline.MAX_CLOSED
