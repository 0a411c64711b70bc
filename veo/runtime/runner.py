"""The jobs that this process works on, and those that it follows while another has them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from veo.engine.context import ActiveJob, StepContext
from veo.engine.dispatcher import Engine
from veo.errors import StillRunningError, VeoError
from veo.job import Job
from veo.ledger import IN_FLIGHT, Record, State
from veo.ledger.heartbeat import WorkerLease, find_dead_workers
from veo.problems import Remedy
from veo.runtime.follower import Follower


class JobRunner:
    """Lease jobs, work on them, and follow those that another process works on."""

    def __init__(self, context: StepContext, default_wait_s: float) -> None:
        self._context = context
        self._ledger = context.ledger
        self._default_wait_s = default_wait_s
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._worker_lease: WorkerLease | None = None
        self._engine: Engine | None = None
        self._follower: Follower | None = None

    @property
    def worker(self) -> str:
        """The id under which this process holds leases."""
        with self._lock:
            self._worker_lease = self._worker_lease or WorkerLease(self._ledger)
            return self._worker_lease.id

    def take_leases(self, records: Sequence[Record]) -> list[Record]:
        """Take the lease of the jobs that no live process works on, and return those jobs."""
        owners = {record.owner for record in records if record.owner}
        dead = find_dead_workers(self._ledger, owners - {self.worker}, self._ledger.clock())
        free = [record for record in records if record.owner is None or record.owner in dead]
        return self._ledger.take_leases(free, self.worker) if free else []

    def work_on(self, records: Iterable[Record], timeout: float | None = None) -> list[Job]:
        jobs = [self._register(record, timeout) for record in records]
        for job in jobs:
            self._begin(job.work)
        return jobs

    def work_on_or_follow(
        self, records: Sequence[Record], timeout: float | None = None
    ) -> list[Job]:
        """Work on the jobs that no process works on, and follow the others until they are free."""
        leased = {record.id: record for record in self.take_leases(records)}
        jobs = [self._register(leased.get(record.id, record), timeout) for record in records]
        for job in jobs:
            if job.id in leased:
                self._begin(job.work)
            else:
                self._start_follower().add(job.work)
        return jobs

    def median_s(self, provider: str, model: str) -> float:
        return self._context.learn_durations(provider, model).median

    def on_capacity(self, provider: str) -> None:
        if self._engine:
            self._engine.on_capacity(provider)

    def close(self, *, wait: bool = True) -> None:
        """Stop working, and release the leases once paid requests under way have a response.

        Without ``wait`` everything is left as it is, because the process is about to end.
        """
        with self._lock:
            engine, self._engine = self._engine, None
            follower, self._follower = self._follower, None
            worker_lease, self._worker_lease = self._worker_lease, None
        if not wait:
            return
        if follower:
            follower.stop()
        if engine:
            engine.stop()
        if worker_lease:
            worker_lease.close()

    def end_waits(self) -> None:
        """Finish the jobs that nothing in this process works on any more, as still running."""
        with self._lock:
            jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            job.work.error = job.work.error or StillRunningError(
                f"the client was closed while job {job.id} was {job.state}",
                remedies=[Remedy("resume", job.id)],
            )
            job.finish()

    def _register(self, record: Record, timeout: float | None) -> Job:
        wait_s = timeout if timeout is not None else self._default_wait_s
        job = Job(ActiveJob(record, wait_s=wait_s))
        with self._lock:
            self._jobs[record.id] = job
        return job

    def _begin(self, job: ActiveJob) -> None:
        if job.record.state is not State.PLANNED and job.deadline is None:
            job.deadline = self._context.timer() + (job.wait_s or 0.0)
        try:
            handle = self._context.find_provider(job.record.provider)
        except VeoError as error:  # a missing key for one job must not stop the others
            self._context.stop_work(job, error)
            self._finish(job)
            return
        # It holds a slot at the provider already, whichever process took it.
        if job.record.state in IN_FLIGHT:
            handle.limiter.restore(job.record.id)
        self._start_engine().add(job)

    def _start_engine(self) -> Engine:
        with self._lock:
            self._engine = self._engine or Engine(self._context, self._finish)
            return self._engine

    def _start_follower(self) -> Follower:
        with self._lock:
            self._follower = self._follower or self._make_follower()
            return self._follower

    def _make_follower(self) -> Follower:
        return Follower(self._ledger, self.take_leases, self._begin, self._finish)

    def _finish(self, active: ActiveJob) -> None:
        with self._lock:
            job = self._jobs.pop(active.record.id, None)
        if job:
            job.finish()
