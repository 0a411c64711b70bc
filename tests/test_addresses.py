"""No URL of a response, a redirect or an image leads a request into the user's network."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection
from raw_server import RawServer
from recording_server import RecordingServer, Reply

from veo import network
from veo.config import Config, ProviderConfig
from veo.errors import ImageError, ProtocolError, VeoError
from veo.files.images import ImageStore
from veo.http import ApiClient
from veo.http.addresses import AddressGuard, InsideAddressError, classify_address
from veo.http.poll_session import PollSession
from veo.image import Image
from veo.runtime.providers import Endpoint, ProviderRegistry

PUBLIC_BASE = "https://8.8.8.8/v1"
INSIDE_HOSTS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "localhost",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "10.0.0.5",
    "172.16.3.4",
    "192.168.1.1",
    "100.64.0.1",
    "[fd12:3456::1]",
    "169.254.169.254",
    "[::ffff:a9fe:a9fe]",
    "169.254.1.1",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[ff02::1]",
]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", "public"),
        ("2606:4700::1111", "public"),
        ("::ffff:8.8.8.8", "public"),
        ("64:ff9b::808:808", "public"),
        ("127.8.8.8", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("fe80::1%eth0", "link-local"),
        ("169.254.169.254", "metadata"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("100.127.255.254", "private"),
        ("fec0::1", "reserved"),
    ],
)
def test_an_address_is_of_one_kind(address: str, kind: str) -> None:
    """An IPv4 address that is written as an IPv6 address is of the same kind."""
    assert classify_address(address) == kind


@pytest.mark.parametrize("host", INSIDE_HOSTS)
def test_no_download_from_an_inside_address(host: str) -> None:
    """Whatever form the address has; it is not worth a retry, and nothing was charged."""
    with pytest.raises(ProtocolError, match="no request is sent to") as caught:
        ApiClient(PUBLIC_BASE).open(f"http://{host}:9/a.mp4")
    assert not caught.value.retryable
    assert caught.value.charged is False


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "10.0.0.5"])
def test_no_poll_of_an_inside_address(host: str) -> None:
    """The client for polls has the same guard."""
    with pytest.raises(ProtocolError, match="no request is sent to"):
        asyncio.run(ApiClient(PUBLIC_BASE).get_async(f"http://{host}:9/"))
    with pytest.raises(ProtocolError, match="no request is sent to"):
        asyncio.run(PollSession(1, 1).get(f"http://{host}:9/", {}))


@pytest.mark.parametrize("host", ["10.0.0.5", "169.254.169.254", "[fd00:ec2::254]"])
def test_no_redirect_to_another_kind_of_address(host: str) -> None:
    """A sandbox on loopback may name loopback, and no other address inside."""
    moved = Reply(status=302, headers={"Location": f"http://{host}/latest/meta-data/"})
    with RecordingServer(moved) as server:
        api = ApiClient(server.url)
        with pytest.raises(ProtocolError, match="no request is sent to"):
            api.open("a.mp4")
        with pytest.raises(ProtocolError, match="no request is sent to"):
            asyncio.run(api.get_async("a"))


def test_a_base_url_inside_may_name_files_beside_it() -> None:
    """A gateway or a sandbox on this machine has its files on this machine."""
    with RecordingServer() as home, RecordingServer(Reply(b"mp4")) as files:
        assert ApiClient(home.url).open(f"{files.url}/a.mp4").read().body == b"mp4"


def resolve_as(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Let every name resolve to the next answer; the last one is repeated."""
    real, left = socket.getaddrinfo, list(answers)

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if not str(host).endswith(".test"):
            return real(host, port, *args, **options)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "169.254.169.254"])
