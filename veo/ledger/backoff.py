"""How far a provider is slowed down after it was busy (429 or 503), for all processes on a ledger.

``limits`` applies it to every paid request; ``engine.retry_delay`` spaces the tries of one job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from veo.ledger.schema import throttles

BUSY_FACTOR = 0.5  # of the jobs in flight, after a 429
SUCCESSES_PER_JOB = 5  # accepted requests until one more job may be in flight


@dataclass(slots=True)
class AdaptiveCapacity:
    """How many jobs may be in flight: halved after a 429, raised again by success."""

    maximum: int  # the limit that the configuration sets
    closed_until: float = 0.0  # when the next request may be sent, Unix seconds
    value: float | None = None  # None for the maximum

    @property
    def exact(self) -> float:
        return float(self.maximum) if self.value is None else min(self.value, self.maximum)

    @property
    def capacity(self) -> int:
        """Jobs that may be in flight now; at least one: its success shows when to raise it."""
        return max(1, int(self.exact + 1e-6))  # five fifths are a little less than one

    def back_off(self, now: float, wait_s: float, in_flight: int) -> None:
        """Slow down, because a provider is busy.

        The refusals of all requests that were under way at that moment count as one.
        """
        if now >= self.closed_until:
            self.value = max(1.0, min(self.exact, in_flight) * BUSY_FACTOR)
        self.closed_until = max(self.closed_until, now + wait_s)

    def recover(self) -> None:
        """Raise the capacity after an accepted request."""
        self.value = self.exact + 1 / SUCCESSES_PER_JOB


def read_capacity(connection: Connection, provider: str, maximum: int) -> AdaptiveCapacity:
    query = select(throttles.c.closed_until, throttles.c.capacity)
    row = connection.execute(query.where(throttles.c.provider == provider)).one_or_none()
    return AdaptiveCapacity(maximum, *(row or ()))


def write_capacity(connection: Connection, provider: str, adaptive: AdaptiveCapacity) -> int:
    """Store how far a provider is slowed down; return the capacity."""
    columns: Mapping[str, float | None] = {
        "closed_until": adaptive.closed_until,
        "capacity": adaptive.value,
    }
    row = update(throttles).where(throttles.c.provider == provider).values(columns)
    if connection.execute(row).rowcount == 0:
        connection.execute(insert(throttles).values(provider=provider, **columns))
    return adaptive.capacity
