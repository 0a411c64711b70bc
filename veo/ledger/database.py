"""The SQLite database under the ledger; ``postgres`` is the one for many machines."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    Update,
    create_engine,
    event,
)
from sqlalchemy.exc import DatabaseError

from veo.errors import DamagedLedgerError, LedgerError, UsageError
from veo.ledger import files
from veo.ledger.migrations import apply_migrations, has_all_migrations
from veo.problems import Remedy

BUSY_TIMEOUT_S = 60.0  # a process that syncs a slow disk, or was stopped for a moment
# A restart of a database server takes seconds, and a task id that cannot be stored is a lost video.
PATIENCE_S = 30.0
BUSY_NOTICE_S = 3.0  # until a warning names the process that holds the ledger
# Negative sizes are KiB. Every thread that reads has a connection: with SQLite's default of 2 MB
# each, their caches would take more memory than the jobs.
READER_CACHE = "cache_size=-256"
WRITER_CACHE = "cache_size=-2000"
PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
FOLDER_HINT = "Set VEO_HOME to a folder that can be written."
_log = logging.getLogger(__name__)


class Database:
    """SQLite in one folder, private to its user.

    Threads that write at the same time share a commit, because each commit syncs the disk. A
    thread runs its statements under a savepoint of one open transaction, then waits until a
    commit, its own or that of another thread, has covered them.

    Savepoints and commits go to the driver directly: through SQLAlchemy they take longer than
    all the statements.

    Raises:
        LedgerError: The folder or the file cannot be used, or a newer version wrote it.
    """

    clock_offset_s = 0.0  # all processes on it have the clock of this machine
    lease_s = 60.0  # a process whose last heartbeat is older does not count as alive
    patience_s = 0.0  # there is no server that could be away
    turn = nullcontext()  # one transaction writes at a time in any case

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        # Lock order: _commit_lock before _statement_lock.
        self._statement_lock = threading.Lock()
        self._commit_lock = threading.Lock()
        # Writes are numbered from 1; these are the last numbers that were executed and committed.
        self._executed = 0
        self._committed = 0
        # Why a write was lost, by its number, until its thread has read it.
        self._lost: dict[int, BaseException] = {}
        with _translate_errors(self.path):
            query = files.read_only_query(self.path)
            if not query:
                _make_private(self.path)
        # The writer's connection is shared by threads, one at a time under _statement_lock.
        settings = {"timeout": BUSY_NOTICE_S, "check_same_thread": False}
        name = self.path.as_uri() if query else str(self.path)
        url = URL.create("sqlite", database=name, query=query)
        self._engine = create_engine(url, connect_args=settings)
        event.listen(self._engine, "connect", _configure_connection)
        event.listen(self._engine, "begin", _begin_read)
        with _translate_errors(self.path):
            self._writer = self._engine.connect().execution_options(veo_writes=True)
            self._driver: Any = self._writer.connection.driver_connection
            _set_pragmas(self._driver, WRITER_CACHE)
            # Not known yet: SQLite writes the first page of a new file with the tables.
            self._identity: tuple[int, int] | None = None
        # Without the write lock, which a stopped process may hold: most ledgers are up to date.
        with self.read() as connection:
            is_current = has_all_migrations(connection)
        if not is_current:
            with self.write() as connection:
                apply_migrations(connection)
        files.mark_present(self.path)
        self._identity = files.read_identity(self.path)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run statements as one unit: durable on disk at the end, undone after an exception."""
        with _translate_errors(self.path):
            self._check_file()
            with self._statement_lock:
                try:
                    self._begin_statements()
                    yield self._writer
                    self._driver.execute("RELEASE statements")
                except BaseException as error:
                    self._undo_statements(error)
                    raise
                self._executed += 1
                number = self._executed
            self._ensure_committed(number)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run queries in one transaction, which sees one moment and blocks no writer."""
        with _translate_errors(self.path), self._engine.connect() as connection:
            yield connection

    read_once = read  # for a single query, which a server can spare the transaction

    def close(self) -> None:
        """Close every connection."""
        with self._statement_lock:
            self._writer.close()
        self._engine.dispose()

    def _begin_statements(self) -> None:
        if not self._driver.in_transaction:
            # IMMEDIATE takes the write lock now: a transaction that reads first and then writes
            # fails at once, without the busy timeout, if another process wrote in between.
            self._begin_immediate()
        self._driver.execute("SAVEPOINT statements")

    def _begin_immediate(self) -> None:
        """Wait for the write lock; after a few seconds tell the user who holds it."""
        ends_at, is_reported = time.monotonic() + BUSY_TIMEOUT_S, False
        while True:
            try:
                self._driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() >= ends_at:
                    raise
                if not is_reported:
                    holder = files.describe_holder(self.path) or "another process"
                    _log.warning("waiting for the ledger: %s holds it", holder)
                is_reported = True
            else:
                return

    def _check_file(self) -> None:
        """Raise a LedgerError if the file was deleted, emptied or replaced while it is open.

        What is written into a deleted file is lost when the process ends.
        """
        if self._identity and files.read_identity(self.path) != self._identity:
            raise LedgerError(
                f"the ledger {self.path} was deleted or replaced while it was in use",
                hint="Nothing more can be stored. Restore the file, then resume the jobs.",
                remedies=[Remedy("resume")],
            )

    def find_damage(self) -> list[str]:
        """Return what SQLite's own check of the whole file finds, at most ten lines."""
        with self.read() as connection:
            found = [*connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars()]
            found += [
                f"a row of {row[0]} refers to a missing row of {row[2]}"
                for row in connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            ]
        return [str(line) for line in found if line != "ok"][:10]

    def _ensure_committed(self, number: int) -> None:
        """Wait until a write is committed; commit all that were executed if nobody else did."""
        # While one thread syncs the disk, others execute; the next one commits all writes.
        with self._commit_lock:
            if self._committed < number:
                with self._statement_lock:
                    self._commit_executed()
        if error := self._lost.pop(number, None):
            raise error

    def _commit_executed(self) -> None:
        try:
            self._driver.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - every thread whose write was lost raises it
            self._record_failure(error)
            self._driver.rollback()
        self._committed = self._executed

    def _undo_statements(self, error: BaseException) -> None:
        """Undo the statements of one thread; keep those of others if SQLite has kept them."""
        is_open = self._driver.in_transaction
        if self._executed > self._committed and is_open:
            self._driver.execute("ROLLBACK TO statements")
            self._driver.execute("RELEASE statements")
            return
        if not is_open:
            # On some errors, a full disk for one, SQLite rolls the whole transaction back.
            self._record_failure(error)
        # Nothing else is pending: end the transaction, so that other processes can write.
        self._driver.rollback()
        self._committed = self._executed

    def _record_failure(self, error: BaseException) -> None:
        # Each number has one thread that waits for it. None may be forgotten before that thread has
        # read it: it would send a paid request whose intent is not on disk.
        for number in range(self._committed + 1, self._executed + 1):
            self._lost[number] = error


