"""Which jobs of this process may ask the ledger for a slot at their provider.

The ledger decides (``ledger.limits``), in the transaction that commits the intent to send. Here
jobs are kept from asking in vain: none while all slots are taken by jobs of this process, and one
at a time while the ledger refuses.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from veo.ledger.limits import Admission, Limits

# Until a job asks again whether another process has freed a slot. Its own process tells at once.
SLOT_RETRY_S = 0.5


@dataclass(slots=True)
class RateLimiter:
    """The jobs of this process that are in flight at one provider."""

    limits: Limits
    # Called, without the lock, whenever one more job may fit.
    on_capacity: Callable[[], None] = field(default=lambda: None)
    # Jobs that may be in flight now, as the ledger last said: fewer after the provider was busy.
    capacity: int = field(init=False)
    _in_flight: set[Hashable] = field(default_factory=set)
    # While the ledger refuses, only this job asks again; the others wait until it is admitted.
    _asker: Hashable | None = None
    _asks_for_slot: bool = False  # else it waits for a certain time
    _has_waiting: bool = False  # whether jobs may wait for ``on_capacity``
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.capacity = self.limits.max_in_flight

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def is_slowed(self) -> bool:
        """Whether fewer jobs may be in flight, because the provider was busy."""
        return self.capacity < self.limits.max_in_flight

    def try_acquire(self, job: Hashable) -> bool:
        """Return whether a job may ask the ledger; if not, it waits for ``on_capacity``."""
        with self._lock:
            is_full = job not in self._in_flight and len(self._in_flight) >= self.capacity
            if is_full or self._asker not in {None, job}:
                if self._asker == job:
                    self._asker = None  # a release of this process wakes the next job
                self._has_waiting = True
                return False
            self._in_flight.add(job)
            return True

    def on_admitted(self, job: Hashable, admission: Admission) -> None:
        """Record that the ledger admitted a job."""
        with self._lock:
            self.capacity = admission.capacity
            if self._asker == job:
                self._asker = None
            may_continue = self._has_waiting and self._is_open()
        if may_continue:
            self.on_capacity()

    def on_refused(self, job: Hashable, admission: Admission) -> float | None:
        """Record that the ledger refused a job. Return the seconds until it asks again.

        None if another job asks: then it waits for a call of ``on_capacity``.
        """
        with self._lock:
            self.capacity = admission.capacity
            self._in_flight.discard(job)
            if self._asker not in {None, job}:
                self._has_waiting = True
                return None
            self._asker, self._asks_for_slot = job, admission.wait_s is None
            return SLOT_RETRY_S if admission.wait_s is None else admission.wait_s

    def set_capacity(self, capacity: int) -> None:
        """Set how many jobs may be in flight, as the ledger says."""
        with self._lock:
            has_more = capacity > self.capacity
            self.capacity = capacity
        if has_more:
            self.on_capacity()

    def has_capacity(self) -> bool:
        """Whether one more job may ask the ledger."""
        with self._lock:
            return self._is_open()

    def restore(self, job: Hashable) -> None:
        """Count a job that is in flight already, for example after a restart."""
        with self._lock:
            self._in_flight.add(job)

    def release(self, job: Hashable) -> None:
        """Stop counting a job as in flight."""
        with self._lock:
            self._in_flight.discard(job)
            if self._asks_for_slot or self._asker == job:
                self._asker = None  # there is a slot, or the job will not ask any more
        self.on_capacity()

    def _is_open(self) -> bool:
        return self._asker is None and len(self._in_flight) < self.capacity
