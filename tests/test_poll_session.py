"""Polls over aiohttp: on kept connections, and with an error of ours for whatever goes wrong."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from raw_server import OK_RESPONSE, RawServer, find_closed_port, serve_responses
from recording_server import RecordingServer, Reply

from veo import network
from veo.errors import ConfigError, ProtocolError, ResponseLostError, UnreachableError
from veo.http import ApiClient, Response
from veo.http.poll_session import MAX_RESPONSE_BYTES
from veo.key import Key

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

HEAD = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b"ok")
KEY = Key("sandbox-key")


@pytest.fixture(autouse=True)
def fresh_environment() -> Iterator[None]:
    """The environment is read once a process: a test that sets some must not meet another's."""
    network.reset()
    yield
    network.reset()


def api(url: str, **options: float) -> ApiClient:
    auth = {"Authorization": f"Bearer {KEY.reveal()}"}
    return ApiClient(url, auth=auth, key=KEY, **{"connect_s": 5.0, "read_s": 5.0} | options)


def get(client: ApiClient, *paths: str) -> list[Response]:
    """GET one path after the other, on one event loop."""

    async def get_all() -> list[Response]:
        return [await client.get_async(path) for path in paths]

    return asyncio.run(get_all())


def get_body(client: ApiClient, path: str = "videos/1") -> bytes:
    return get(client, path)[0].body


def keep_answering(answer: bytes = OK_RESPONSE) -> RawServer:
    """A server that answers on a connection for as long as the client wants."""

    def speak(connection: socket.socket) -> None:
        while server.read_request(connection):
            connection.sendall(answer)

    server = RawServer(speak)
    return server


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD, b"Content-Length: 2\r\n\r\n", b"o", b"k"),
        (HEAD + b"content-length:2\r\n\r", b"\nok"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n", b"0\r\n\r\n"),
        (HEAD + b"Transfer-Encoding: Chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n", b"\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK_RESPONSE),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 22\r\n\r\n", PACKED),
        (HEAD + b"\r\no", b"k"),
    ],
    ids=["length", "length in odd places", "chunked", "chunked late", "continue", "gzip", "close"],
)
def test_a_response_in_pieces(pieces: tuple[bytes, ...]) -> None:
    """It is complete when its last piece has come; other coroutines run in between."""
    go_on = threading.Semaphore(0)

    def speak(connection: socket.socket) -> None:
        server.read_request(connection)
        for piece in pieces:
            go_on.acquire(timeout=10)
            connection.sendall(piece)

    async def get_in_pieces() -> bytes:
        task = asyncio.create_task(api(server.url).get_async("videos/1"))
        for _ in pieces:
            await asyncio.sleep(0.02)
            assert not task.done()
            go_on.release()
        return (await task).body

    with RawServer(speak) as server:
        assert asyncio.run(get_in_pieces()) == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        OK_RESPONSE[:-1],
        b"what?\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\ntoo short",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
    ids=["nothing", "short", "no HTTP", "in a chunk", "no chunk", "no gzip"],
)
def test_a_broken_response_is_a_lost_response(answer: bytes) -> None:
    """The server hung up too early, or sent what is not HTTP."""
    with serve_responses(answer) as server, pytest.raises(ResponseLostError):
        get_body(api(server.url))


