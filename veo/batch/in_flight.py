"""The items of a batch whose jobs are on their way."""

from __future__ import annotations

from collections import Counter
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from veo.errors import WithdrawnError
from veo.ledger import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from veo.batch.entry import Entry
    from veo.errors import VeoError
    from veo.job import Job
    from veo.ledger import Record
    from veo.session import Session


class InFlight:
    """Jobs begun for items, here or in another process, until they are over.

    Args:
        client: Works on them.
        timeout: Seconds to wait for a job from its submit on; the configured ones when None.
    """

    def __init__(self, client: Session, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout
        self._entries: dict[str, Entry] = {}
        self._finished_jobs: SimpleQueue[Job] = SimpleQueue()
        self._on_finished = self._finished_jobs.put  # one for all jobs
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def free_slots(self, provider: str) -> int:
        """How many more jobs it could have in flight; below zero when more are planned."""
        return self._client.route(provider).limiter.max_in_flight - self._counts[provider]

    def work_on(self, entries: Iterable[Entry], records: Iterable[Record]) -> None:
        """Begin to work on the items' jobs, whose leases this process holds."""
        self._track(entries, self._client.work_on(records, self._timeout))

    def join(self, entries: Sequence[Entry], records: Sequence[Record]) -> None:
        """Work on jobs that are on their way, or follow those that another process works on."""
        if entries:
            self._track(entries, self._client.join(records, self._timeout))

    def wait_finished(self, timeout: float) -> Iterator[tuple[Entry, Job]]:
        """Wait at most so many seconds for jobs that are over; gives them with their items."""
        try:
            job = self._finished_jobs.get(timeout=timeout)
            while True:
                if job.id in self._entries:
                    yield self._remove(job.id), job
                job = self._finished_jobs.get_nowait()
        except Empty:
            return

    def withdraw(self, entries: Iterable[Entry], error: VeoError) -> list[Entry]:
        """Give up jobs that are planned and were never accepted; returns their items."""
        worker = self._client.worker
        records = [entry.job.record for entry in entries if entry.job]
        idle = [
            record for record in records if record.state is State.PLANNED and record.owner == worker
        ]
        if not idle:
            return []
        withdrawn = self._client.ledger.withdraw_jobs(idle, WithdrawnError(error.message))
        return [self._remove(record.id) for record in withdrawn]

    def _track(self, entries: Iterable[Entry], jobs: Iterable[Job]) -> None:
        for entry, job in zip(entries, jobs, strict=True):
            entry.job = job
            self._entries[job.id] = entry
            self._counts[entry.new_job.provider] += 1
            job.add_done_callback(self._on_finished)

    def _remove(self, job: str) -> Entry:
        entry = self._entries.pop(job)
        self._counts[entry.new_job.provider] -= 1
        return entry