def test_a_public_name_that_leads_inside_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Not the name is checked, but the address that is connected to."""
    resolve_as(monkeypatch, address)
    api = ApiClient(PUBLIC_BASE)
    with pytest.raises(ProtocolError, match="not public"):
        api.open("http://files.test/a.mp4")
    with pytest.raises(ProtocolError, match="not public"):
        asyncio.run(api.get_async("http://files.test/a"))


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes after the check does not help: the checked address is connected to."""
    resolve_as(monkeypatch, "8.8.8.8", "127.0.0.1")
    connected: list[str] = []

    def connect(target: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(target[0])
        raise OSError("blocked")

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    with pytest.raises(VeoError, match="blocked"):
        ApiClient(PUBLIC_BASE).open("http://files.test/a.mp4")
    assert connected == ["8.8.8.8"]


def test_the_host_of_a_request_stays_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sees the name, although the address is connected to."""
    resolve_as(monkeypatch, "127.0.0.1")
    with RecordingServer() as server:
        ApiClient(server.url.replace("127.0.0.1", "api.test")).get("models")
        assert server.only_request.headers["host"].startswith("api.test:")


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address inside, or one that nobody listens at, does not hide a good one."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, *args, **options: [
            entry
            for address in (("10.0.0.5", "127.0.0.1") if host == "api.test" else (host,))
            for entry in real(address, port, *args, **options)
        ],
    )
    with RecordingServer() as server:
        api = ApiClient(server.url, trusted_urls=lambda: ["http://127.0.0.1"])
        url = server.url.replace("127.0.0.1", "api.test")
        assert api.open(f"{url}/a").read().ok
        assert asyncio.run(api.get_async(f"{url}/a")).status == 200


def test_a_proxy_inside_is_used_and_leads_to_no_address_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user has configured the proxy; what responses name is still checked."""
    with RecordingServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        network.reset()
        api = ApiClient("http://api.example/v1")
        assert api.get("models").ok
        assert asyncio.run(api.get_async("models")).ok
        for host in ("127.0.0.1", "localhost", "a.localhost", "169.254.169.254", "2130706433"):
            with pytest.raises(ProtocolError, match="not public"):
                api.open(f"http://{host}/a.mp4")
            with pytest.raises(ProtocolError, match="not public"):
                asyncio.run(api.get_async(f"http://{host}/a"))
        assert len(proxy.requests) == 2
    network.reset()


def test_a_name_behind_a_proxy_that_leads_inside_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As far as this machine can look it up; the configured host is not looked up at all."""
    real, names = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: str, port: Any, *args: Any, **options: Any) -> Any:
        if host == "127.0.0.1":  # the proxy
            return real(host, port, *args, **options)
        names.append(host)
        if host != "files.test" or options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "unknown here")
        return real("10.0.0.5", port, *args, **options)

    with RecordingServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        network.reset()
        api = ApiClient(
            "http://api.test/v1", trusted_urls=lambda: ["http://api.test/v1", "x://[::"]
        )
        for _ in range(2):
            with pytest.raises(ProtocolError, match="not public"):
                api.open("http://files.test/a.mp4")
            with pytest.raises(ProtocolError, match="not public"):
                asyncio.run(api.get_async("http://files.test/a"))
        assert proxy.requests == []
        assert api.open("http://cdn.test/a.mp4").read().ok
        assert asyncio.run(api.get_async("http://cdn.test/a")).status == 200
        assert names.count("cdn.test") == 1
        assert api.get("models").ok
    network.reset()


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "FTP://host/a", "gopher://host/", "data:video/mp4,a", "javascript:a"],
)
def test_only_http_urls_are_requested(url: str) -> None:
    """Another scheme is not a path below the base URL either."""
    with RecordingServer() as server:
        for request in (ApiClient(server.url).open, ApiClient(server.url).get):
            with pytest.raises(ProtocolError, match="not an http"):
                request(url)
        assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.5", "169.254.169.254", "localhost"])
def test_no_image_from_an_inside_address(tmp_path: Path, host: str) -> None:
    """An image URL is the user's, or that of the author of a batch file."""
    with pytest.raises(ImageError, match="not public"):
        ImageStore(tmp_path).store(Image.of(f"http://{host}:9/a.png"))


def test_an_image_on_the_host_of_the_provider_may_be_inside() -> None:
    """The base URLs that are configured are trusted, or that of the sandbox."""
    settings = Config(
        providers={
            "gemini": ProviderConfig(base_url="http://10.1.1.1/"),
            "vertex": ProviderConfig(),
        }
    )
    assert ProviderRegistry(settings, None, print).base_urls() == ["http://10.1.1.1/"]
    sandbox: Any = Endpoint("http://127.0.0.1:8000", None)  # type: ignore[arg-type]
    assert ProviderRegistry(settings, lambda: sandbox, print).base_urls() == [sandbox.url]


def test_the_kinds_of_trusted_urls_are_read_when_they_matter() -> None:
    """A public address needs no lookup of the base URL's name."""
    calls: list[int] = []

    def trusted() -> list[str]:
        calls.append(1)
        return ["http://10.0.0.1/", "not a url", "http://[::1"]

    guard = AddressGuard(trusted)
    guard.check_address("8.8.8.8")
    assert calls == []
    guard.check_address("192.168.1.9")
    with pytest.raises(InsideAddressError):
        guard.check_address("127.0.0.1")


def test_no_byte_reaches_an_inside_server() -> None:
    """The check comes before the connection."""
    with RawServer(lambda _: None) as server:
        with pytest.raises(ProtocolError):
            ApiClient(PUBLIC_BASE).open(server.url)
        assert server.connections == 0
