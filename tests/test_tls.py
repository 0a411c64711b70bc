"""Certificates: believed by whom they should be, and read once however many connections."""

from __future__ import annotations

import select
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from recording_server import RecordingServer, Reply

from veo.errors import UnreachableError
from veo.http import transport
from veo.http.client import ApiClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Certificates are looked for once a process: no test must meet another's."""
    caches = (transport._certificates, transport._proxies, transport._trust)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


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


def test_a_certificate_that_the_environment_names_is_believed(
    server: RecordingServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of asking, and the paid request."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    http = ApiClient(server.url)
    http.get("a")
    http.open("b").read()
    http.post_json("c", {})

    assert [asked.path for asked in server.requests] == ["/a", "/b", "/c"]


def test_a_poll_is_sent_and_read_apart(
    server: RecordingServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is readable may be no answer yet: certificates and tickets come the same way."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server.reply = Reply({"said": "x" * 100_000})
    http = ApiClient(server.url)
    for path in ("a", "b"):
        asked = http.ask(path, lambda answer, _: answer)
        assert asked
        assert asked.socket is not None
        while not asked.ready():
            assert select.select([asked.socket], [], [], 10)[0]
        assert asked.read().json() == {"said": "x" * 100_000}


def test_certificates_are_read_once(
    server: RecordingServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every paid request has a connection of its own; reading them took 20 ms each time."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    http = ApiClient(server.url)
    for _ in range(3):
        http.post_json("videos", {})

    assert transport._trust.cache_info().misses == 1


@pytest.mark.parametrize("verb", ["get", "open", "post"])
def test_a_certificate_that_nobody_knows_ends_it_before_anything_is_sent(
    server: RecordingServer, verb: str
) -> None:
    """Nothing is said to a stranger, and the paid request counts as not sent."""
    http = ApiClient(server.url)
    asks = {"get": http.get, "open": http.open, "post": lambda path: http.post_json(path, {})}
    with pytest.raises(UnreachableError, match="certificate"):
        asks[verb]("videos")

    assert server.requests == []


def test_a_certificate_of_another_host_is_none(
    server: RecordingServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is good for 127.0.0.1, not for a name that leads there."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with pytest.raises(UnreachableError, match="certificate"):
        ApiClient(server.url.replace("127.0.0.1", "localhost")).get("videos")

    assert server.requests == []
