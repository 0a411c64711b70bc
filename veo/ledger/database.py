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

    Raises:
        LedgerError: The folder or the file cannot be used, or a newer version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self._writing = threading.Lock()
        with _explained(self.path):
            folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            folder.chmod(PRIVATE_FOLDER)
            # SQLite gives its journal files the mode of the database file.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE))
        self._engine = create_engine(f"sqlite:///{self.path}", connect_args={"timeout": BUSY_S})
        event.listen(self._engine, "connect", _tune)
        event.listen(self._engine, "begin", _begin)
        with self.write() as connection:
            migrate(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that writes; on disk when it returns."""
        with _explained(self.path), self._writing, self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, and blocks no writer."""
        with _explained(self.path), self._engine.connect() as connection:
            yield connection.execution_options(veo_reads=True)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


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
