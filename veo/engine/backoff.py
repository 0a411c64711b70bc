"""When to try again: after an error of one job, and after a provider asked to slow down."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

RETRY_DELAYS_S = (2.0, 4.0, 8.0, 16.0, 30.0, 60.0)
BUSY_FACTOR = 0.5  # of the jobs in flight, after a 429
SUCCESSES_PER_JOB = 5  # accepted requests until one more job may be in flight


def retry_delay_s(job_id: str, failures: int) -> float:
    """Return the seconds until the next try, longer after each failure in a row.

    The jitter of a quarter, up and down, spreads the jobs that failed together. It is a hash, so
    that a job's delays are the same in every process and in every test.
    """
    delay = RETRY_DELAYS_S[min(failures, len(RETRY_DELAYS_S) - 1)]
    return delay * (0.75 + (zlib.crc32(f"{job_id}{failures + 1}".encode()) % 512) / 1024)


@dataclass(slots=True)
class AdaptiveCapacity:
    """How many jobs may be in flight: halved after a 429, raised again by success."""

    maximum: int  # the limit that the configuration sets
    closed_until: float = 0.0  # when the next request may be sent, seconds of the caller's clock
    _capacity: float = field(init=False)

    def __post_init__(self) -> None:
        self._capacity = float(self.maximum)

    @property
    def capacity(self) -> int:
        """Jobs that may be in flight now; at least one: its success shows when to raise it."""
        return max(1, int(self._capacity))

    def back_off(self, now: float, wait_s: float, in_flight: int) -> None:
        """Slow down, because a provider is busy.

        The refusals of all requests that were under way at that moment count as one.
        """
        if now >= self.closed_until:
            self._capacity = max(1.0, min(self._capacity, in_flight) * BUSY_FACTOR)
        self.closed_until = max(self.closed_until, now + wait_s)

    def recover(self) -> bool:
        """Raise the capacity after an accepted request. Return whether one more job fits."""
        before = self.capacity
        self._capacity = min(float(self.maximum), self._capacity + 1 / SUCCESSES_PER_JOB)
        return self.capacity > before
