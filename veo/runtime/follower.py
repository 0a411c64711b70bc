"""Jobs that another process works on, followed in the ledger until they end or are released."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from veo.engine.context import ActiveJob, overdue_error
from veo.errors import UnknownOutcomeError, VeoError
from veo.ledger import LIVE, Ledger, Record, State
from veo.provider import has_tasks

INTERVAL_S = 0.5
_log = logging.getLogger(__name__)


class Follower:
    """Read the rows of followed jobs; never change a job, but take over those that are released.

    ``on_finished`` is called once for each job, when there is nothing more to follow;
    ``find_stop_error`` says of a live job why that is so.
    """

    def __init__(
        self,
        ledger: Ledger,
        lease: Callable[[Sequence[Record]], list[Record]],
        on_leased: Callable[[ActiveJob], None],
        on_finished: Callable[[ActiveJob], None],
        find_stop_error: Callable[[Record], VeoError | None] = lambda _: None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._find_stop_error = find_stop_error
        self._ledger = ledger
        self._lease, self._on_leased, self._on_finished = lease, on_leased, on_finished
        self._jobs: dict[str, ActiveJob] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, args=(interval_s,), name="veo-follow", daemon=True
        )
        self._thread.start()

    def add(self, job: ActiveJob) -> None:
        with self._lock:
            self._jobs[job.record.id] = job

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _follow(self, interval_s: float) -> None:
        while not self._stopped.wait(interval_s):
            try:
                self.read_rows()
            except VeoError as error:
                _log.warning("cannot follow the jobs of other processes: %s", error)

    def read_rows(self) -> None:
        with self._lock:
            jobs = dict(self._jobs)
        if not jobs:
            return
        rows = self._ledger.list_jobs(ids=jobs)
        live = [record for record in rows if self._update_job(jobs[record.id], record)]
        for record in self._lease(live):
            job = jobs[record.id]
            job.record = record
            self._forget(job)
            self._on_leased(job)

    def _update_job(self, job: ActiveJob, record: Record) -> bool:
        """Apply a row; return whether the job is still worth following."""
        has_changed = record.version != job.record.version
        job.record = record
        if has_changed:
            job.on_change(job)
        if record.state is State.UNKNOWN:
            job.error = UnknownOutcomeError(record.id, has_tasks=has_tasks(record.provider))
        elif record.state in LIVE:
            job.error = self._find_stop_error(record) or self._overdue_error(job)
        if record.state in LIVE and not job.error:
            return True
        self._forget(job)
        self._on_finished(job)
        return False

    def _overdue_error(self, job: ActiveJob) -> VeoError | None:
        now = time.monotonic()  # as the timer of the engine, which may take the job over
        if job.deadline is None and job.record.state is not State.PLANNED:
            job.deadline = now + (job.wait_s or 0.0)
        return overdue_error(job) if job.deadline and now >= job.deadline else None

    def _forget(self, job: ActiveJob) -> None:
        with self._lock:
            self._jobs.pop(job.record.id, None)
