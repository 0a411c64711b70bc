"""One step of a job that the queue hands out: read it, take the step, say when to call again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from veo.engine.context import WAIT_FOR_CAPACITY, ActiveJob, ProviderHandle, StepContext
from veo.engine.rate_limit import SLOT_RETRY_S, RateLimiter
from veo.engine.step import step
from veo.errors import LeaseLostError, LedgerError, VeoError
from veo.ledger.heartbeat import find_dead_workers
from veo.ledger.queue import park_job
from veo.ledger.record import LIVE, QUEUE, State

if TYPE_CHECKING:
    from collections.abc import Hashable

    from veo.ledger import Record
    from veo.ledger.limits import Admission
    from veo.session import Session

BUSY_RETRY_S = 5.0  # after finding a job that another worker may be sending
LEDGER_RETRY_S = 2.0  # after a step that failed because of the database
LOST_RETRY_S = 0.1  # after another worker changed the job: its row says how to go on
_log = logging.getLogger(__name__)


class LedgerLimiter(RateLimiter):
    """Lets every job ask the ledger: those in flight are the jobs of all workers."""

    def try_acquire(self, job: Hashable) -> bool:  # noqa: ARG002 - as in the base class
        return True

    def on_admitted(self, job: Hashable, admission: Admission) -> None:  # noqa: ARG002 - likewise
        self.set_capacity(admission.capacity)

    def on_refused(self, job: Hashable, admission: Admission) -> float:  # noqa: ARG002 - likewise
        self.set_capacity(admission.capacity)
        return SLOT_RETRY_S if admission.wait_s is None else admission.wait_s

    def restore(self, job: Hashable) -> None:
        """Do nothing: the ledger counts the jobs in flight."""

    def release(self, job: Hashable) -> None:
        """Do nothing: the ledger counts the jobs in flight."""


class StepTaker:
    """Takes steps of jobs, several at the same time.

    What a process knows of a job beyond its row (failures in a row, progress) is kept for the next
    step that the queue hands to this worker.
    """

    def __init__(self, session: Session, worker: str) -> None:
        self._session = session
        self._ledger = session.ledger
        self.worker = worker
        self.context = StepContext(
            session.ledger,
            session.images,
            self._connect,
            session.ledger.clock,
            queue_worker=worker,
            parts_folder=session.home / "parts",
        )
        self._jobs: dict[str, ActiveJob] = {}
        self._running: set[str] = set()

    def may_be_paid(self, job_id: str) -> bool:
        """Whether this worker sends a paid request of the job, or may be about to."""
        job = self._jobs.get(job_id)
        if job is None or job_id not in self._running:
            return False
        return job.record.is_being_sent or job.record.state is State.PLANNED

    async def take_step(self, job_id: str) -> float | None:
        """Take one step. Return the seconds until the next one; None if there is none."""
        if job_id in self._running:  # the queue lost its heartbeat, and handed the job out again
            return BUSY_RETRY_S
        self._running.add(job_id)
        try:
            return await self._take_step(job_id)
        except LedgerError as error:
            _log.warning("job %s: %s", job_id, error)
            return LEDGER_RETRY_S
        finally:
            self._running.discard(job_id)

    async def _take_step(self, job_id: str) -> float | None:
        record = await self.context.threads.write.run(self._read_job, job_id)
        if record is None:
            self._jobs.pop(job_id, None)
            return None
        if record.owner not in {QUEUE, self.worker}:
            return BUSY_RETRY_S
        job = self._jobs.setdefault(job_id, ActiveJob(record))
        job.record, job.error = record, None
        when = await step(self.context, job)
        if when == WAIT_FOR_CAPACITY:
            return SLOT_RETRY_S
        if when is not None:
            return max(0.0, when - self.context.timer())
        return await self.context.threads.write.run(self._end_work, job)

    def _read_job(self, job_id: str) -> Record | None:
        """Return a job that this worker or another one continues; None if none does."""
        record = self._ledger.read_job(job_id)
        if record is None or record.state not in LIVE or record.owner is None:
            return None
        if record.owner in {QUEUE, self.worker}:
            return record
        now = self._ledger.clock()
        if not find_dead_workers(self._ledger, {record.owner}, now):
            return record
        taken = self._ledger.take_leases([record], QUEUE)
        return taken[0] if taken else record

    def _end_work(self, job: ActiveJob) -> float | None:
        """Return when a job that wants no other step now is tried again; None for never."""
        record, error = job.record, job.error
        if isinstance(error, LeaseLostError):
            return self._follow_row(record)
        if isinstance(error, LedgerError):
            return LEDGER_RETRY_S
        self._jobs.pop(record.id, None)
        if error and record.state is State.UNKNOWN:
            _log.warning("job %s is unknown: %s", record.id, error)
        if error and record.state in LIVE:
            _log.warning("job %s is parked: %s", record.id, error)
            current = self._ledger.list_jobs(ids=[record.id])[0]
            park_job(self._ledger, current, error)
        return None

    def _follow_row(self, record: Record) -> float | None:
        """Continue with what the row says, after the write of another process."""
        current = self._ledger.list_jobs(ids=[record.id])[0]
        if current.state in LIVE and current.owner is None and current.task_id:
            history = self._ledger.read_history(record.id)
            # The response came after others had given the job up: its task is known now.
            if history[-1].kind == "late response":
                self._ledger.take_leases([current], QUEUE)
        return LOST_RETRY_S

    def _connect(self, provider: str) -> ProviderHandle:
        handle = self._session.connect(provider)
        if not isinstance(handle.limiter, LedgerLimiter):
            handle.limiter = LedgerLimiter(handle.limiter.limits)
        return handle


def describe_error(error: BaseException) -> str:
    """Return one line about an error of the queue, which has no password in it."""
    return error.message if isinstance(error, VeoError) else type(error).__name__
