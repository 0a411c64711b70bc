"""HTTP for providers: whose key goes where, and what a broken connection proves."""

import asyncio
import gzip
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from unittest.mock import Mock

import pytest
from google_routes import gemini, submit
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_server import OK_RESPONSE, RawServer, find_closed_port, serve_responses
from recording_server import RecordingServer, Reply

from veo import network
from veo.errors import (
    ConfigError,
    GoneError,
    ProtocolError,
    RefusedError,
    ResponseLostError,
    UnreachableError,
    VeoError,
)
from veo.http import ApiClient, to_byte_stream
from veo.key import Key
from veo.provider import SEND_BEFORE

KEY = Key("sandbox-key")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Proxies are read once a process: a test that sets some must not meet another's."""
    network.reset()
    yield
    network.reset()


def api(url: str, key: Key = KEY, **options: float) -> ApiClient:
    """An API behind a bearer key, with short patience."""
    auth = {"Authorization": f"Bearer {key.reveal()}"}
    return ApiClient(url, auth=auth, key=key, **{"connect_s": 5.0, "read_s": 5.0} | options)


def head(*lines: str) -> bytes:
    """The head of an answer."""
    return "\r\n".join(("HTTP/1.1 " + lines[0], *lines[1:], "", "")).encode()


class TestUrls:
    """What is sent where."""

    @pytest.mark.parametrize(
        ("path", "url"),
        [
            ("videos", "https://api.test/v1/videos"),
            ("/v1/videos/1/content", "https://api.test/v1/videos/1/content"),
            ("https://files.test/a.mp4", "https://files.test/a.mp4"),
            ("//files.test/a.mp4", "https://files.test/a.mp4"),
        ],
    )
    def test_a_path_stands_below_the_base_url(self, path: str, url: str) -> None:
        """Relative to the base, `/` from the host, a URL as it is."""
        assert ApiClient("https://api.test/v1/").resolve_url(path) == url

    @pytest.mark.parametrize(
        ("url", "own"),
        [
            ("https://api.test/other", True),
            ("https://API.test:443/v1", True),
            ("http://api.test/v1", False),
            ("https://api.test:8443/v1", False),
            ("https://api.test.evil.test/v1", False),
            ("https://api.test@evil.test/v1", False),
            ("https://evil.test/?https://api.test/", False),
        ],
    )
    def test_only_the_same_scheme_host_and_port_is_own(self, url: str, *, own: bool) -> None:
        """What looks like the API's host is not it."""
        assert ApiClient("https://api.test/v1").is_own_origin(url) is own

    @pytest.mark.parametrize(
        "url",
        [
            "sk-pasted-by-mistake",
            "ftp://host/v1",
            "https://",
            "http://host:port/v1",
            "http://host:99999/v1",
            "http://[::1/v1",
            "http://*.host/v1",
            "",
        ],
    )
    def test_a_base_url_that_is_none_is_refused_unread(self, url: str) -> None:
        """The error does not repeat it: it may be a key in the wrong place."""
        with pytest.raises(ConfigError, match="base_url is no") as caught:
            ApiClient(url)
        assert not url or url not in str(caught.value)

    @pytest.mark.parametrize("key", ["sandbox\nkey", "sandbox-ключ", "sandbox-\x00key"])
    def test_a_key_that_no_header_can_carry_is_refused_unread(self, key: str) -> None:
        """A pasted line break is found before anything is sent, and the key stays unsaid."""
        with pytest.raises(ConfigError, match="API key") as caught:
            ApiClient("https://api.test", auth={"Authorization": key}, key=Key(key))
        assert key not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("url", ["http://[::1", "http://host:0x/", "http://"])
    def test_a_url_that_is_none_is_a_protocol_error(self, url: str) -> None:
        """Whatever a provider names as the place of a video, the error is one of ours."""
        with pytest.raises(ProtocolError):
            ApiClient("https://api.test").open(url)


