"""The lines of ``docs/security.md``: their tests exist; some that have no other place are here."""

import ast
import re
import socket
import ssl
from contextlib import closing
from pathlib import Path

import pytest

import veo_sandbox
from veo import network
from veo.ledger import Ledger
from veo_commands.app import COMMANDS
from veo_commands.framework import load_command

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "security.md").read_text("utf-8")
TESTS = sorted(set(re.findall(r"`(tests/test_\w+\.py(?:::\w+)*)`", DOCUMENT)))
GUARDS = sorted(
    set(re.findall(r"`((?:veo|cli|providers|tests/support|benchmarks)/[\w/.]+)`", DOCUMENT))
)


@pytest.mark.parametrize("name", TESTS)
def test_each_line_names_tests_that_exist(name: str) -> None:
    """A test that is renamed or removed takes its line with it."""
    file, *names = name.split("::")
    body = ast.parse((ROOT / file).read_text("utf-8")).body
    for each in names:
        found = [node for node in body if getattr(node, "name", None) == each]
        assert found, name
        body = getattr(found[0], "body", [])


@pytest.mark.parametrize("name", GUARDS)
def test_each_line_names_code_that_exists(name: str) -> None:
    """The guard is where the document says."""
    assert (ROOT / name).exists()


def test_every_line_names_a_test() -> None:
    """A claim without one is none."""
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and "---" not in line]
    assert [row for row in rows if "tests/" not in row and not row.startswith("| what")] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_takes_a_key(command: str) -> None:
    """Other users of a machine see the arguments of a process."""
    if command == "sandbox":
        pytest.skip("its key is play money")
    options = [option for each in load_command(command).params for option in each.opts]
    assert [option for option in options if re.search("key|token|secret|password", option)] == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PYTHONHTTPSVERIFY", "0"),
        ("REQUESTS_CA_BUNDLE", ""),
        ("CURL_CA_BUNDLE", ""),
        ("SSL_CERT_FILE", ""),
        ("GIT_SSL_NO_VERIFY", "1"),
        ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
    ],
)
def test_certificates_are_always_verified(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """No variable that other programs know switches it off."""
    monkeypatch.setenv(variable, value)
    network.reset()
    context = network.tls_context()
    network.reset()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_no_code_switches_verification_off() -> None:
    """Neither for a client of our own, nor for that of an SDK."""
    files = [
        path for folder in ("veo", "cli", "providers") for path in (ROOT / folder).rglob("*.py")
    ]
    pattern = re.compile(r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False|_unverified_")
    assert [path.name for path in files if pattern.search(path.read_text("utf-8"))] == []


def test_the_ledger_is_private(tmp_path: Path) -> None:
    """Its folder had another mode before, and so might its files have."""
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    with closing(Ledger(home)):
        files = [path for path in home.iterdir() if path.is_file()]
        assert home.stat().st_mode & 0o777 == 0o700
        assert {path.name: path.stat().st_mode & 0o077 for path in files} == {
            path.name: 0 for path in files
        }
        assert any(path.name == "ledger.db" for path in files)


def test_the_sandbox_listens_on_loopback(tmp_path: Path) -> None:
    """Other machines cannot reach it, unless its user asks for another address."""
    with veo_sandbox.Sandbox(tmp_path, clip="tiny", latency=0) as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        port = int(sandbox.url.rsplit(":", 1)[1])
        with socket.socket() as free:  # the same port at another address is free
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.2", port))