def _make_private(path: Path) -> None:
    """Make the folder and the file if they are missing; nobody else may read them."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    path.parent.chmod(PRIVATE_FOLDER_MODE)
    files.check_present(path)
    # SQLite gives its journal files the mode of the database file.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE_MODE))


_Statement = Insert | Update | Delete | Select[Any]


def execute_prepared(
    connection: Connection, statement: Insert | Update | Delete, values: Mapping[str, Any]
) -> int:
    """Run a statement that every step of every job runs; return the number of rows it changed.

    It goes to the driver directly: compiling the statement, even looking it up in SQLAlchemy's
    cache, takes longer than running it.
    """
    count: int = _run_prepared(connection, statement, values).rowcount
    return count


def query_prepared(
    connection: Connection, query: Select[Any], values: Mapping[str, Any]
) -> Sequence[Any]:
    """Run a query that has one row, like ``execute_prepared``; return the row."""
    row: Sequence[Any] = _run_prepared(connection, query, values).fetchone()
    return row


def _run_prepared(connection: Connection, statement: _Statement, values: Mapping[str, Any]) -> Any:
    text, names, constants = _compile_statement(statement, frozenset(values), connection.dialect)
    values = {**constants, **values}
    cursor = connection.connection.cursor()
    # SQLite takes values by position, psycopg by name.
    cursor.execute(text, [values[name] for name in names] if names else values)
    return cursor


@lru_cache(maxsize=256)
def _compile_statement(
    statement: _Statement, columns: frozenset[str], dialect: Dialect
) -> tuple[str, Sequence[str], Mapping[str, Any]]:
    compiled = dialect.statement_compiler(dialect, statement, column_keys=sorted(columns))
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return str(compiled), compiled.positiontup or (), constants


def _configure_connection(connection: Any, _: Any) -> None:
    # Otherwise the driver begins transactions by itself, without the write lock.
    connection.isolation_level = None
    # FULL syncs the disk at every commit: a task id that was committed survives a power failure.
    _set_pragmas(
        connection,
        "journal_mode=WAL",
        "synchronous=FULL",
        "fullfsync=ON",  # macOS: as in `paths.sync_to_disk`; no other system has it
        "foreign_keys=ON",
        READER_CACHE,
    )


def _set_pragmas(connection: Any, *pragmas: str) -> None:
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _begin_read(connection: Connection) -> None:
    """Begin a transaction that reads; ``Database.write`` begins those that write."""
    if not connection.get_execution_options().get("veo_writes"):
        connection.exec_driver_sql("BEGIN")


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        raise _ledger_error(path, getattr(error, "orig", error)) from error
    except UnicodeEncodeError:  # an argument or a name from the file system
        raise UsageError("a text contains bytes that are not UTF-8") from None
    except OSError as error:
        raise LedgerError(
            f"cannot use the ledger {path}: {error.strerror or error}", hint=FOLDER_HINT
        ) from error


def _ledger_error(path: Path, error: BaseException | None) -> LedgerError:
    text = str(error)
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in text:
        return LedgerError(f"the ledger {path} is closed, and so is the client that had it open")
    if not isinstance(error, sqlite3.OperationalError):
        return DamagedLedgerError(f"the ledger {path} is damaged: {text}")
    remedies: tuple[Remedy, ...] = ()
    # SQLite's own texts: "database or disk is full", "database is locked".
    if "full" in text:
        hint, remedies = "Free some disk space, then resume the jobs.", (Remedy("resume"),)
    elif "I/O" in text:  # also of a disk with no room for the file that processes share
        hint = "Free some disk space, or set VEO_HOME to a folder on another disk."
    else:
        hint = FOLDER_HINT
        if "locked" in text:
            holder = files.describe_holder(path) or "another program"
            text = f"{text} by {holder}"
            hint = "End that process, or let it continue, and try again. Reading needs no lock."
    return LedgerError(f"cannot use the ledger {path}: {text}", hint=hint, remedies=remedies)