class TestTheKey:
    """It goes to the API's own host, and nowhere else."""

    def test_it_goes_home(self) -> None:
        """GET and POST to the API carry it."""
        with RecordingServer() as home:
            http = api(home.url)
            http.get("models")
            http.post_json("videos", {})
            http.post_form("videos", {"a": "b"}, [])
        sent = [asked.headers["authorization"] for asked in home.requests]
        assert sent == ["Bearer sandbox-key"] * 3

    def test_it_does_not_go_to_another_host(self) -> None:
        """A video elsewhere is fetched without it, and so is a POST to elsewhere."""
        with RecordingServer() as home, RecordingServer(Reply(b"mp4")) as files:
            http = api(home.url)
            http.open(f"{files.url}/a.mp4").read()
            http.post_json(f"{files.url}/videos", {})
        assert [asked.headers.get("authorization") for asked in files.requests] == [None, None]
        assert home.requests == []

    def test_it_does_not_cross_a_redirect(self) -> None:
        """Neither to another host, nor back home by that host's word."""
        with RecordingServer() as home, RecordingServer() as files:
            home.reply = lambda asked: (
                Reply(b"mp4")
                if asked.path == "/back"
                else Reply(status=302, headers={"Location": f"{files.url}/a.mp4"})
            )
            files.reply = Reply(status=302, headers={"Location": f"{home.url}/back"})
            answer = api(home.url).open("content").read()
        assert answer.body == b"mp4"
        assert [asked.headers.get("authorization") for asked in home.requests] == [
            "Bearer sandbox-key",
            None,
        ]
        assert "authorization" not in files.only_request.headers

    def test_it_stays_within_its_own_origin(self) -> None:
        """A redirect on the API's own host needs the key there as well."""
        with RecordingServer() as home:
            home.reply = lambda asked: (
                Reply(status=308, headers={"Location": f"{asked.path}/"})
                if asked.path[-1] != "/"
                else Reply(b"mp4")
            )
            answer = api(home.url).open("content").read()
        assert (answer.body, [asked.path for asked in home.requests]) == (
            b"mp4",
            ["/content", "/content/"],
        )
        sent = [asked.headers.get("authorization") for asked in home.requests]
        assert sent == ["Bearer sandbox-key"] * 2

    def test_it_is_taken_out_of_what_a_server_echoes(self) -> None:
        """The text of an answer, the error about its JSON and about a redirect never show it."""
        with serve_responses(
            head("401 No", "Content-Length: 31") + b"your key sandbox-key is not JSON",
            head("302 Found", "Location: /login?key=sandbox-key", "Content-Length: 0"),
        ) as server:
            http = api(server.url)
            answer = http.get("models")
            with pytest.raises(ProtocolError) as unread:
                answer.json()
            with pytest.raises(RefusedError) as moved:
                http.post_json("videos", {})
        assert answer.text == "your key [key] is not JSO"
        assert "sandbox-key" not in str(unread.value) + str(moved.value)

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"sandbox-key is no status line\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsandbox-key",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsandbox-key\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 11\r\n\r\nsandbox-key",
        ],
        ids=["nothing", "status", "short", "chunk", "gzip"],
    )
    def test_no_error_of_a_broken_exchange_shows_it(
        self, answer: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither the error, nor its causes, nor a log at any level."""
        caplog.set_level(logging.DEBUG)
        with serve_responses(answer) as server, pytest.raises(ResponseLostError) as caught:
            api(server.url).post_json("videos", {"prompt": "a lion"})
        told = "".join(traceback.format_exception(caught.value, chain=False)) + caplog.text
        assert "sandbox-key" not in told + repr(caught.value) + str(caught.value.to_json())

    def test_no_repr_shows_it(self) -> None:
        """Neither the client's nor an answer's."""
        with RecordingServer() as server:
            http = api(server.url)
            said = repr(http) + repr(http.get("models")) + repr(http.open("models").read())
        assert "sandbox-key" not in said


class TestWhatAFailureProves:
    """Not sent, or sent without an answer: the first may be tried again, the second may not."""

    def test_a_refused_connection_sent_nothing(self) -> None:
        """Nobody listens: certainly not charged."""
        with pytest.raises(UnreachableError, match="refused") as caught:
            api(f"http://127.0.0.1:{find_closed_port()}/v1").post_json("videos", {})
        assert (caught.value.charged, caught.value.retryable) == (False, True)

    def test_an_unknown_host_got_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The name does not resolve."""
        monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=socket.gaierror(-2, "what?")))
        with pytest.raises(
            UnreachableError, match=r"cannot find the host of http://nowhere.invalid:80: what"
        ):
            api("http://nowhere.invalid").post_json("videos", {})

    def test_a_host_that_is_no_name_got_nothing(self) -> None:
        """A label that is too long is found at the very last moment."""
        with pytest.raises(UnreachableError):
            api(f"http://{'a' * 64}.test").post_json("videos", {})

    def test_a_failed_tls_handshake_sent_nothing(self) -> None:
        """The other side speaks no TLS, or hangs up in the middle of it."""
        for speak in (lambda net: net.recv(1), lambda net: net.sendall(OK_RESPONSE)):
            with RawServer(speak) as server, pytest.raises(UnreachableError):
                api(f"https://127.0.0.1:{server.port}").post_json("videos", {})

    def test_a_silent_tls_handshake_sent_nothing(self) -> None:
        """Waiting for the handshake is not waiting for the answer."""
        over = threading.Event()
        with RawServer(lambda _: over.wait(10)) as server:
            with pytest.raises(UnreachableError):
                api(f"https://127.0.0.1:{server.port}", connect_s=0.1).post_json("videos", {})
            over.set()

    def test_a_missing_certificate_file_sent_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mistake in the environment is not an unknown outcome."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem")
        with pytest.raises(ConfigError, match=r"certificates\.pem"):
            api("https://127.0.0.1:1").post_json("videos", {})

    @pytest.mark.parametrize(
        "send",
        [
            lambda url: api(url).post_json("videos", {"prompt": "a lion"}),
            lambda url: submit(gemini(url)),
        ],
        ids=["own client", "google-genai"],
    )
    def test_a_process_that_was_frozen_sends_nothing(self, send: Callable[[str], object]) -> None:
        """The connection is made, and then it is too late for the paid request."""
        heard: list[bytes] = []
        token = SEND_BEFORE.set(0.0)
        with (
            RawServer(lambda net: heard.extend(iter(lambda: net.recv(4096), b""))) as server,
            pytest.raises(UnreachableError, match="was stopped") as caught,
        ):
            send(server.url)
        SEND_BEFORE.reset(token)
        assert (caught.value.charged, caught.value.retryable) == (False, True)
        assert b"lion" not in b"".join(heard)

    def test_a_closed_connection_may_have_been_an_acceptance(self) -> None:
        """Heard, then hung up: nobody can tell whether it was charged."""
        with serve_responses(b"") as server, pytest.raises(ResponseLostError) as caught:
            api(server.url).post_json("videos", {})
        assert caught.value.charged is None
        assert server.connections == 1

    def test_a_connection_closed_unheard_is_in_doubt_too(self) -> None:
        """The client cannot see how much the server read."""

        def hang_up(connection: socket.socket) -> None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        with RawServer(hang_up) as server, pytest.raises((ResponseLostError, UnreachableError)):
            api(server.url).post_json("videos", {"prompt": "x" * 1_000_000})
        assert server.connections == 1

    def test_silence_may_have_been_an_acceptance(self) -> None:
        """A read time-out says so, and is not sent again."""
        with (
            RecordingServer(Reply(hold=True)) as server,
            pytest.raises(ResponseLostError, match="silence") as caught,
        ):
            api(server.url, read_s=0.1).post_json("videos", {})
        assert caught.value.charged is None
        assert len(server.requests) == 1

    def test_silence_in_the_middle_of_an_answer_is_a_lost_answer(self) -> None:
        """Headers came, the rest did not."""
        over = threading.Event()

        def stall(connection: socket.socket) -> None:
            server.read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            over.wait(10)

        with RawServer(stall) as server:
            with pytest.raises(ResponseLostError, match="silence"):
                api(server.url, read_s=0.1).post_json("videos", {})
            over.set()

    @pytest.mark.parametrize(
        "answer",
        [
            head("200 OK", "Content-Length: 99") + b"too short",
            head("200 OK", "Transfer-Encoding: chunked") + b"ff\r\ntoo short",
            head("200 OK", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n",
            head("200 OK", "Transfer-Encoding: chunked") + b"zz\r\nabc\r\n",
            head("200 OK", "Content-Encoding: gzip") + b"no gzip at all",
        ],
        ids=["length", "in a chunk", "between chunks", "no chunk", "no gzip"],
    )
    def test_an_answer_cut_short_is_a_lost_answer(self, answer: bytes) -> None:
        """The bytes before it do not count as the whole."""
        with serve_responses(answer) as server:
            opened = api(server.url).open("file")
            with pytest.raises(ResponseLostError):
                b"".join(opened.chunks())
            opened.close()

    @pytest.mark.parametrize("status", [500, 502, 504, 503, 429])
    def test_an_answer_is_an_answer(self, status: int) -> None:
        """What a status means is for the provider to say; nothing is repeated for it."""
        with RecordingServer(Reply({"error": "x"}, status, {"Retry-After": "0"})) as server:
            answer = api(server.url).post_json("videos", {})
        assert (answer.status, answer.ok, answer.json()) == (status, False, {"error": "x"})
        assert len(server.requests) == 1

    def test_a_get_tells_the_two_apart_as_well(self) -> None:
        """The place of a video can be looked up again when its host is not there."""
        with pytest.raises(UnreachableError):
            api("http://127.0.0.1:9").open(f"http://127.0.0.1:{find_closed_port()}/a.mp4")
        with (
            RawServer(lambda net: net.sendall(OK_RESPONSE)) as plain,
            pytest.raises(UnreachableError),
        ):
            api("http://127.0.0.1:9").open(f"https://127.0.0.1:{plain.port}/a.mp4")
        with serve_responses(b"") as server, pytest.raises(ResponseLostError):
            api(server.url).get("videos/1")


class TestPosts:
    """A paid request is sent once, on a connection of its own, to one place."""

    def test_a_redirect_to_the_result(self) -> None:
        """HTTP 303 says that the request was carried out: it may have been charged."""
        with RecordingServer() as other, RecordingServer() as server:
            server.reply = Reply(status=303, headers={"Location": f"{other.url}/v1"})
            with pytest.raises(ResponseLostError, match="as the result of the request") as caught:
                api(server.url).post_json("videos", {})
        assert caught.value.charged is None
        assert (len(server.requests), other.requests) == (1, [])

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_is_refused(self, status: int) -> None:
        """It was not carried out, by the standard; the error says where it leads."""
        with RecordingServer() as other, RecordingServer() as server:
            server.reply = Reply(status=status, headers={"Location": f"{other.url}/v1"})
            with pytest.raises(RefusedError, match=f"{other.url}/v1") as caught:
                api(server.url).post_json("videos", {})
        assert caught.value.charged is False
        assert (len(server.requests), other.requests) == (1, [])

    def test_every_post_has_a_connection_of_its_own(self) -> None:
        """A kept one could be closed under it, which looks like a lost answer."""
        ports = []

        def speak(connection: socket.socket) -> None:
            ports.append(connection.getpeername()[1])
            with suppress(OSError):
                while server.read_request(connection):
                    connection.sendall(OK_RESPONSE)

        with RawServer(speak) as server:
            http = api(server.url)
            for _ in range(3):
                http.post_json("videos", {})
            http._transport._local.adapters["post"].close()
        assert len(set(ports)) == 3

    def test_json_is_sent_as_utf_8(self) -> None:
        """Not as escapes: some gateways count or cut characters."""
        with RecordingServer() as server:
            api(server.url).post_json("videos", {"prompt": "狮子 🦁"})
        assert server.only_request.body == '{"prompt": "狮子 🦁"}'.encode()
        assert server.only_request.headers["content-type"] == "application/json"
        assert int(server.only_request.headers["content-length"]) == len(server.only_request.body)

    @pytest.mark.parametrize("files", [[], [("f", ("image.png", b"\x89PNG", "image/png"))] * 2])
    def test_a_form_is_multipart_with_and_without_files(
        self, files: list[tuple[str, tuple[str, bytes, str]]]
    ) -> None:
        """Fields first, then the files in order, a repeated name included."""
        with RecordingServer() as server:
            api(server.url).post_form("videos", {"model": "m", "prompt": "狮子"}, files)
        body = server.only_request.body
        assert server.only_request.headers["content-type"].startswith(
            "multipart/form-data; boundary="
        )
        assert body.count(b'name="f"; filename="image.png"') == len(files)
        assert b'name="prompt"\r\n\r\n' + "狮子".encode() in body

    def test_an_early_refusal_of_a_large_upload_is_heard(self) -> None:
        """A server that answers 413 and hangs up before it has read all is not a lost answer."""
        refusal = head("413 Too Large", "Content-Length: 0", "Connection: close")

        def refuse(connection: socket.socket) -> None:
            connection.recv(1000)
            connection.sendall(refusal)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):
                pass

        with RawServer(refuse) as server:
            answer = api(server.url).post_json("videos", {"image": "x" * 3_000_000})
        assert answer.status == 413

    def test_the_answer_can_be_read_as_it_comes(self) -> None:
        """What has arrived of a stream is handed over before the rest is there."""
        heard = threading.Event()

        def speak(connection: socket.socket) -> None:
            server.read_request(connection)
            connection.sendall(head("200 OK", "Transfer-Encoding: chunked") + b"5\r\nfirst\r\n")
            heard.wait(10)
            connection.sendall(b"4\r\nlast\r\n0\r\n\r\n")

        with RawServer(speak) as server:
            answer = api(server.url).start_json("chat", {}, silence_s=5.0)
            chunks = answer.chunks()
            first = next(chunks)
            heard.set()
            rest = b"".join(chunks)
            answer.close()
        assert (first, rest) == (b"first", b"last")