def test_no_error_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error nor a log, whatever the server repeats."""
    caplog.set_level("DEBUG")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsandbox-key"
    with serve_responses(answer) as server, pytest.raises(ResponseLostError) as caught:
        get_body(api(server.url))
    assert "sandbox-key" not in str(caught.value) + repr(caught.value) + caplog.text


@pytest.mark.parametrize("length", [b"Content-Length: 9000000000\r\n", b""])
def test_an_endless_response_is_cut_off(length: bytes) -> None:
    """However much comes, the polls that wait for other responses get their turn."""

    def speak(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(HEAD + length + b"\r\n")
        with suppress(OSError):  # the client hangs up
            while True:
                connection.sendall(bytes(1 << 18))

    with RawServer(speak) as server, pytest.raises(ProtocolError, match="longer than"):
        get_body(api(server.url))


def test_a_compressed_response_is_measured_unpacked() -> None:
    """A few kilobytes on the wire may be gigabytes in memory."""
    bomb = gzip.compress(bytes(2 * MAX_RESPONSE_BYTES))
    reply = Reply(bomb, headers={"Content-Encoding": "gzip"})
    with RecordingServer(reply) as server, pytest.raises(ProtocolError, match="longer than"):
        get_body(api(server.url))


@pytest.mark.parametrize("first", [b"", OK_RESPONSE[:-1]], ids=["no byte", "in the middle"])
def test_silence_is_a_lost_response(first: bytes) -> None:
    """Whether it never began or stopped in the middle."""
    end = threading.Event()

    def speak(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(first)
        end.wait(10)

    with RawServer(speak) as server:
        with pytest.raises(ResponseLostError, match="silence"):
            get_body(api(server.url, connect_s=0.2, read_s=0.2))
        end.set()


def test_a_response_that_trickles_is_given_up() -> None:
    """A byte now and then is no silence, but the whole has a time limit as well."""
    end = threading.Event()

    def speak(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        with suppress(OSError):  # the client hangs up
            while not end.wait(0.05):
                connection.sendall(b".")

    with RawServer(speak) as server:
        with pytest.raises(ResponseLostError, match="silence"):
            get_body(api(server.url, connect_s=0.2, read_s=0.2))
        end.set()


def test_a_silent_tls_handshake_is_no_connection() -> None:
    """Waiting for the handshake is not waiting for the response."""
    end = threading.Event()
    with RawServer(lambda _: end.wait(10)) as server:
        with pytest.raises(UnreachableError):
            get_body(api(f"https://127.0.0.1:{server.port}", connect_s=0.2))
        end.set()


def test_a_server_without_tls_is_unreachable() -> None:
    """It answers the handshake in plain text, or hangs up."""
    for speak in (lambda net: net.recv(1), lambda net: net.sendall(OK_RESPONSE)):
        with RawServer(speak) as server, pytest.raises(UnreachableError):
            get_body(api(f"https://127.0.0.1:{server.port}"))


def test_a_refused_connection_is_unreachable() -> None:
    """The error names the origin and the reason."""
    port = find_closed_port()
    with pytest.raises(UnreachableError, match=rf"http://127.0.0.1:{port}: .*[Cc]onnect"):
        get_body(api(f"http://127.0.0.1:{port}/v1"))


def test_a_missing_certificate_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not keep plain HTTP from working."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem")
    with pytest.raises(ConfigError, match=r"certificates\.pem"):
        get_body(api("https://127.0.0.1:1"))
    with keep_answering() as server:
        assert get_body(api(server.url)) == b"ok"


class TestConnections:
    """They are kept while their event loop runs."""

    def test_a_connection_is_used_again(self) -> None:
        """By whatever poll comes next; two at the same time need two."""

        async def get_twice(client: ApiClient) -> None:
            await asyncio.gather(client.get_async("a"), client.get_async("b"))

        with keep_answering() as server:
            get(api(server.url), "a", "b", "c")
            assert server.connections == 1
            asyncio.run(get_twice(api(server.url)))
            assert server.connections == 3

    def test_a_connection_that_the_server_has_closed_is_replaced(self) -> None:
        """Nothing is lost for it."""

        async def get_slowly(client: ApiClient) -> list[bytes]:
            bodies = []
            for path in ("a", "b"):
                bodies.append((await client.get_async(path)).body)
                await asyncio.sleep(0.05)
            return bodies

        with serve_responses(OK_RESPONSE) as server:
            assert asyncio.run(get_slowly(api(server.url))) == [b"ok", b"ok"]
            assert server.connections == 2

    def test_one_client_serves_several_loops(self) -> None:
        """Each has connections of its own, which end with it."""
        with keep_answering() as server:
            client = api(server.url)
            for _ in range(3):
                assert get_body(client) == b"ok"
            assert server.connections == 3
            assert client._polls._sessions == {}

    def test_a_cancelled_poll_hangs_up(self) -> None:
        """Its connection cannot be used for another."""
        ended = threading.Event()

        def speak(connection: socket.socket) -> None:
            server.read_request(connection)
            connection.recv(1)
            ended.set()

        async def cancel() -> None:
            task = asyncio.create_task(api(server.url).get_async("a"))
            await asyncio.to_thread(lambda: server.requests or threading.Event().wait(0.2))
            task.cancel()
            await asyncio.wait([task])
            assert await asyncio.to_thread(ended.wait, 10)

        with RawServer(speak) as server:
            asyncio.run(cancel())

    def test_a_client_that_is_dropped_closes_its_connections(self) -> None:
        """While its loop still runs."""

        async def drop() -> None:
            await api(server.url).get_async("a")
            gc.collect()
            await asyncio.sleep(0.05)

        with RecordingServer() as server:
            asyncio.run(drop())


class TestRedirects:
    """As everywhere: followed, with the key only within the own origin."""

    def test_the_key_stays_within_its_own_origin(self) -> None:
        """A gateway redirects a poll to the same path with a slash."""
        with RecordingServer() as home:
            home.reply = lambda asked: (
                Reply(status=308, headers={"Location": f"{asked.path}/"})
                if asked.path[-1] != "/"
                else Reply({"a": 1})
            )
            (response,) = get(api(home.url), "videos/1")

        assert response.json() == {"a": 1}
        keys = [asked.headers.get("authorization") for asked in home.requests]
        assert keys == ["Bearer sandbox-key"] * 2

    def test_the_key_is_not_taken_along(self) -> None:
        """Neither to another host, nor back home by that host's word."""
        with RecordingServer() as home, RecordingServer() as other:
            home.reply = lambda asked: (
                Reply({"a": 1})
                if asked.path == "/back"
                else Reply(status=302, headers={"Location": f"{other.url}/there"})
            )
            other.reply = Reply(status=307, headers={"Location": f"{home.url}/back"})
            (response,) = get(api(home.url), "videos/1")

        assert response.json() == {"a": 1}
        keys = [asked.headers.get("authorization") for asked in home.requests]
        assert keys == ["Bearer sandbox-key", None]
        assert "authorization" not in other.only_request.headers

    def test_raw_utf_8_is_understood(self) -> None:
        """Some servers send the location so."""

        def answer(connection: socket.socket) -> None:
            path = server.read_request(connection).split()[1]
            lion = "Location: /狮子.mp4\r\n".encode()
            found = b"HTTP/1.1 302 Found\r\n" + lion + b"Content-Length: 0\r\n\r\n"
            connection.sendall(OK_RESPONSE if path != b"/a" else found)

        with RawServer(answer) as server:
            assert get_body(api(server.url), "a") == b"ok"
        assert server.requests[1].startswith(b"GET /%E7%8B%AE%E5%AD%90.mp4 ")

    @pytest.mark.parametrize("place", ["/again", None, "http://[::1", "file:///etc/passwd"])
    def test_one_that_leads_nowhere_is_a_protocol_error(self, place: str | None) -> None:
        """A loop, no location, what is not a URL, and another scheme."""
        headers = {} if place is None else {"Location": place}
        with (
            RecordingServer(Reply(status=302, headers=headers)) as server,
            pytest.raises(ProtocolError),
        ):
            get_body(api(server.url), "again")
        assert len(server.requests) <= 6


