"""``veo doctor``: disk, clock, hosts, and jobs that need the user; each says what to do."""

import shutil
import socket
import time
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Veo
from raw_server import RawServer
from records import make_record
from sqlalchemy import insert

from veo.ledger import Ledger, State
from veo.ledger.rows import to_row
from veo.ledger.schema import jobs
from veo.paths import ledger_folder

pytest_plugins = ("veo_fixtures",)

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for the default provider."""
    monkeypatch.setenv("VEO_API_KEY", "sk-of-a-test")


def find_check(veo: Veo, name: str, *options: str) -> dict[str, Any]:
    """Run the doctor, and return the check of a name."""
    found = [each for each in veo("doctor", "--json", *options).objects if each["name"] == name]
    return found[0] if found else {}


def add_job(state: State, age_s: float, **columns: Any) -> None:
    """Add a job of LaoZhang that was sent some time ago."""
    at = time.time() - age_s
    row = make_record(
        state,
        provider="laozhang-async",
        model="veo-3.1-fast",
        owner=None,
        task_id="t",
        **{"created_at": at, "submitted_at": at} | columns,
    )
    with closing(Ledger(ledger_folder())) as ledger, ledger.database.write() as connection:
        connection.execute(insert(jobs), [to_row(row)])


@pytest.mark.parametrize(("free", "status"), [(10**10, "ok"), (5 * 10**8, "warn"), (10**6, "fail")])
def test_the_disk(veo: Veo, monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    """A video that is paid for needs room."""
    usage = shutil.disk_usage(Path.cwd())._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    check = find_check(veo, "disk")
    assert check["status"] == status
    assert status == "ok" or "Free some space" in check["hint"]


def test_a_clock_that_was_set_back(veo: Veo) -> None:
    """The ledger holds a job of tomorrow."""
    assert find_check(veo, "clock")["status"] == "ok"
    add_job(State.DONE, -24 * HOUR_S)
    check = find_check(veo, "clock")
    assert check["status"] == "warn"
    assert "Set the clock" in check["hint"]


@pytest.mark.parametrize(("skew_s", "warns"), [(0, False), (1800, True), (-1800, True)])
def test_a_host_and_its_clock(veo: Veo, skew_s: float, *, warns: bool) -> None:
    """With --ping; no key is sent for this."""
    date = formatdate(time.time() + skew_s, usegmt=True)
    head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    asked: list[bytes] = []

    def respond(connection: socket.socket) -> None:
        asked.append(server.read_request(connection))
        connection.sendall(head.encode() + b"{}")

    with RawServer(respond) as server:
        config = f'[providers.laozhang-async]\nbase_url = "{server.url}/v1"\n'
        Path("veo.toml").write_text(config)
        found = veo("doctor", "--json", "--ping").objects
    checks = [(each["name"], each["status"]) for each in found]
    assert ("laozhang-async host", "ok") in checks
    assert (("clock", "warn") in checks) is warns
    assert b"sk-of-a-test" not in asked[0]


def test_a_host_that_cannot_be_reached(veo: Veo) -> None:
    """The reason is told."""
    Path("veo.toml").write_text('[providers.laozhang-async]\nbase_url = "http://127.0.0.1:9/v1"\n')
    check = find_check(veo, "laozhang-async host", "--ping")
    assert check["status"] == "fail"
    assert "no connection" in check["message"]


def test_stuck_jobs(veo: Veo) -> None:
    """They reserve money, and nobody works on them."""
    add_job(State.RUNNING, 0.5 * HOUR_S)
    assert not find_check(veo, "stuck jobs")
    add_job(State.RUNNING, 2 * HOUR_S, id="stuckjobaa")
    check = find_check(veo, "stuck jobs")
    assert (check["status"], "$0.15" in check["message"]) == ("warn", True)
    assert "veo resume" in check["hint"]


@pytest.mark.parametrize(("hours", "warns"), [(1, False), (20, True), (40, False)])
def test_expiring_jobs(veo: Veo, hours: float, *, warns: bool) -> None:
    """A day after the video was made it is deleted."""
    add_job(State.READY, hours * HOUR_S)
    check = find_check(veo, "expiring jobs")
    assert bool(check) is warns
    assert not warns or "veo resume" in check["hint"]


def test_jobs_of_unknown_outcome(veo: Veo) -> None:
    """With the amount that is in doubt."""
    add_job(State.UNKNOWN, HOUR_S)
    check = find_check(veo, "jobs")
    assert (check["status"], "$0.15" in check["message"]) == ("warn", True)
