"""Items that wait for a job, and items whose jobs are in flight."""

from __future__ import annotations

from collections import Counter, deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from veo.errors import VeoError, WithdrawnError
from veo.ledger import Record, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from veo.batch.entry import Entry
    from veo.job import Job
    from veo.session import Session

# Planned jobs hold money and a row of the ledger. Planning all of a large batch at once would
# reserve the money of every item, and an interrupted run would leave all those jobs behind.
PLANNED_AHEAD = 64
MAX_PLANNED = 1000  # in one transaction, for workers


class WaitingQueue:
    """Items without a job, in order for each provider."""

    def __init__(self, free_capacity: Callable[[str], int]) -> None:
        self._free_capacity = free_capacity
        self._waiting: dict[str, deque[Entry]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Entry]:
        return (entry for waiting in self._waiting.values() for entry in waiting)

    def add_last(self, entry: Entry) -> None:
        self._waiting.setdefault(entry.new_job.provider, deque()).append(entry)

    def pop_next(self) -> list[Entry]:
        """Remove and return the next items of one provider; none while enough are planned ahead."""
        for provider, waiting in self._waiting.items():
            room = self._free_capacity(provider) + PLANNED_AHEAD
            # Half of the reserve at a time: one transaction per item would cost more than the item.
            if waiting and room >= PLANNED_AHEAD // 2:
                return [waiting.popleft() for _ in range(min(room, len(waiting)))]
        return []

    def put_back(self, entries: Iterable[Entry]) -> None:
        for entry in reversed(list(entries)):
            self._waiting[entry.new_job.provider].appendleft(entry)

    def drain(self, provider: str | None = None) -> list[Entry]:
        names = [name for name in self._waiting if provider in {None, name}]
        return [entry for name in names for entry in self._waiting.pop(name)]


class InFlight:
    """Items whose jobs have begun, in this process or in another, and have not ended."""

    def __init__(self, session: Session, timeout: float | None) -> None:
        self._session = session
        self._timeout = timeout
        self._entries: dict[str, Entry] = {}
        self._finished_jobs: SimpleQueue[Job] = SimpleQueue()
        # Bound once: a bound method for each of ten thousand jobs would cost memory.
        self._on_finished = self._finished_jobs.put
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def free_capacity(self, provider: str) -> int:
        """Return how many more jobs a provider accepts; negative if more are planned.

        Workers continue planned jobs after this process, so that all can be planned.
        """
        if self._session.has_workers:
            return MAX_PLANNED
        return self._session.connect(provider).limiter.limits.max_in_flight - self._counts[provider]

    def work_on(self, entries: Iterable[Entry], records: Iterable[Record]) -> None:
        self._track(entries, self._session.runner.work_on(records, self._timeout))

    def join(self, entries: Sequence[Entry], records: Sequence[Record]) -> None:
        if entries:
            self._track(entries, self._session.runner.work_on_or_follow(records, self._timeout))

    def wait_finished(self, timeout: float) -> Iterator[tuple[Entry, Job]]:
        """Wait up to ``timeout`` seconds for a job to end; yield all ended jobs and their items."""
        try:
            job = self._finished_jobs.get(timeout=timeout)
            while True:
                if job.id in self._entries:
                    yield self._remove(job.id), job
                job = self._finished_jobs.get_nowait()
        except Empty:
            return

    def withdraw(self, entries: Iterable[Entry], error: VeoError) -> list[Entry]:
        """Withdraw the jobs that were never sent, and return their items."""
        worker = self._session.runner.worker
        records = [entry.job.record for entry in entries if entry.job]
        unsent = [
            record for record in records if record.state is State.PLANNED and record.owner == worker
        ]
        if not unsent:
            return []
        withdrawn = self._session.ledger.withdraw_jobs(unsent, WithdrawnError(error.message))
        return [self._remove(record.id) for record in withdrawn]

    def forget_all(self) -> list[Entry]:
        """Stop tracking all items, and return them; work on their jobs continues."""
        entries = list(self)
        self._entries.clear()
        self._counts.clear()
        return entries

    def _track(self, entries: Iterable[Entry], jobs: Iterable[Job]) -> None:
        for entry, job in zip(entries, jobs, strict=True):
            entry.job = job
            self._entries[job.id] = entry
            self._counts[entry.new_job.provider] += 1
            job.add_done_callback(self._on_finished)

    def _remove(self, job_id: str) -> Entry:
        entry = self._entries.pop(job_id)
        self._counts[entry.new_job.provider] -= 1
        return entry