class TestProxies:
    """The environment names them, as for every other request."""

    def test_a_proxy_is_sent_the_whole_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With its own user and password, which the API never sees."""
        with RecordingServer(Reply({"id": 1})) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:secret@"))
            (response,) = get(api("http://api.test/v1"), "videos/1")
        assert response.json() == {"id": 1}
        assert proxy.only_request.path == "http://api.test/v1/videos/1"
        assert proxy.only_request.headers["proxy-authorization"].startswith("Basic ")
        assert proxy.only_request.headers["authorization"] == "Bearer sandbox-key"

    def test_no_proxy_is_heeded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hosts that it names are connected to directly."""
        with RecordingServer() as server:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{find_closed_port()}")
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            get(api(server.url), "videos/1")
        assert len(server.requests) == 1

    def test_one_that_refuses_the_tunnel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """No tunnel, no request."""
        refusal = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"
        with serve_responses(refusal) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            with pytest.raises(UnreachableError, match=r"proxy.*407"):
                get_body(api("https://api.test/v1"))

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_one_that_is_not_there(self, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error says that the proxy is the reason, without its password."""
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:secret@127.0.0.1:{find_closed_port()}")
        with pytest.raises(UnreachableError, match=r"proxy.*[Cc]onnect") as caught:
            get_body(api(f"{scheme}://api.test/v1"))
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("proxy", ["http://", "socks5://me:secret@127.0.0.1:1"])
    def test_one_that_cannot_be_used(self, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Malformed, or SOCKS without the package for it: the error of every other request."""
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(ConfigError, match="proxy") as caught:
            get_body(api("http://api.test/v1"))
        assert "secret" not in str(caught.value)