class TestGets:
    """Small answers, redirects, and parts of files."""

    def test_gzip_is_unpacked(self) -> None:
        """Servers send it asked or not."""
        packed = gzip.compress(b'{"id": 1}')
        with RecordingServer(Reply(packed, headers={"Content-Encoding": "gzip"})) as server:
            assert api(server.url).get("videos/1").json() == {"id": 1}

    def test_a_file_is_asked_for_uncompressed(self) -> None:
        """So that its length is that of the file."""
        with RecordingServer(Reply(b"mp4")) as server:
            api(server.url).open("file").read()
        assert server.only_request.headers["accept-encoding"] == "identity"
        assert "range" not in server.only_request.headers

    def test_redirects_are_followed(self) -> None:
        """Absolute and relative, with the range that was asked for."""

        def reply(asked: object) -> Reply:
            place = {"/v1/a": "b", "/v1/b": "/c", "/c": f"{server.url}/d"}.get(asked.path)  # type: ignore[attr-defined]
            return Reply(status=307, headers={"Location": place}) if place else Reply(b"mp4")

        with RecordingServer(reply) as server:
            answer = api(f"{server.url}/v1").open("a", offset=7)
            assert (answer.url, answer.read().body) == (f"{server.url}/d", b"mp4")
        assert [asked.headers["range"] for asked in server.requests] == ["bytes=7-"] * 4

    def test_a_redirect_in_raw_utf_8_is_understood(self) -> None:
        """HTTP reads it as Latin-1, which would mangle the path."""

        def answer(connection: socket.socket) -> None:
            path = server.read_request(connection).split()[1]
            lion = "Location: /狮子.mp4\r\n".encode()
            found = b"HTTP/1.1 302 Found\r\n" + lion + b"Content-Length: 0\r\n\r\n"
            connection.sendall(OK_RESPONSE if path != b"/a" else found)

        with RawServer(answer) as server:
            api(server.url).open("a").read()
        assert server.requests[1].startswith(b"GET /%E7%8B%AE%E5%AD%90.mp4 ")

    @pytest.mark.parametrize("place", ["/again", None, "http://[::1", "file:///etc/passwd"])
    def test_a_redirect_that_leads_nowhere_is_a_protocol_error(self, place: str | None) -> None:
        """A loop, no place, what is no URL, and another scheme."""
        headers = {} if place is None else {"Location": place}
        reply = Reply(status=302, headers=headers)
        with RecordingServer(reply) as server, pytest.raises(ProtocolError):
            api(server.url).get("again")
        assert len(server.requests) <= 6

    def test_a_part_of_a_file_starts_where_the_server_says(self) -> None:
        """206 with the part and the whole length."""
        headers = {"Content-Range": "bytes 3-6/7", "ETag": '"1"'}
        with RecordingServer(Reply(b"4567", 206, headers)) as server:
            stream = to_byte_stream(api(server.url).open("file", offset=3), 3)
            assert (stream.offset, stream.total, stream.etag) == (3, 7, '"1"')
            assert b"".join(stream.chunks) == b"4567"
        assert server.only_request.headers["range"] == "bytes=3-"

    def test_a_server_without_ranges_begins_again(self) -> None:
        """200: the bytes start at 0, whatever was asked for."""
        with RecordingServer(Reply(b"1234567")) as server:
            stream = to_byte_stream(api(server.url).open("file", offset=3), 3)
            assert (stream.offset, stream.total, b"".join(stream.chunks)) == (0, 7, b"1234567")

    def test_nothing_is_left_of_a_file_that_is_whole(self) -> None:
        """416 right at the end: what is on disk is all there is."""
        with RecordingServer(Reply(b"no", 416, {"Content-Range": "bytes */7"})) as server:
            stream = to_byte_stream(api(server.url).open("file", offset=7), 7)
            assert (stream.offset, stream.total, list(stream.chunks)) == (7, 7, [])
            stream.close()

    @pytest.mark.parametrize("range_", [None, "bytes */3", "bytes */70"])
    def test_beyond_the_end_there_is_nothing(self, range_: str | None) -> None:
        """416 anywhere else: the file is another one now."""
        headers = {"Content-Range": range_} if range_ else {}
        with RecordingServer(Reply(b"no", 416, headers)) as server:
            answer = api(server.url).open("file", offset=7)
            with pytest.raises(GoneError) as caught:
                to_byte_stream(answer, 7)
        assert caught.value.retryable

    def test_a_part_that_does_not_say_which_is_not_taken(self) -> None:
        """Written at a guess it would make a broken file of the right length."""
        with RecordingServer(Reply(b"4567", 206)) as server:
            answer = api(server.url).open("file", offset=3)
            with pytest.raises(ProtocolError):
                to_byte_stream(answer, 3)

    @pytest.mark.parametrize(
        ("headers", "total"),
        [
            ({"Content-Encoding": "gzip"}, None),
            ({"Content-Range": "bytes 0-6/*"}, 7),
            ({}, 7),
        ],
    )
    def test_a_length_counts_only_where_it_is_that_of_the_file(
        self, headers: dict[str, str], total: int | None
    ) -> None:
        """A compressed answer announces another length than it brings."""
        with RecordingServer(Reply(b"1234567", headers=headers)) as server:
            stream = to_byte_stream(api(server.url).open("file"))
            stream.close()
        assert stream.total == total


