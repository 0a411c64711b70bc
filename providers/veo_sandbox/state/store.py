"""One SQLite file per home, shared by every process that serves the home."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

# `unsettled` keeps the check for due tasks cheap; `bills` is unique per task and state.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL UNIQUE,
    due_at REAL NOT NULL, settled INTEGER NOT NULL, facts TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS unsettled ON tasks (due_at) WHERE settled = 0;
CREATE TABLE IF NOT EXISTS bills (
    n INTEGER PRIMARY KEY, task TEXT NOT NULL, route TEXT NOT NULL, model TEXT NOT NULL,
    amount INTEGER NOT NULL, state TEXT NOT NULL, at REAL NOT NULL, UNIQUE (task, state));
CREATE TABLE IF NOT EXISTS referred (file TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    task TEXT NOT NULL, mark TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (task, mark)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, session TEXT NOT NULL UNIQUE, facts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (task TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rules (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (
    rule INTEGER NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (rule, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leaks (n INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""


class Store:
    """One connection to `home/sandbox.db`; may be used from any thread of the process."""

    def __init__(self, home: Path) -> None:
        # Prompts and images are private. A folder that somebody else made keeps its mode.
        is_own = not home.exists() or (home / "sandbox.db").exists()
        home.mkdir(parents=True, exist_ok=True)
        if is_own:
            home.chmod(0o700)
        # Reentrant: a transaction holds it while the statements inside take it again.
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            # Transactions are begun by hand, as IMMEDIATE; Python's own would begin as readers.
            home / "sandbox.db",
            isolation_level=None,
            check_same_thread=False,
            timeout=30,
        )
        # What is committed survives a killed process; a power cut could lose play money.
        self._db.execute("PRAGMA synchronous = OFF")
        # Two processes may open a new home at once, and a change of journal mode does not wait.
        if self._db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            with FileLock(home / "sandbox.lock"):
                self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction, alone among all processes of this home."""
        with self._lock:
            # A deferred transaction that turns into a writer can fail instead of waiting.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def fetch_rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def execute(self, sql: str, *values: object) -> int:
        """Run a statement and return how many rows it changed."""
        with self._lock:
            return self._db.execute(sql, values).rowcount

    def data_version(self) -> int:
        """Return a number that changes when another process has written."""
        return int(self.fetch_rows("PRAGMA data_version")[0][0])

    def get_setting(self, key: str, default: Any) -> Any:
        rows = self.fetch_rows("SELECT value FROM settings WHERE key = ?", key)
        return json.loads(rows[0][0]) if rows else default

    def put_setting(self, key: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", key, json.dumps(value))

    def close(self) -> None:
        """Close the file; the last process to close it also merges the write-ahead log."""
        with self._lock:
            self._db.close()
