"""The database under the ledger: opened, tuned, and written by one transaction at a time."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from veo.errors import LedgerError
from veo.ledger.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

BUSY_S = 30
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


class Database:
    """SQLite in one folder, private to its user (folder 0700, files 0600).

    Threads that write at the same time share a commit: each runs its statements under a savepoint
    of one open transaction, then waits until a commit, its own or a neighbour's, has covered them.

    Raises:
        LedgerError: The folder or the file cannot be used, or a newer version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self._statements = threading.Lock()
        self._commits = threading.Lock()
        self._ran = 0
        self._settled = 0
        self._lost: list[tuple[range, BaseException]] = []
        with _explained(self.path):
            folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            folder.chmod(PRIVATE_FOLDER)
            # SQLite gives its journal files the mode of the database file.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE))
        settings = {"timeout": BUSY_S, "check_same_thread": False}
        self._engine = create_engine(f"sqlite:///{self.path}", connect_args=settings)
        event.listen(self._engine, "connect", _tune)
        event.listen(self._engine, "begin", _begin)
        with _explained(self.path):
            self._writer = self._engine.connect()
        with self.write() as connection:
            migrate(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Statements that are on disk, all of them, when it returns; none after an exception."""
        with _explained(self.path):
            with self._statements:
                try:
                    with _savepoint(self._writer):
                        yield self._writer
                except BaseException as error:
                    self._undo(error)
                    raise
                self._ran += 1
                mine = self._ran
            self._commit(mine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, and blocks no writer."""
        with _explained(self.path), self._engine.connect() as connection:
            yield connection.execution_options(veo_reads=True)

    def close(self) -> None:
        """Close every connection."""
        with self._statements:
            self._writer.close()
        self._engine.dispose()

    def _commit(self, mine: int) -> None:
        """Make what ran up to number ``mine`` durable, unless a neighbour already has."""
        with self._commits:
            if self._settled < mine:
                with self._statements:
                    self._commit_all()
        for numbers, error in self._lost:
            if mine in numbers:
                raise error

    def _commit_all(self) -> None:
        try:
            self._writer.commit()
        except BaseException as error:  # noqa: BLE001 - each of the waiting raises it as its own
            self._lose(error)
            self._writer.rollback()
        self._settled = self._ran

    def _undo(self, error: BaseException) -> None:
        """After statements that failed: keep the neighbours', if SQLite has, and no lock."""
        alive = _raw(self._writer).in_transaction
        if self._ran > self._settled and alive:
            return
        if not alive:  # a full disk makes SQLite drop the neighbours' statements as well
            self._lose(error)
        self._writer.rollback()
        self._settled = self._ran

    def _lose(self, error: BaseException) -> None:
        self._lost = [*self._lost[-8:], (range(self._settled + 1, self._ran + 1), error)]


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    connection.exec_driver_sql("SAVEPOINT statements")
    try:
        yield
    except BaseException:
        if _raw(connection).in_transaction:
            connection.exec_driver_sql("ROLLBACK TO statements")
            connection.exec_driver_sql("RELEASE statements")
        raise
    connection.exec_driver_sql("RELEASE statements")


def _raw(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _tune(connection: Any, _: Any) -> None:
    # The driver must not begin transactions by itself: `_begin` does, with the right lock.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("veo_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise LedgerError(
            f"the ledger {path}: {error.orig}", hint=_hint(str(error.orig))
        ) from error
    except DatabaseError as error:
        raise LedgerError(
            f"the ledger {path} is damaged: {error.orig}",
            hint="Move it away, or set VEO_HOME to another folder.",
        ) from error
    except OSError as error:
        raise LedgerError(
            f"the ledger {path}: {error.strerror or error}",
            hint="Set VEO_HOME to a folder that can be written.",
        ) from error


def _hint(text: str) -> str:
    if "full" in text:
        return "Free some disk space, then `veo resume`."
    if "locked" in text:
        return "Another program holds it; try again."
    return "Set VEO_HOME to a folder that can be written."
