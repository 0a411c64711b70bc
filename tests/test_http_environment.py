"""Certificates, proxies and redirects: alike at every client, whichever library it uses."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google_routes import HOME, NAME, PLATFORM_NAME, express, gemini, project, submit, with_token
from interactions import ID, OMNI, make_created
from laozhang import connect_async
from platform_server import platform, service_account
from polling import poll
from raw_server import RawServer
from recording_server import RecordingServer, Reply

from veo import bucket_store, network
from veo.bucket import BucketPath
from veo.bucket_store import BucketError
from veo.errors import (
    ConfigError,
    HostNotFoundError,
    SetupError,
    UnreachableError,
    VeoError,
)
from veo.http import ApiClient
from veo.update import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.provider import Provider


@pytest.fixture(autouse=True)
def fresh_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment is read once a process: no test must meet another's, nor the user's."""
    for variable in network.CA_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    network.reset()
    yield
    network.reset()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(host, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, form, plain)
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


@pytest.fixture
def server(certificate: Path) -> Iterator[RecordingServer]:
    """It answers over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with RecordingServer(tls=context) as server:
        yield server


def get_async(url: str) -> object:
    return asyncio.run(ApiClient(url).get_async("a"))


CLIENTS: dict[str, Callable[[str], object]] = {
    "get": lambda url: ApiClient(url).get("a"),
    "open": lambda url: ApiClient(url).open("a").read(),
    "post": lambda url: ApiClient(url).post_json("a", {}),
    "poll": get_async,
    "google-submit": lambda url: submit(gemini(url)),
    "google-poll": lambda url: poll(gemini(url), NAME),
    "google-open": lambda url: gemini(url)._sdk.get_operation(NAME, "open"),
}
EVERY_CLIENT = pytest.mark.parametrize("send", CLIENTS.values(), ids=CLIENTS)


@EVERY_CLIENT
@pytest.mark.parametrize("variable", network.CA_VARIABLES[:3])
def test_a_certificate_that_the_environment_names_is_believed(
    server: RecordingServer,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    send: Callable[[str], object],
    variable: str,
) -> None:
    """By every client, whichever variable names it."""
    server.reply = Reply({"name": NAME})
    monkeypatch.setenv(variable, str(certificate))
    send(server.url)

    assert len(server.requests) == 1


@pytest.mark.parametrize("variable", network.CA_VARIABLES[:3])
@pytest.mark.parametrize("options", [{}, {"model": OMNI}], ids=["veo", "omni"])
def test_access_tokens_take_the_same_way(
    server: RecordingServer,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    options: dict[str, str],
) -> None:
    """Google's library fetches them, and the SDK too: no variable counts for one of them only."""
    server.reply = platform
    monkeypatch.setenv(variable, str(certificate))
    account = service_account(tmp_path, server.url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    with pytest.raises(VeoError) if options else nullcontext():  # Veo's response has no interaction
        submit(project(server.url), **options)

    token, paid = server.requests
    assert (token.path, paid.method) == ("/token", "POST")


def test_a_large_response_over_tls_is_whole(
    server: RecordingServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrives first may be certificates and tickets; the second poll uses the connection."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server.reply = Reply({"said": "x" * 100_000})

    async def get_twice() -> list[object]:
        client = ApiClient(server.url)
        return [(await client.get_async(path)).json() for path in ("a", "b")]

    assert asyncio.run(get_twice()) == [{"said": "x" * 100_000}] * 2


def test_certificates_are_read_once(
    server: RecordingServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every paid request has a connection of its own; reading them took 20 ms each time."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    client = ApiClient(server.url)
    for _ in range(3):
        client.post_json("videos", {})
    asyncio.run(client.get_async("videos"))

    assert network.tls_context.cache_info().misses == 1


@EVERY_CLIENT
def test_a_certificate_that_nobody_knows_ends_it_before_anything_is_sent(
    server: RecordingServer, send: Callable[[str], object]
) -> None:
    """The error is told at once: a retry would not help, and nothing was sent or charged."""
    with pytest.raises(ConfigError, match=r"(?i)certificate") as caught:
        send(server.url)

    assert "REQUESTS_CA_BUNDLE" in str(caught.value.hint)
    assert (caught.value.retryable, caught.value.charged) == (False, False)

    assert server.requests == []


@EVERY_CLIENT
def test_a_certificate_of_another_host_is_none(
    server: RecordingServer,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    send: Callable[[str], object],
) -> None:
    """It is good for 127.0.0.1, not for a name that leads there."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(ConfigError, match=r"(?i)certificate") as caught:
        send(server.url.replace("127.0.0.1", "localhost"))

    assert "SSL_CERT_FILE" in str(caught.value.hint)

    assert server.requests == []


@EVERY_CLIENT
def test_a_certificate_file_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, send: Callable[[str], object]
) -> None:
    """A mistake in the environment is not an unknown outcome."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem")
    with pytest.raises(ConfigError, match=r"certificates\.pem"):
        send("https://127.0.0.1:1")


@EVERY_CLIENT
def test_a_proxy_that_the_environment_names_is_used(
    monkeypatch: pytest.MonkeyPatch, send: Callable[[str], object]
) -> None:
    """By every client; NO_PROXY names the hosts that are connected to directly."""
    with RecordingServer(Reply({"name": NAME})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        send("http://api.test")
        assert proxy.only_request.path.startswith("http://api.test/")
        assert proxy.only_request.headers["host"] == "api.test"

        network.reset()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with RecordingServer(Reply({"name": NAME})) as server:
            send(server.url)
        assert (len(proxy.requests), len(server.requests)) == (1, 1)


@EVERY_CLIENT
@pytest.mark.parametrize(
    ("proxy", "kind", "text"),
    [
        ("http://me:secret@127.0.0.1:9", UnreachableError, "through the proxy 127.0.0.1:9: "),
        ("https://127.0.0.1:9", UnreachableError, "through the proxy 127.0.0.1:9: "),
        ("http://proxy.invalid:80", HostNotFoundError, "find the host of proxy.invalid:80: "),
        ("http://", ConfigError, "the proxy that the environment sets"),
        ("nonsense://127.0.0.1:9", ConfigError, "the proxy that the environment sets"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_from_the_server(
    monkeypatch: pytest.MonkeyPatch,
    send: Callable[[str], object],
    proxy: str,
    kind: type[VeoError],
    text: str,
) -> None:
    """By every client with the same error, which names the proxy: nothing was sent or charged."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(VeoError, match=text) as caught:
        send("http://api.test")

    assert (type(caught.value), caught.value.charged) == (kind, False)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


KEPT: dict[str, tuple[Callable[[str], Provider], str, Any]] = {
    "gemini": (gemini, NAME, {"name": NAME}),
    "gemini-omni": (gemini, ID, make_created()),
    "vertex": (express, PLATFORM_NAME, {"name": PLATFORM_NAME}),
    "vertex-omni": (with_token, ID, make_created()),
    "laozhang-async": (connect_async, "video_1", {"id": "video_1", "status": "in_progress"}),
}


@pytest.mark.parametrize(("connect", "task_id", "body"), KEPT.values(), ids=KEPT)
def test_every_provider_polls_on_a_kept_connection(
    connect: Callable[[str], Provider], task_id: str, body: Any
) -> None:
    """Twenty polls, one connection."""

    async def poll_often(provider: Provider) -> set[Stage]:
        return {(await provider.poll(task_id)).stage for _ in range(20)}

    with RecordingServer(Reply(body)) as server:
        assert asyncio.run(poll_often(connect(server.url))) == {Stage.RUNNING}
        assert (len(server.requests), len(server.connections)) == (20, 1)


@pytest.mark.parametrize("name", ["get", "open", "poll", "google-poll", "google-open"])
def test_a_get_follows_a_redirect_without_the_key(name: str) -> None:
    """At every provider alike; what is paid for is never redirected."""
    with RecordingServer(Reply({"name": NAME})) as other, RecordingServer() as server:
        server.reply = Reply(status=302, headers={"Location": f"{other.url}/there"})
        CLIENTS[name](server.url)

    assert other.only_request.path == "/there"
    assert not {"authorization", "x-goog-api-key"} & set(other.only_request.headers)


def test_a_poll_that_is_a_post_is_not_redirected() -> None:
    """Veo on the Agent Platform polls with one; the error says where base_url has to lead."""
    with RecordingServer() as other, RecordingServer() as server:
        server.reply = Reply(status=307, headers={"Location": f"{other.url}/there"})
        with pytest.raises(VeoError, match="a redirect to") as caught:
            poll(express(server.url), PLATFORM_NAME)

    assert ("base_url" in str(caught.value.hint), caught.value.retryable) == (True, True)
    assert other.requests == []


@pytest.mark.parametrize("name", ["google-poll", "google-open"])
def test_a_redirect_to_google_is_followed_at_the_base_url(name: str) -> None:
    """A gateway may pass on what Google says; the key stays with the gateway."""
    with RecordingServer() as server:
        there = Reply(status=302, headers={"Location": f"{HOME}/there"})
        server.reply = lambda request: Reply({"name": NAME}) if request.path == "/there" else there
        CLIENTS[name](server.url)

    assert [request.path == "/there" for request in server.requests] == [False, True]
    assert {request.headers["x-goog-api-key"] for request in server.requests} == {"sandbox-key"}


@EVERY_CLIENT
@pytest.mark.parametrize("value", ["[::1]", "[::1]:80,::1/128", "*.[", "http://["])
def test_an_odd_no_proxy_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, send: Callable[[str], object], value: str
) -> None:
    """The request arrives, once."""
    monkeypatch.setenv("NO_PROXY", value)
    with RecordingServer(Reply({"name": NAME})) as server:
        send(server.url)

    assert len(server.requests) == 1


@pytest.mark.parametrize("send", [CLIENTS["post"], CLIENTS["google-submit"]])
def test_a_failure_before_the_request_is_a_setup_error(
    monkeypatch: pytest.MonkeyPatch, send: Callable[[str], object]
) -> None:
    """Whatever fails before the first byte leaves, the server receives nothing."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("requests.utils.get_environ_proxies", fail)
    monkeypatch.setattr(network, "get_environ_proxies", fail)
    with RecordingServer() as server, pytest.raises(SetupError) as caught:
        send(server.url)

    assert (caught.value.exit_code, caught.value.charged, server.requests) == (3, False, [])


@pytest.mark.parametrize(
    ("module", "options"), [("sdk_client", {}), ("interactions.developer", {"model": OMNI})]
)
def test_what_cannot_be_imported_is_a_setup_error(
    monkeypatch: pytest.MonkeyPatch, module: str, options: dict[str, str]
) -> None:
    """For example an SDK of an incompatible version: nothing was sent."""
    monkeypatch.setitem(sys.modules, f"veo_gemini.{module}", None)
    with RecordingServer() as server, pytest.raises(SetupError, match=module) as caught:
        submit(gemini(server.url), **options)

    assert (caught.value.charged, server.requests) == (False, [])


def test_a_failure_inside_the_sdk_before_it_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of any class proves nothing was sent while no byte of the body has left."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no event loop, no socket, no idea")

    with RecordingServer() as server:
        provider = gemini(server.url)
        monkeypatch.setattr("urllib3.connectionpool.HTTPConnectionPool.urlopen", fail)
        with pytest.raises(SetupError) as caught:
            submit(provider)

    assert (caught.value.charged, server.requests) == (False, [])


def test_a_failure_inside_the_sdk_after_it_has_sent() -> None:
    """It may have been accepted: never an error that says otherwise."""
    with RecordingServer(Reply(silent=True)) as server, pytest.raises(VeoError) as caught:
        submit(gemini(server.url))

    assert caught.value.charged is None
    assert len(server.requests) == 1


STORED = Reply(b"video", headers={"Last-Modified": "Sat, 28 Nov 2026 18:00:00 GMT", "ETag": '"1"'})
ReadObject = Callable[[str], bytes]


@pytest.fixture
def read_object(monkeypatch: pytest.MonkeyPatch) -> ReadObject:
    """Read an object of a bucket at a server, as with variables that have just been set."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted")
    monkeypatch.setattr(bucket_store, "_MAX_RETRIES", 0)

    def read(url: str) -> bytes:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        network.reset()
        bucket_store.open_store.cache_clear()
        return BucketPath("s3://clips/lion.mp4").read_bytes()

    return read


class TestBuckets:
    """The library for buckets has rules of its own, of which none is left."""

    @pytest.mark.parametrize("variable", network.CA_VARIABLES)
    def test_certificates(
        self,
        server: RecordingServer,
        certificate: Path,
        monkeypatch: pytest.MonkeyPatch,
        read_object: ReadObject,
        variable: str,
    ) -> None:
        """Those are trusted that a variable names, in a file or a folder, and no others."""
        server.reply = STORED
        named = certificate
        if variable == "SSL_CERT_DIR":
            named = certificate.parent
            certificate.rename(named / "9d66eef0.0")
        monkeypatch.setenv(variable, str(named))
        assert read_object(server.url) == b"video"

        monkeypatch.setenv(variable, network.DEFAULT_CA_BUNDLE_PATH)
        with pytest.raises(BucketError, match="certificate of s3://clips is not trusted") as caught:
            read_object(server.url)
        assert variable in str(caught.value.hint)
        monkeypatch.setenv(variable, "/nowhere/certificates.pem")
        with pytest.raises(BucketError, match=r"cannot find .*/nowhere/certificates\.pem"):
            read_object(server.url)
        assert len(server.requests) == 1

    def test_proxies(self, monkeypatch: pytest.MonkeyPatch, read_object: ReadObject) -> None:
        """One that the environment names is used, except for the hosts in NO_PROXY."""
        with RecordingServer(STORED) as proxy, RecordingServer(STORED) as server:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            direct = server.url.replace("127.0.0.1", "localhost")
            monkeypatch.setenv("NO_PROXY", direct.removeprefix("http://"))
            read_object("http://api.test")
            read_object(direct)

        assert proxy.only_request.path == "http://api.test/clips/lion.mp4"
        assert proxy.only_request.headers["user-agent"] == network.user_agent()
        assert server.only_request.path == "/clips/lion.mp4"

    def test_a_proxy_for_tls(
        self, monkeypatch: pytest.MonkeyPatch, read_object: ReadObject
    ) -> None:
        """It is asked for a connection to the bucket's server, and named if it refuses."""
        refusal = b"HTTP/1.1 502 Bad Gateway\r\n\r\n"
        with RawServer(lambda each: proxy.read_request(each) and each.sendall(refusal)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:secret@"))
            with pytest.raises(BucketError, match=f"proxy 127.0.0.1:{proxy.port}: ") as caught:
                read_object("https://api.test")

        assert proxy.requests[0].startswith(b"CONNECT api.test:443 ")
        assert b"proxy-authorization: Basic bWU6c2VjcmV0" in proxy.requests[0]
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("proxy", ["socks5h://me:secret@127.0.0.1:9", "nonsense://127.0.0.1:9"])
    def test_other_proxies(
        self, monkeypatch: pytest.MonkeyPatch, read_object: ReadObject, proxy: str
    ) -> None:
        """They are refused; the library would connect without them."""
        monkeypatch.setenv("ALL_PROXY", proxy)
        with RecordingServer(STORED) as server:
            with pytest.raises(BucketError, match=r"the proxy 127\.0\.0\.1:9: .* HTTP proxy"):
                read_object(server.url)
            assert server.requests == []
