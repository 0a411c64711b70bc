"""How hard a provider may be driven: in flight, submits a minute, and slower when it asks."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

MINUTE = 60.0
RECOVER_AFTER = 5


@dataclass(slots=True)
class RateLimiter:
    """The way into one provider, for the jobs of this process. Times are seconds of any clock.

    Attributes:
        max_in_flight: Jobs accepted and not finished, at most.
        per_minute: Paid requests in any 60 seconds, at most.
        opened: Called, without the lock, whenever there may be room for one more.
    """

    max_in_flight: int
    per_minute: int
    on_capacity: Callable[[], None] = field(default=lambda: None)
    _inside: set[Hashable] = field(default_factory=set)
    _sent: deque[float] = field(default_factory=deque)
    _closed_until: float = 0.0
    _room: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._room = float(self.max_in_flight)

    @property
    def capacity(self) -> int:
        """How many jobs may be in flight now: fewer after the provider asked to slow down."""
        return max(1, int(self._room))

    def try_acquire(self, job: Hashable, now: float) -> float | None:
        """Let a job in: 0.0 when it is in, seconds to wait, or None: when a job has left."""
        with self._lock:
            if now < self._closed_until:
                return self._closed_until - now
            while self._sent and self._sent[0] + MINUTE <= now:
                self._sent.popleft()
            if len(self._sent) >= self.per_minute:
                return self._sent[0] + MINUTE - now
            if job not in self._inside and len(self._inside) >= self.capacity:
                return None
            self._inside.add(job)
            self._sent.append(now)
            return 0.0

    def has_room(self) -> bool:
        """Whether one more job could be in flight."""
        with self._lock:
            return len(self._inside) < self.capacity

    def restore(self, job: Hashable) -> None:
        """Count a job that is in flight already, for example after a restart."""
        with self._lock:
            self._inside.add(job)

    def release(self, job: Hashable) -> None:
        """A job is not in flight any more."""
        with self._lock:
            self._inside.discard(job)
        self.on_capacity()

    def back_off(self, now: float, wait: float) -> None:
        """The provider is busy: nothing enters for a while, then half as many as were inside.

        All submits that were under way when it said so count as one request to slow down.
        """
        with self._lock:
            if now >= self._closed_until:
                self._room = max(1.0, min(self._room, len(self._inside)) / 2)
            self._closed_until = max(self._closed_until, now + wait)

    def recover(self) -> None:
        """A submit went well: a little more room, up to the limit."""
        with self._lock:
            before = self.capacity
            self._room = min(float(self.max_in_flight), self._room + 1 / RECOVER_AFTER)
        if self.capacity > before:
            self.on_capacity()
