"""The jobs in the hands of this process: leased, worked on, or followed while another has them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from veo.engine.context import ActiveJob, StepContext
from veo.engine.dispatcher import Engine
from veo.errors import VeoError
from veo.job import Job
from veo.ledger import IN_FLIGHT, State
from veo.ledger.heartbeat import WorkerLease, find_dead_workers
from veo.runtime.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from veo.ledger import Record


class JobRunner:
    """What this process works on.

    Args:
        context: What the steps of a job's life share.
        patience: Seconds to wait for a job from its submit on, unless a call says otherwise.
    """

    def __init__(self, context: StepContext, patience: float) -> None:
        self._context = context
        self._ledger = context.ledger
        self._patience = patience
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._worker: WorkerLease | None = None
        self._engine: Engine | None = None
        self._follower: Follower | None = None

    @property
    def worker(self) -> str:
        """The identity under which leases are held."""
        with self._lock:
            self._worker = self._worker or WorkerLease(self._ledger)
            return self._worker.id

    def take_leases(self, records: Sequence[Record]) -> list[Record]:
        """Those of the jobs that nobody works on, now held by this process."""
        owners = {record.owner for record in records if record.owner}
        gone = find_dead_workers(self._ledger, owners - {self.worker}, time.time())
        free = [record for record in records if record.owner is None or record.owner in gone]
        return self._ledger.take_leases(free, self.worker) if free else []

    def work_on(self, records: Iterable[Record], timeout: float | None = None) -> list[Job]:
        """Begin to work on jobs whose lease this process holds."""
        jobs = [self._handle(record, timeout) for record in records]
        for job in jobs:
            self._begin(job.work)
        return jobs

    def work_on_or_follow(
        self, records: Sequence[Record], timeout: float | None = None
    ) -> list[Job]:
        """Work on those jobs that nobody works on, follow the others until that changes."""
        leased = {record.id: record for record in self.take_leases(records)}
        jobs = [self._handle(leased.get(record.id, record), timeout) for record in records]
        for job in jobs:
            if job.id in leased:
                self._begin(job.work)
            else:
                self._following().add(job.work)
        return jobs

    def median_s(self, provider: str, model: str) -> float:
        """Seconds that a model usually takes, learned from the ledger's past."""
        return self._context.learn_durations(provider, model).median

    def on_capacity(self, provider: str) -> None:
        """A provider may have room for one more job."""
        if self._engine:
            self._engine.on_capacity(provider)

    def close(self, *, wait: bool = True) -> None:
        """Stop working, wait for the answers of paid requests under way, give up the leases.

        Without waiting everything is left as it stands, for the end of the process.
        """
        with self._lock:
            engine, self._engine = self._engine, None
            follower, self._follower = self._follower, None
            worker, self._worker = self._worker, None
        if not wait:
            return
        if follower:
            follower.stop()
        if engine:
            engine.stop()
        if worker:
            worker.close()

    def _handle(self, record: Record, timeout: float | None) -> Job:
        work = ActiveJob(record, wait_s=timeout if timeout is not None else self._patience)
        job = Job(work)
        with self._lock:
            self._jobs[record.id] = job
        return job

    def _begin(self, work: ActiveJob) -> None:
        if work.record.state is not State.PLANNED and work.deadline is None:
            work.deadline = time.time() + (work.wait_s or 0.0)
        try:
            route = self._context.find_provider(work.record.provider)
        except VeoError as error:  # no key for one job is no reason to leave the others alone
            self._context.stop_work(work, error)
            self._over(work)
            return
        if work.record.state in IN_FLIGHT:
            route.limiter.restore(work.record.id)
        self._running().add(work)

    def _running(self) -> Engine:
        with self._lock:
            self._engine = self._engine or Engine(self._context, self._over)
            return self._engine

    def _following(self) -> Follower:
        with self._lock:
            if self._follower is None:
                self._follower = Follower(self._ledger, self.take_leases, self._begin, self._over)
            return self._follower

    def _over(self, work: ActiveJob) -> None:
        with self._lock:
            job = self._jobs.pop(work.record.id, None)
        if job:
            job.finish()
