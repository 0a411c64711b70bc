"""A Postgres database under the ledger, for processes on many machines."""

from __future__ import annotations

import logging
import math
import selectors
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from veo.errors import LedgerError
from veo.ledger import schema
from veo.ledger.database import PATIENCE_S
from veo.ledger.locks import lock
from veo.ledger.migrations import apply_migrations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.config.ledger_url import LedgerUrl

OLDEST_VERSION = 13  # the oldest that PGQueuer supports
POOL_SIZE = 16  # connections of a process at most; Postgres allows 100 by default
CONNECT_TIMEOUT_S = 10
PING_TIMEOUT_S = 2  # the least that libpq knows; it keeps all Python code from running meanwhile
POOL_TIMEOUT_S = 30.0  # for a free connection of the pool
RETRY_S = 0.5
MAX_IDLE_MS = 10_000  # inside a transaction; well under the time in which a job is taken over
_EXTRA_HINT = 'Install it with: pip install "veo-video[cluster]"'
_log = logging.getLogger(__name__)

# ``schema`` states the condition of a partial index for SQLite only; see there.
for _index in schema.jobs.indexes:
    if _index.dialect_options["sqlite"]["where"] is not None:
        _index.dialect_kwargs["postgresql_where"] = _index.dialect_options["sqlite"]["where"]


class PostgresDatabase:
    """A Postgres database; the same interface as ``Database``, which is on SQLite.

    Attributes:
        patience_s: Seconds for which a server is waited for that accepts no connections.

    Raises:
        LedgerError: The server cannot be reached or is too old, the driver is not installed, or
            a newer version of veo wrote the ledger.
    """

    lease_s = 20.0  # the jobs of a worker that dies must continue within half a minute

    def __init__(self, url: LedgerUrl, patience_s: float = PATIENCE_S) -> None:
        self.url = url
        self.patience_s = patience_s
        # Held by a thread that waits for the lock of a provider. Of a process that is frozen each
        # transaction would get that lock in its turn, and hold it until the server ends it.
        self.turn = threading.Lock()
        self._has_connected = self._is_wait_reported = False
        self._engine = _create_engine(url)
        event.listen(self._engine, "connect", _limit_idle_time)
        event.listen(self._engine, "checkout", _check_connection)
        # Queries of one transaction see one moment; writers lock what they read.
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._once = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self.clock_offset_s = 0.0
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def find_damage() -> list[str]:
        """Return nothing: the server checks its own files."""
        return []

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run statements as one transaction: committed at the end, undone after an exception."""
        with (
            self._translate_errors(),
            self._connect(self._engine) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run queries in one transaction, which sees one moment and blocks no writer."""
        with self._translate_errors(), self._connect(self._reader) as connection:
            yield connection

    @contextmanager
    def read_once(self) -> Iterator[Connection]:
        """Run a single query, without the two exchanges that a transaction takes."""
        with self._translate_errors(), self._connect(self._once) as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self._translate_errors(), self._connect(self._engine) as connection:
            _check_version(self.url, connection)
            # The clocks of machines differ, and leases and limits compare the times of all.
            self.clock_offset_s = _read_clock(connection) - time.time()
        with self.write() as connection:
            lock(connection, "migrations")
            apply_migrations(connection)

    def _connect(self, engine: Engine) -> Connection:
        """Connect; wait while the server restarts, or is not reachable for a moment."""
        begun_at = time.monotonic()
        while True:
            try:
                connection = engine.connect()
            except OperationalError as error:
                if time.monotonic() > begun_at + self.patience_s:
                    raise
                if not self._has_connected and not _may_accept_later(self.url, error):
                    return engine.connect()  # it may have begun to accept since it was asked
                self._report_wait(error)
                time.sleep(RETRY_S)
            else:
                self._has_connected, self._is_wait_reported = True, False
                return connection

    def _report_wait(self, error: OperationalError) -> None:
        """Log once what is waited for; many threads may wait."""
        if not self._is_wait_reported:
            self._is_wait_reported = True
            limit = "" if self.patience_s == math.inf else f" for at most {self.patience_s:.0f} s"
            reason = _describe_cause(self.url, error)
            _log.warning("waiting%s for the ledger %s: %s", limit, self.url, reason)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        from psycopg import Error  # noqa: PLC0415 - of an extra

        try:
            yield
        # Statements that go to the driver directly raise its own errors.
        except (DBAPIError, PoolTimeoutError, Error) as error:
            raise _ledger_error(self.url, error) from None  # a driver's error may name the URL


def _create_engine(url: LedgerUrl) -> Engine:
    try:
        parsed = make_url(url.reveal()).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):  # both repeat the URL
        raise LedgerError(f"{url} is not a valid URL of a database") from None
    try:
        return create_engine(
            parsed,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "veo"},
        )
    except ImportError as error:
        raise LedgerError(
            f"the ledger {url} needs packages that are not installed: {error}", hint=_EXTRA_HINT
        ) from None


def _may_accept_later(url: LedgerUrl, error: OperationalError) -> bool:
    """Return whether waiting may help where no connection has been possible yet.

    A wrong password or name stays wrong. psycopg gives no code for such an error, and its text is
    in the language of the server; but libpq can tell whether a server accepts connections.
    """
    from psycopg import conninfo, errors, pq  # noqa: PLC0415 - of an extra

    if isinstance(error.orig, errors.ConnectionTimeout):
        return True
    if str(error.orig).startswith("failed to resolve host"):  # a text of psycopg itself
        return False
    address = conninfo.make_conninfo(url.reveal(), connect_timeout=PING_TIMEOUT_S)
    return pq.PGconn.ping(address.encode()) in {pq.Ping.REJECT, pq.Ping.NO_RESPONSE}


def _check_version(url: LedgerUrl, connection: Connection) -> None:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    if version < OLDEST_VERSION:
        raise LedgerError(
            f"the ledger {url} is on Postgres {version}",
            hint=f"Use Postgres {OLDEST_VERSION} or newer.",
        )


def _read_clock(connection: Connection) -> float:
    seconds = text("SELECT extract(epoch FROM clock_timestamp())")
    return float(connection.execute(seconds).scalar_one())


def _limit_idle_time(connection: Any, _: Any) -> None:
    """Have the server end a transaction whose process was frozen: its locks would stop all others.

    No transaction waits for anything but the database.
    """
    connection.execute(f"SET idle_in_transaction_session_timeout = {MAX_IDLE_MS}")
    connection.commit()


def _check_connection(connection: Any, _: Any, __: Any) -> None:
    """Have the pool replace a connection that the server has closed, by a restart for example.

    An idle connection receives nothing but that news, so no query is needed to notice it.
    """
    if connection.closed:
        raise DisconnectionError
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        if selector.select(0):
            raise DisconnectionError


def _describe_cause(url: LedgerUrl, error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return url.redact(lines[0] if lines else type(cause).__name__)


def _ledger_error(url: LedgerUrl, error: Exception) -> LedgerError:
    import psycopg  # noqa: PLC0415 - of an extra

    reason = _describe_cause(url, error)
    if isinstance(error, OperationalError | PoolTimeoutError | psycopg.OperationalError):
        return LedgerError(
            f"cannot use the ledger {url}: {reason}",
            hint="Is the server running, and does it accept this user? Jobs can be resumed later.",
        )
    return LedgerError(f"the ledger {url} failed: {reason}")
