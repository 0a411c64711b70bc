"""The limits of a provider: jobs in flight, and paid requests a minute.

After a 429, ``backoff.AdaptiveCapacity`` lowers the number of jobs in flight.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from veo.engine.backoff import AdaptiveCapacity

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

MINUTE_S = 60.0


@dataclass(slots=True)
class RateLimiter:
    """The limits of one provider, for the jobs of this process. Times are seconds of any clock."""

    max_in_flight: int  # jobs accepted and not finished, at most
    per_minute: int  # paid requests in any 60 seconds, at most
    # Called, without the lock, whenever one more job may fit.
    on_capacity: Callable[[], None] = field(default=lambda: None)
    _in_flight: set[Hashable] = field(default_factory=set)
    _sent_at: deque[float] = field(default_factory=deque)
    _adaptive: AdaptiveCapacity = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._adaptive = AdaptiveCapacity(self.max_in_flight)

    @property
    def capacity(self) -> int:
        """Jobs that may be in flight now: fewer after the provider asked to slow down."""
        return self._adaptive.capacity

    def try_acquire(self, job: Hashable, now: float) -> float | None:
        """Admit a job.

        Returns:
            0.0 when it is admitted, else the seconds to wait; None when it has to wait until
            another job is released.
        """
        with self._lock:
            if now < self._adaptive.closed_until:
                return self._adaptive.closed_until - now
            while self._sent_at and self._sent_at[0] + MINUTE_S <= now:
                self._sent_at.popleft()
            if len(self._sent_at) >= self.per_minute:
                return self._sent_at[0] + MINUTE_S - now
            if job not in self._in_flight and len(self._in_flight) >= self.capacity:
                return None
            self._in_flight.add(job)
            self._sent_at.append(now)
            return 0.0

    def has_capacity(self) -> bool:
        """Whether one more job may be in flight."""
        with self._lock:
            return len(self._in_flight) < self.capacity

    def restore(self, job: Hashable) -> None:
        """Count a job that is in flight already, for example after a restart."""
        with self._lock:
            self._in_flight.add(job)

    def release(self, job: Hashable) -> None:
        """Stop counting a job as in flight."""
        with self._lock:
            self._in_flight.discard(job)
        self.on_capacity()

    def back_off(self, now: float, wait_s: float) -> None:
        """Slow down, because the provider is busy; see ``AdaptiveCapacity``."""
        with self._lock:
            self._adaptive.back_off(now, wait_s, len(self._in_flight))

    def recover(self) -> None:
        """Raise the capacity a little, because a request was accepted."""
        with self._lock:
            has_more = self._adaptive.recover()
        if has_more:
            self.on_capacity()