class TestProxies:
    """What the environment says about proxies, and what goes wrong with them."""

    def test_a_proxy_of_the_environment_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is asked for the whole URL."""
        with RecordingServer(Reply({"id": 1})) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            assert api("http://api.test/v1").get("videos/1").json() == {"id": 1}
        assert proxy.only_request.path == "http://api.test/v1/videos/1"

    def test_no_proxy_is_heeded_and_read_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hosts that it names are asked directly, later changes notwithstanding."""
        with RecordingServer() as server:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{find_closed_port()}")
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            http = api(server.url)
            http.get("videos/1")
            monkeypatch.delenv("no_proxy")
            http.get("videos/1")
        assert len(server.requests) == 2

    @pytest.mark.parametrize(
        "send", [lambda http: http.post_json("videos", {}), lambda http: http.get("x")]
    )
    def test_a_proxy_that_lets_nobody_through_sent_nothing(
        self, send: Callable[[ApiClient], object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No tunnel, no request: it may be tried again."""
        with serve_responses(head("407 Who are you", "Content-Length: 0")) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            with pytest.raises(UnreachableError, match="407"):
                send(api("https://api.test/v1"))

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_a_proxy_that_is_not_there_sent_nothing(
        self, scheme: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error says that it is the proxy's fault."""
        monkeypatch.setenv(f"{scheme}_proxy", f"http://me:secret@127.0.0.1:{find_closed_port()}")
        with pytest.raises(UnreachableError, match=r"proxy.*refused") as caught:
            api(f"{scheme}://api.test/v1").post_json("videos", {})
        assert "secret" not in str(caught.value)

    def test_a_proxy_that_hangs_up_may_have_passed_it_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A plain proxy had the whole request in its hands."""
        with serve_responses(b"") as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            with pytest.raises(ResponseLostError):
                api("http://api.test/v1").post_json("videos", {})

    @pytest.mark.parametrize("proxy", ["http://", "socks5://me:secret@127.0.0.1:1"])
    def test_a_proxy_that_cannot_be_used_is_a_matter_of_set_up(
        self, proxy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Malformed, or SOCKS without the package for it: said so, its password not."""
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(ConfigError, match="proxy") as caught:
            api("http://api.test/v1").post_json("videos", {})
        assert "secret" not in str(caught.value)


def test_every_thread_has_connections_of_its_own() -> None:
    """One client is used from many threads at once, and every answer is its asker's."""
    with RecordingServer(lambda asked: Reply({"path": asked.path})) as server:
        http = api(server.url)
        answers: list[object] = []
        threads = [
            threading.Thread(
                target=lambda i=i: answers.append((i, http.get(f"videos/{i}").json()["path"]))
            )
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [(i, f"/videos/{i}") for i in range(4)]  # type: ignore[type-var]


@given(st.binary(max_size=80), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", head("200 OK")]))
@settings(max_examples=60)
def test_only_our_errors_come_out(said: bytes, begin: bytes) -> None:
    """Whatever a server says: an answer, or an error of ours."""
    with serve_responses(begin + said) as server, suppress(VeoError):
        assert isinstance(api(server.url).post_json("videos", {}).body, bytes)


def test_every_request_names_this_client() -> None:
    """An honest name and version, for the logs of a service."""
    with RecordingServer() as home, RecordingServer() as other:
        client = api(home.url)
        client.get("models")
        client.post_json("videos", {})
        client.post_form("videos", {}, [])
        asyncio.run(client.get_async("videos/1"))
        client.open(f"{other.url}/a.mp4").read()
        names = {each.headers["user-agent"] for each in (*home.requests, *other.requests)}
    assert names == {f"veo-video/{version('veo-video')}"}
