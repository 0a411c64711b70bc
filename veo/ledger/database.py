"""The database under the ledger: opened, tuned, and written by one transaction at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError

from veo.errors import LedgerError
from veo.ledger.migrations import apply_migrations
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

BUSY_S = 30
READER_CACHE = "cache_size=-256"  # KiB; with 2 MB, as usual, readers weigh more than the jobs
WRITER_CACHE = "cache_size=-2000"
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


class Database:
    """SQLite in one folder, private to its user (folder 0700, files 0600).

    Threads that write at the same time share a commit: each runs its statements under a savepoint
    of one open transaction, then waits until a commit, its own or a neighbour's, has covered them.
    The driver is told so itself: through SQLAlchemy it costs more than all the statements.

    Raises:
        LedgerError: The folder or the file cannot be used, or a newer version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self._statements = threading.Lock()
        self._commits = threading.Lock()
        self._executed = 0
        self._committed = 0
        self._failures: list[tuple[range, BaseException]] = []
        with _translate_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            folder.chmod(PRIVATE_FOLDER)
            # SQLite gives its journal files the mode of the database file.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE))
        settings = {"timeout": BUSY_S, "check_same_thread": False}
        self._engine = create_engine(f"sqlite:///{self.path}", connect_args=settings)
        event.listen(self._engine, "connect", _configure_connection)
        event.listen(self._engine, "begin", _begin_read)
        with _translate_errors(self.path):
            self._writer = self._engine.connect().execution_options(veo_writes=True)
            self._driver: Any = self._writer.connection.driver_connection
            _set_pragmas(self._driver, WRITER_CACHE)
        with self.write() as connection:
            apply_migrations(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Statements that are on disk, all of them, when it returns; none after an exception."""
        with _translate_errors(self.path):
            with self._statements:
                try:
                    self._begin_statements()
                    yield self._writer
                    self._driver.execute("RELEASE statements")
                except BaseException as error:
                    self._undo_statements(error)
                    raise
                self._executed += 1
                mine = self._executed
            self._ensure_committed(mine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, and blocks no writer."""
        with _translate_errors(self.path), self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        with self._statements:
            self._writer.close()
        self._engine.dispose()

    def _begin_statements(self) -> None:
        if not self._driver.in_transaction:
            self._driver.execute("BEGIN IMMEDIATE")
        self._driver.execute("SAVEPOINT statements")

    def _ensure_committed(self, mine: int) -> None:
        """Make what ran up to number ``mine`` durable, unless a neighbour already has."""
        with self._commits:
            if self._committed < mine:
                with self._statements:
                    self._commit_all()
        for numbers, error in self._failures:
            if mine in numbers:
                raise error

    def _commit_all(self) -> None:
        try:
            self._driver.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - each of the waiting raises it as its own
            self._record_failure(error)
            self._driver.rollback()
        self._committed = self._executed

    def _undo_statements(self, error: BaseException) -> None:
        """After statements that failed: keep the neighbours', if SQLite has, and no lock."""
        alive = self._driver.in_transaction
        if self._executed > self._committed and alive:
            self._driver.execute("ROLLBACK TO statements")
            self._driver.execute("RELEASE statements")
            return
        if not alive:  # a full disk makes SQLite drop the neighbours' statements as well
            self._record_failure(error)
        self._driver.rollback()
        self._committed = self._executed

    def _record_failure(self, error: BaseException) -> None:
        self._failures = [
            *self._failures[-8:],
            (range(self._committed + 1, self._executed + 1), error),
        ]


def _configure_connection(connection: Any, _: Any) -> None:
    # The driver must not begin transactions by itself: `_begin` does, with the right lock.
    connection.isolation_level = None
    _set_pragmas(
        connection, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", READER_CACHE
    )


def _set_pragmas(connection: Any, *pragmas: str) -> None:
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _begin_read(connection: Connection) -> None:
    """What only reads sees one moment; what writes is begun by the database, with its lock."""
    if not connection.get_execution_options().get("veo_writes"):
        connection.exec_driver_sql("BEGIN")


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        raise _ledger_error(path, getattr(error, "orig", error)) from error
    except OSError as error:
        raise LedgerError(
            f"the ledger {path}: {error.strerror or error}",
            hint="Set VEO_HOME to a folder that can be written.",
        ) from error


def _ledger_error(path: Path, error: BaseException | None) -> LedgerError:
    if isinstance(error, sqlite3.OperationalError):
        return _operational_error(path, str(error))
    return LedgerError(
        f"the ledger {path} is damaged: {error}",
        hint="Move it away, or set VEO_HOME to another folder.",
    )


def _operational_error(path: Path, text: str) -> LedgerError:
    remedies: tuple[Remedy, ...] = ()
    if "full" in text:
        hint, remedies = "Free some disk space, then resume the jobs.", (Remedy("resume"),)
    elif "locked" in text:
        hint = "Another program holds it; try again."
    else:
        hint = "Set VEO_HOME to a folder that can be written."
    return LedgerError(f"the ledger {path}: {text}", hint=hint, remedies=remedies)
