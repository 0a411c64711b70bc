"""A ledger that is locked, damaged, emptied, deleted or newer: told, and never made worse."""

import ctypes
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cli_runner import CommandResult, Veo
from fork_server import ForkedProcess
from records import make_done_record
from sqlalchemy import insert

from veo.errors import LedgerError
from veo.ledger import Ledger, database, files, migrations
from veo.ledger.rows import to_row
from veo.ledger.schema import jobs
from veo.paths import ledger_folder
from veo_commands import main

pytest_plugins = ("veo_fixtures",)

HOLD_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(60)
"""
BAD_VALUES = [
    ("state", "flying"),
    ("version", "many"),
    ("quote", "{"),
    ("quote", "[]"),
    ("quote", '{"amount": "much"}'),
    ("request", "no JSON"),
    ("request", "7"),
    ("request", '{"prompt": "a lion", "of_a_newer_version": 1}'),
    ("video", "["),
    ("error", "{{"),
    ("charged", b"\0\1"),
    ("created_at", "yesterday"),
    ("output", b"\xff"),
]


@pytest.fixture
def path() -> Path:
    """The file of a ledger with two jobs."""
    with closing(Ledger(ledger_folder())) as ledger, ledger.database.write() as connection:
        rows = [to_row(make_done_record(id=name)) for name in ("goodjobaaa", "badjobbbbb")]
        connection.execute(insert(jobs), rows)
    return ledger_folder() / "ledger.db"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that was stopped inside a transaction."""
    command = (sys.executable, "-c", HOLD_LOCK, str(path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "locked\n"
        process.send_signal(signal.SIGSTOP)
        yield process
        with suppress(ProcessLookupError):
            process.kill()


@pytest.mark.parametrize(("column", "value"), BAD_VALUES)
def test_a_bad_row_does_not_hide_the_others(
    veo: Veo, path: Path, column: str, value: object
) -> None:
    """It is left out, with a warning that names the job."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE jobs SET {column} = ? WHERE id = 'badjobbbbb'", (value,))
        connection.commit()
    for options in ((), ("--json",), ("--all",)):
        ran = veo("jobs", *options)
        assert ran.code == 0, ran.err
        assert "goodjobaaa" in ran.out
        assert "badjobbbbb" in ran.err
        assert "damaged" in ran.err
    assert "bug in veo" not in veo("show", "badjobbbbb").err


@pytest.mark.usefixtures("holder")
def test_reading_needs_no_lock(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although another process is stopped inside a transaction."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.0)  # any wait would fail
    monkeypatch.setattr(database, "BUSY_NOTICE_S", 0.0)
    for arguments in (("jobs",), ("show", "goodjobaaa"), ("cost",), ("jobs", "--cost")):
        ran = veo(*arguments)
        assert ran.code == 0, ran.err


def test_the_holder_of_the_lock_is_named(
    path: Path,
    holder: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While waiting, and in the error at the end."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.3)
    monkeypatch.setattr(database, "BUSY_NOTICE_S", 0.1)
    caplog.set_level(logging.WARNING, "veo")
    with (
        closing(Ledger(path.parent)) as ledger,
        pytest.raises(LedgerError) as caught,
        ledger.database.write(),
    ):
        raise AssertionError
    name = f"process {holder.pid}" if Path("/proc/locks").exists() else "another"
    assert name in caught.value.message
    assert name in caplog.text
    if Path("/proc/locks").exists():
        assert "stopped" in caught.value.message


def test_a_lock_of_some_seconds_is_waited_for(
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write succeeds when the other process ends; nothing is withdrawn."""
    monkeypatch.setattr(database, "BUSY_NOTICE_S", 0.1)
    monkeypatch.setattr(files, "describe_holder", lambda _: holder.kill())
    with closing(Ledger(path.parent)) as ledger, ledger.database.write() as connection:
        connection.execute(insert(jobs), [to_row(make_done_record(id="thirdjobcc"))])


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_a_ledger_that_is_gone_is_noticed(veo: Veo, path: Path, how: str) -> None:
    """A new one would say that nothing was ever paid."""
    for suffix in ("-wal", "-shm"):
        path.with_name(f"ledger.db{suffix}").unlink(missing_ok=True)
    path.unlink() if how == "deleted" else path.write_bytes(b"")
    for arguments in (("jobs",), ("generate", "a lion", "-o", "a.mp4"), ("doctor",)):
        ran = veo(*arguments)
        assert ran.code == 3
        assert ("gone" if how == "deleted" else "empty") in ran.err + ran.out
    files.marker_path(path).unlink()  # as the hint says
    assert veo("jobs").code == 0


@pytest.mark.parametrize("how", ["deleted", "emptied", "replaced"])
def test_a_ledger_that_goes_while_it_is_open_is_noticed(path: Path, how: str) -> None:
    """What is written into a deleted file is lost."""
    with closing(Ledger(path.parent)) as ledger:
        if how == "emptied":
            path.write_bytes(b"")
        else:
            data = path.read_bytes()
            path.rename(path.with_name("elsewhere"))
            if how == "replaced":
                path.write_bytes(data)
        with pytest.raises(LedgerError, match="deleted or replaced"), ledger.database.write():
            raise AssertionError


def damage(path: Path) -> None:
    """Overwrite the page of an index that has rows; another may be empty, and is not read."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_migrations_1'"
        (number,) = connection.execute(query).fetchone()
    data = bytearray(path.read_bytes())
    page = 4096
    data[page * (number - 1) + 8 : page * number] = os.urandom(page - 8)
    path.write_bytes(data)


def test_the_doctor_checks_the_whole_file(veo: Veo, path: Path) -> None:
    """Where a query of one table still works."""
    damage(path)
    ran = veo("doctor", "--json")
    (check,) = [each for each in ran.objects if each["name"] == "ledger"]
    assert (ran.code, check["status"]) == (3, "fail")
    assert "damaged" in check["message"]
    assert "--set-aside" in check["hint"]


@pytest.mark.parametrize(
    "data", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8000]
)
def test_a_damaged_ledger_is_set_aside_never_overwritten(veo: Veo, path: Path, data: bytes) -> None:
    """Only when asked; the damaged file stays, under another name."""
    for suffix in ("-wal", "-shm"):
        path.with_name(f"ledger.db{suffix}").unlink(missing_ok=True)
    path.write_bytes(data)
    ran = veo("jobs")
    assert ran.code == 3
    assert "doctor --set-aside" in ran.err
    assert path.read_bytes() == data
    assert "the damaged ledger is now" in veo("doctor", "--set-aside").err
    (kept,) = path.parent.glob("ledger.db.damaged-*")
    assert kept.read_bytes() == data
    assert veo("jobs").code == 0


def test_a_sound_ledger_is_not_set_aside(veo: Veo, path: Path) -> None:
    """A slip of the hand must not hide the jobs."""
    ran = veo("doctor", "--set-aside")
    assert ran.code == 2
    assert "not damaged" in ran.err
    assert path.exists()


@pytest.mark.parametrize("count", range(1, len(migrations.STEPS) + 1))
def test_the_ledger_of_each_version_opens(
    veo: Veo, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """It gets the steps that it lacks."""
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", migrations.STEPS[:count])
        Ledger(ledger_folder()).close()
    assert veo("jobs").code == 0


def test_a_newer_ledger_is_refused_and_left_as_it_is(veo: Veo, path: Path) -> None:
    """Politely: what to do is told, and nothing is written."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO migrations VALUES ('m999_future', ?)", (time.time(),))
        connection.commit()
    for arguments in (("jobs",), ("generate", "a lion", "-o", "a.mp4"), ("doctor",)):
        ran = veo(*arguments)
        assert ran.code == 3
        assert "newer version" in ran.err + ran.out
    assert veo("doctor", "--set-aside").code == 2  # it is not damaged


READERS = [["jobs"], ["jobs", "--cost"], ["show", "goodjobaaa"], ["cost"]]


def run_without_permission(command: list[str]) -> CommandResult:
    """Run a command for which the modes of files count, as they do not for root."""
    with ForkedProcess(drop_privileges, command) as running:
        out, err = running.communicate()
    return CommandResult(running.wait(), out, err)


def drop_privileges(command: list[str]) -> None:
    if os.geteuid() == 0:
        version, capabilities = (ctypes.c_uint32 * 2)(0x20080522), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(version, capabilities) == 0  # see capset(2)
    main(command)


@pytest.fixture
def read_only(path: Path) -> Iterator[Callable[[], None]]:
    """Take the permission to write from the folder and the files of the ledger."""

    def change_modes() -> None:
        for file in path.parent.iterdir():
            file.chmod(0o400)
        path.parent.chmod(0o500)

    yield change_modes
    path.parent.chmod(0o700)


@pytest.mark.skipif(sys.platform != "linux", reason="root gives its rights up as on Linux")
class TestReadOnly:
    def test_what_only_reads_works(
        self, path: Path, read_only: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a backup or a snapshot; what writes ends before anything is sent."""
        monkeypatch.setenv("VEO_API_KEY", "k")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # should it be sent all the same
        read_only()
        results = [run_without_permission(command) for command in READERS]
        refused = run_without_permission(["generate", "a lion", "--yes"])

        assert [ran.code for ran in results] == [0] * len(READERS), results
        assert "goodjobaaa" in results[0].out
        assert (refused.code, "cannot write" in refused.err) == (3, True)
        assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.made"}

    def test_changes_that_are_only_in_the_log(
        self, path: Path, read_only: Callable[[], None]
    ) -> None:
        """They are read while the log has its index; without it, they are not hidden."""
        with closing(Ledger(ledger_folder())) as ledger:
            ledger.move_job(ledger.find_job("goodjobaaa"), message="a late note")
            read_only()
            shown = run_without_permission(["show", "goodjobaaa", "--json"])
            path.parent.chmod(0o700)
            path.with_name(f"{path.name}-shm").rename("index")
            path.parent.chmod(0o500)
            refused = [run_without_permission(command) for command in READERS]

        assert (shown.code, "a late note" in shown.out) == (0, True), shown.err
        assert {ran.code for ran in refused} == {3}
        assert all("Copy the folder" in ran.err for ran in refused)

    def test_a_ledger_that_another_process_writes(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its log may be empty now; SQLite is told that nobody writes if there is no index."""
        with closing(Ledger(ledger_folder())), closing(sqlite3.connect(path)) as connection:
            monkeypatch.setattr(os, "access", lambda *_: False)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert not path.with_name(f"{path.name}-wal").stat().st_size
            assert files.read_only_query(path) == {"uri": "true", "mode": "ro"}
        assert files.read_only_query(path) == {"uri": "true", "immutable": "1"}
