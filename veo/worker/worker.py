"""``veo worker``: PGQueuer says which job is due, ``engine.step`` what happens to it.

PGQueuer may hand a job out twice, forget it, or hand it out while its worker is frozen. What counts
is in the ledger; see ``ledger.queue``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from veo.engine.dispatcher import new_event_loop
from veo.errors import LedgerError, VeoError
from veo.ledger.heartbeat import WorkerLease
from veo.ledger.locks import lock
from veo.ledger.queue import is_idle, is_installed, list_unqueued
from veo.worker.steps import StepTaker, describe_error

if TYPE_CHECKING:
    from veo.ledger.limits import Limits
    from veo.session import Session

ENTRYPOINT = "veo.step"
# PGQueuer hands a job out again whose worker has sent no heartbeat for so long. A request that
# is being sent is protected by the lease of its worker, which is a little longer.
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
# How often PGQueuer is asked at least: it notifies a worker of new jobs, but not of those that
# steps have put back or a dead worker has left.
DEQUEUE_TIMEOUT = timedelta(seconds=0.5)
QUEUE_INTERVAL_S = 0.5  # between two looks for jobs that PGQueuer should have
CLEAN_INTERVAL_S = 60.0
RESTART_S = 1.0  # before the queue is opened again after an error, for example a restart
# How long a worker that is stopped waits for responses to paid requests. With the second after it
# the jobs are released within 5 s; Docker kills after 10 s.
STOP_GRACE_S = 3.0
STOP_WRITE_S = 1.0  # for the note in the ledger that no response has come
# PGQueuer logs two rows of a kilobyte for each step, and nothing here reads them.
LOG_AGE = "10 minutes"
_log = logging.getLogger(__name__)


class Worker:
    """Takes steps of the jobs of a ledger until it is stopped.

    Args:
        session: A session on a ledger on Postgres.
        slots: Steps at the same time. A job that waits takes none.
        until_idle: End when nothing is left to do.
        grace_s: Seconds for responses to paid requests after ``stop``.
    """

    def __init__(
        self,
        session: Session,
        slots: int,
        *,
        until_idle: bool = False,
        grace_s: float = STOP_GRACE_S,
    ) -> None:
        if session.config.ledger is None:
            raise LedgerError(
                "a worker needs a ledger on Postgres",
                hint='Set ledger = "postgresql://..." or VEO_LEDGER.',
            )
        self._url = session.config.ledger.reveal()
        self._session, self._ledger = session, session.ledger
        self._slots, self._until_idle = slots, until_idle
        self.lease = WorkerLease(session.ledger)
        self.taker = StepTaker(session, self.lease.id)
        self.taker.context.stop_grace_s = self._grace_s = grace_s
        self.stats = WorkerStats()
        self._stopping = asyncio.Event()
        self._is_queue_reported = False
        self._queue: Any = None  # PGQueuer's, as soon as it has been opened

    async def run(self) -> None:
        """Take steps until ``stop`` is called, or nothing is left to do."""
        logging.getLogger("pgqueuer").setLevel(logging.ERROR)  # each step is logged otherwise
        limits = await self._in_thread(self._read_limits)
        feeder = asyncio.create_task(self._feed_queue(limits))
        try:
            while not self._stopping.is_set():
                try:
                    await self._run_queue()
                except Exception as error:  # noqa: BLE001 - a restart of the server, for one
                    if not self._queue and _is_refused(error):
                        reason = f"the ledger refuses the queue: {describe_error(error)}"
                        raise LedgerError(reason) from None
                    self._report_queue(error)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), RESTART_S)
        finally:
            self._stopping.set()
            await feeder
            await self._in_thread(self._close)

    def stop(self) -> None:
        """Release all jobs, and let ``run`` return within a few seconds."""
        if self._stopping.is_set():  # a second signal does not make the wait longer
            return
        self._stopping.set()
        # What cannot be stored in this time is kept beside the ledger, or found out by others.
        self._ledger.database.patience_s = STOP_WRITE_S
        self.taker.context.stopped_at = self.taker.context.timer()
        if self._queue:
            self._queue.shutdown.set()

    async def _run_queue(self) -> None:
        import asyncpg  # noqa: PLC0415 - of an extra

        pool = asyncpg.create_pool(self._url, min_size=2, max_size=6, reset=_keep_session)
        opening = asyncio.ensure_future(pool)
        await self._wait_for(opening)
        if not opening.done():
            opening.cancel()
            return
        async with await opening:
            await self._open_queue(pool)
            if self._stopping.is_set():
                return
            batch = max(1, min(10, self._slots // 2))
            await self._queue.run(
                batch_size=batch,
                max_concurrent_tasks=max(2, self._slots),
                dequeue_timeout=DEQUEUE_TIMEOUT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                log_aggregation_interval=timedelta(0),
            )

    async def _open_queue(self, pool: Any) -> None:
        from pgqueuer import PgQueuer  # noqa: PLC0415 - of an extra
        from pgqueuer.queries import Queries  # noqa: PLC0415 - of an extra

        self._is_queue_reported = False
        self._queue = PgQueuer.from_asyncpg_pool(pool)
        async with pool.acquire() as connection:
            await _install(connection, Queries.from_asyncpg_connection(connection))
        # The same whenever the queue is opened, so that `veo workers` can tell whose steps they
        # are.
        self._queue.qm.queue_manager_id = manager_id(self.lease.id)
        self._queue.entrypoint(ENTRYPOINT, accepts_context=False)(self._handle)

    async def _handle(self, handed_out: Any) -> None:
        """Take a step of the job that is handed out; raise when PGQueuer shall call again."""
        late_s = (datetime.now(UTC) - handed_out.execute_after).total_seconds()
        job_id = json.loads(handed_out.payload)["job"]
        try:
            wait_s = await self._take_step(job_id)
        except Exception:  # noqa: BLE001 - PGQueuer would drop the job
            _log.exception("job %s", job_id)
            wait_s = RESTART_S
            self.stats.errors += 1
        self.stats.add_step(late_s - self._ledger.database.clock_offset_s)
        if wait_s is not None:
            raise _make_reschedule()(delay=timedelta(seconds=wait_s))

    async def _take_step(self, job_id: str) -> float | None:
        """Take a step; after a request to stop, leave it to another worker unless money moves."""
        if self._stopping.is_set():
            return 0.0
        task = asyncio.create_task(self.taker.take_step(job_id))
        await self._wait_for(task)
        if not task.done() and self.taker.may_be_paid(job_id):
            await asyncio.wait({task}, timeout=self._grace_s + STOP_WRITE_S)
        if task.done():
            return task.result()
        task.cancel()
        return 0.0

    async def _wait_for(self, task: asyncio.Future[Any]) -> None:
        """Wait until a task is done, or the worker is stopped."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    def _report_queue(self, error: Exception) -> None:
        """Log once that the queue is opened again, which fails often while the database is down."""
        if not self._is_queue_reported:
            self._is_queue_reported = True
            _log.warning("the queue is opened again: %s", describe_error(error))

    async def _feed_queue(self, limits: dict[str, Limits]) -> None:
        """Hand jobs to PGQueuer that it should have; end when nothing is left, if so asked."""
        cleaned_at = -CLEAN_INTERVAL_S
        while not self._stopping.is_set():
            try:
                await self._in_thread(self._enqueue_jobs, limits)
                if time.monotonic() > cleaned_at + CLEAN_INTERVAL_S:
                    cleaned_at = time.monotonic()
                    await self._in_thread(self._clean_log)
                if self._until_idle and await self._in_thread(is_idle, self._ledger, limits):
                    self.stop()
            except VeoError as error:
                _log.warning("%s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), QUEUE_INTERVAL_S)

    def _enqueue_jobs(self, limits: dict[str, Limits]) -> None:
        from pgqueuer.adapters.persistence.qb import (  # noqa: PLC0415 - of an extra
            QueryQueueBuilder,
        )
        from psycopg import RawCursor  # noqa: PLC0415 - of an extra

        with self._ledger.database.write() as connection:
            if not is_installed(connection):
                return
            lock(connection, "queue")  # else several workers find the same jobs
            ids = list_unqueued(connection, self._ledger, limits)
            if not ids:
                return
            payloads = [json.dumps({"job": each}).encode() for each in ids]
            columns = ([0] * len(ids), [ENTRYPOINT] * len(ids), payloads)
            delays = [timedelta(0)] * len(ids)
            statement = QueryQueueBuilder().build_enqueue_query("skip")
            driver: Any = connection.connection.driver_connection
            RawCursor(driver).execute(statement, (*columns, delays, ids, ["{}"] * len(ids)))

    def _clean_log(self) -> None:
        with self._ledger.database.write() as connection:
            if is_installed(connection):
                condition = f"created < now() - interval '{LOG_AGE}'"
                connection.execute(text(f"DELETE FROM pgqueuer_log WHERE {condition}"))  # noqa: S608 - constants

    def _read_limits(self) -> dict[str, Limits]:
        """Return the limits of the providers that this worker has keys for."""
        limits = {}
        for name in self._session.providers():
            with contextlib.suppress(VeoError):
                limits[name] = self._session.connect(name).limiter.limits
        return limits

    def _close(self) -> None:
        threads = self.taker.context.threads
        threads.write.close(wait=True)
        for pool in (threads.submit, threads.download):
            pool.close(wait=False)
        # Jobs that are still being sent keep this worker as their owner, which is not alive any
        # more: another one finds out what became of them.
        self.lease.close(release=False)

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await self.taker.context.threads.write.run(function, *args)


@dataclass(slots=True)
class WorkerStats:
    """What a worker has done, for its metrics."""

    steps: int = 0
    errors: int = 0
    late_s: float = 0.0  # sum over all steps
    most_late_s: float = 0.0

    def add_step(self, late_s: float) -> None:
        self.steps += 1
        self.late_s += max(0.0, late_s)
        self.most_late_s = max(self.most_late_s, late_s)


@cache
def _make_reschedule() -> Any:
    """Return the exception that tells PGQueuer when the next step is due."""
    from pgqueuer.errors import RetryRequested  # noqa: PLC0415 - of an extra

    # PGQueuer formats and stores the traceback of each, which takes a quarter of a worker's time.
    return type("Reschedule", (RetryRequested,), {"__traceback__": None})


def manager_id(worker: str) -> uuid.UUID:
    """Return the id under which PGQueuer knows a worker."""
    return uuid.uuid5(uuid.NAMESPACE_OID, worker)


async def _keep_session(_: Any) -> None:
    """Return a connection to the pool as it is: a reset costs as much as the statement before."""


async def _install(connection: Any, queries: Any) -> None:
    """Make or upgrade PGQueuer's tables; one worker at a time."""
    await connection.execute("SELECT pg_advisory_lock(hashtext('veo install'))")
    try:
        if await queries.schema_is_installed():
            await queries.upgrade()
        else:
            await queries.install()
    finally:
        await connection.execute("SELECT pg_advisory_unlock(hashtext('veo install'))")


def _is_refused(error: Exception) -> bool:
    """Whether the server refuses a password, a role or a database; waiting does not help."""
    return str(getattr(error, "sqlstate", ""))[:2] in {"28", "3D"}


def run_until_stopped(worker: Worker) -> None:
    """Run a worker on an event loop of its own; SIGTERM and SIGINT stop it."""
    import signal  # noqa: PLC0415 - only a process that is a worker handles signals

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, worker.stop)
        await worker.run()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())
