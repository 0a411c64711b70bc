"""A ledger on Postgres: one for many machines, clear errors, no password anywhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from batch_inputs import wait_until
from refusing_server import refusing_server
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from worker_process import start_worker

from veo.config import Config, read_config
from veo.config.ledger_url import LedgerUrl
from veo.errors import ConfigError, LedgerError
from veo.ledger import Ledger, postgres
from veo.ledger.database import query_prepared
from veo.ledger.heartbeat import WorkerLease, find_dead_workers
from veo.ledger.limits import Limits, lock_provider
from veo.ledger.queue import list_workers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli_runner import Veo
    from postgres_server import PostgresServer

    import veo_sandbox

pytest_plugins = ("ledger_databases", "veo_fixtures")
SECRET = "geheim-word"


@pytest.fixture
def url(postgres: PostgresServer, tmp_path: Path) -> str:
    """The URL of an empty ledger, with a password, which the server does not ask for."""
    url = postgres.schema_url(f"p{abs(hash(tmp_path))}")
    return url.replace("postgres@", f"postgres:{SECRET}@")


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger there."""
    ledger = Ledger(tmp_path, url=LedgerUrl.parse(url))
    yield ledger
    ledger.close()


class TestUrl:
    """The password of a URL is for the driver only."""

    @pytest.mark.parametrize(
        "value",
        [
            f"postgresql://me:{SECRET}@host/veo",
            f"postgres://me:{SECRET}@host/veo",
            f"postgresql://me:a:{SECRET}@b@host/veo",
            f"postgresql://host/veo?user=me&password={SECRET}",
        ],
    )
    def test_no_text_of_it_has_the_password(self, value: str) -> None:
        """Neither `str` nor `repr`, nor a text of the driver."""
        url = LedgerUrl.parse(value)
        texts = f"{url} {url!r} {Config(ledger=url)} {Config(ledger=url).to_json()}"
        assert SECRET not in texts
        assert "postgresql://" in texts
        assert SECRET in url.reveal()
        assert SECRET not in LedgerUrl.parse(f"postgresql://me:{SECRET}@host").redact(
            f"no such host {SECRET}"
        )

    def test_the_environment_sets_it(self) -> None:
        """`VEO_LEDGER`, or `ledger` in a file."""
        config = read_config(env={"VEO_LEDGER": f"postgresql://me:{SECRET}@host/veo"}).config
        assert str(config.ledger) == "postgresql://me:***@host/veo"

    @pytest.mark.parametrize("value", ["mysql://host/veo", f"{SECRET}", "ledger.db"])
    def test_other_databases_are_refused(self, value: str) -> None:
        """The message says what it must be, and not what it is."""
        with pytest.raises(ConfigError, match="postgresql://user@host/database") as caught:
            read_config(env={"VEO_LEDGER": value})
        assert value not in caught.value.message


class TestErrors:
    """What is wrong, and what to do about it."""

    def open(self, url: str, tmp_path: Path, patience_s: float = 3600) -> LedgerError:
        """Return the error of a ledger that cannot be opened; it must not be waited for."""
        with pytest.raises(LedgerError) as caught:
            Ledger(tmp_path, url=LedgerUrl.parse(url), patience_s=patience_s)
        assert SECRET not in f"{caught.value.message} {caught.value.hint}"
        return caught.value

    @pytest.mark.usefixtures("postgres")  # skipped without the extra
    def test_no_server(self, tmp_path: Path) -> None:
        """Where it was expected, and that jobs are not lost."""
        error = self.open(f"postgresql://me:{SECRET}@127.0.0.1:1/veo", tmp_path, 0)
        assert "127.0.0.1:1/veo: " in error.message
        assert "refused" in error.message
        assert "Is the server running" in str(error.hint)

    def test_no_such_database(self, postgres: PostgresServer, tmp_path: Path) -> None:
        """The server's own words."""
        url = postgres.url.removesuffix("postgres") + "missing"
        assert 'database "missing" does not exist' in self.open(url, tmp_path).message

    @pytest.mark.usefixtures("postgres")
    def test_no_such_host(self, tmp_path: Path) -> None:
        """A wrong name is not waited for either."""
        url = f"postgresql://me:{SECRET}@no-such-host.invalid/veo"
        assert "failed to resolve host" in self.open(url, tmp_path).message

    @pytest.mark.parametrize(
        "code", ["28P01", "28000", "3D000", "53300"], ids=["password", "role", "database", "full"]
    )
    @pytest.mark.usefixtures("postgres")
    def test_a_refusal_is_not_waited_for(self, code: str, tmp_path: Path) -> None:
        """In whatever language the server says it."""
        with refusing_server(code) as port:
            error = self.open(f"postgresql://me:{SECRET}@127.0.0.1:{port}/veo", tmp_path)
        assert "Nein" in error.message

    def test_not_a_url(self, tmp_path: Path) -> None:
        """A port that is no number."""
        error = self.open(f"postgresql://me:{SECRET}@host:port/veo", tmp_path)
        assert "is not a valid URL" in error.message

    def test_no_driver(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The extra to install."""
        monkeypatch.setitem(sys.modules, "psycopg", None)
        error = self.open(f"postgresql://me:{SECRET}@host/veo", tmp_path)
        assert "veo-video[cluster]" in str(error.hint)

    def test_an_old_server(self, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The oldest version that works."""
        monkeypatch.setattr(postgres, "OLDEST_VERSION", 99)
        error = self.open(url, tmp_path)
        assert "is on Postgres" in error.message
        assert "Postgres 99 or newer" in str(error.hint)

    def test_a_newer_ledger(self, ledger: Ledger, url: str, tmp_path: Path) -> None:
        """A step that this version does not know."""
        with ledger.database.write() as connection:
            connection.exec_driver_sql("INSERT INTO migrations VALUES ('m999_future', 0)")
        assert "newer version" in self.open(url, tmp_path).message


class TestRestart:
    """A restart of the server is waited for."""

    def test_idle_connections_are_replaced(self, ledger: Ledger, postgres: PostgresServer) -> None:
        """Reads and writes after a restart work as before."""
        ledger.list_jobs()
        postgres.stop()
        postgres.start()
        assert ledger.list_jobs() == []
        postgres.stop()
        postgres.start()
        ledger.release_leases("nobody")

    @pytest.mark.parametrize("use", ["write", "read", "read_once"])
    def test_a_connection_that_breaks_is_an_error_of_the_ledger(
        self, ledger: Ledger, use: str
    ) -> None:
        """Also in a statement that goes to the driver directly; the next one works again."""
        end = select(func.pg_terminate_backend(func.pg_backend_pid()))
        with (
            pytest.raises(LedgerError, match="cannot use the ledger"),
            getattr(ledger.database, use)() as connection,
        ):
            query_prepared(connection, end, {})
        assert ledger.read_job("none") is None
        ledger.release_leases("nobody")

    def test_a_write_waits_for_the_server(self, ledger: Ledger, postgres: PostgresServer) -> None:
        """A task id that comes in while the server restarts is stored."""
        postgres.stop()
        starting = threading.Timer(0.7, postgres.start)
        starting.start()
        ledger.release_leases("nobody")
        starting.join()

    def test_a_start_and_a_read_wait_for_the_server(
        self,
        ledger: Ledger,
        url: str,
        postgres: PostgresServer,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Each says once what it waits for, and how long."""
        postgres.stop()
        starting = threading.Timer(1.2, postgres.start)
        starting.start()
        Ledger(tmp_path / "other", url=LedgerUrl.parse(url)).close()
        starting.join()
        postgres.stop()
        starting = threading.Timer(1.2, postgres.start)
        starting.start()
        assert ledger.list_jobs() == []
        starting.join()
        texts = [record.getMessage() for record in caplog.records]
        assert ["waiting for at most 30 s for the ledger" in text for text in texts] == [True] * 2
        assert all("refused" in text and SECRET not in text for text in texts)

    @pytest.mark.parametrize("code", ["57P03", ""], ids=["starting", "closed"])
    @pytest.mark.usefixtures("postgres")
    def test_what_a_server_that_starts_says_is_waited_for(
        self,
        code: str,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """It refuses for now, or closes the connection."""
        monkeypatch.setattr(postgres, "RETRY_S", 0.01)
        with refusing_server(code) as port:
            url = LedgerUrl.parse(f"postgresql://me@127.0.0.1:{port}/veo")
            with pytest.raises(LedgerError):
                Ledger(tmp_path, url=url, patience_s=0.1)
        assert "waiting" in caplog.text

    def test_a_server_that_does_not_respond_is_waited_for(self, url: str) -> None:
        """A machine that starts may drop what is sent to it."""
        import psycopg

        silence = psycopg.errors.ConnectionTimeout("connection timeout expired")
        error = OperationalError(None, None, silence)
        assert postgres._may_accept_later(LedgerUrl.parse(url), error)

    def test_it_is_not_waited_for_without_end(
        self, ledger: Ledger, postgres: PostgresServer
    ) -> None:
        """The error is the same as at the start."""
        ledger.database.patience_s = 0.1
        postgres.stop()
        try:
            with pytest.raises(LedgerError, match="cannot use the ledger"):
                ledger.release_leases("nobody")
        finally:
            postgres.start()


def test_the_clock_is_that_of_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine whose clock is an hour late writes the same times as all others."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600.0)
    ledger = Ledger(tmp_path, url=LedgerUrl.parse(url))
    assert ledger.clock() == pytest.approx(real(), abs=5.0)
    ledger.close()


def test_a_process_with_another_folder_is_not_taken_for_dead(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    """Its lock file is elsewhere, perhaps in another container: only its heartbeat tells."""
    other = Ledger(tmp_path / "other", url=LedgerUrl.parse(url))
    lease = WorkerLease(other)
    assert find_dead_workers(ledger, {lease.id}, ledger.clock()) == set()
    assert find_dead_workers(ledger, {lease.id}, ledger.clock() + 61.0) == {lease.id}
    lease.close()
    other.close()


_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_of_a_process_one_request_waits_for_the_others(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    """Were the process frozen, it would hold up those of all others once, not once for each."""
    other = Ledger(tmp_path / "other", url=LedgerUrl.parse(url))
    limits = Limits(8, 1000)
    asking = [threading.Thread(target=ledger.recover, args=("scripted", limits)) for _ in range(4)]
    with other.database.write() as connection:
        lock_provider(connection, "scripted")
        for thread in asking:
            thread.start()
        wait_until(lambda: connection.exec_driver_sql(_WAITING).scalar_one())
        time.sleep(0.2)
        assert connection.exec_driver_sql(_WAITING).scalar_one() == 1
    for thread in asking:
        thread.join()
    other.close()


def test_a_process_that_was_frozen_is_alive_again(ledger: Ledger) -> None:
    """Others took it for dead; its next heartbeat says that it is not."""
    lease = WorkerLease(ledger, interval_s=0.05)
    find_dead_workers(ledger, {lease.id}, ledger.clock() + 3600.0)
    wait_until(lambda: [each["id"] for each in list_workers(ledger)] == [lease.id])
    lease.close()


def test_commands_share_a_ledger_across_machines(
    veo: Veo,
    service: veo_sandbox.Sandbox,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What one machine makes, another lists and counts; no output has the password."""
    monkeypatch.setenv("VEO_LEDGER", url)
    worker = start_worker()
    made = veo("generate", "a lion", "-o", "lion.mp4", "--json")
    worker.kill()
    worker.communicate()
    monkeypatch.setenv("VEO_HOME", str(tmp_path / "another machine"))
    listed = veo("jobs", "--json")
    cost = veo("cost", "--json")
    checked = veo("doctor")
    settings = veo("config")
    played = veo("jobs", "--sandbox", "--json")

    assert made.code == 0, made.err
    assert [job["state"] for job in listed.objects] == ["done"]
    assert cost.objects[-1]["charged"] == 0.15
    assert "postgresql://postgres:***@127.0.0.1" in checked.out
    assert "postgresql://postgres:***@127.0.0.1" in settings.out
    assert played.objects == []
    outputs = [made, listed, cost, checked, settings]
    assert SECRET not in "".join(each.out + each.err for each in outputs)
