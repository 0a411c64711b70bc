"""The sandbox's clock: runs at any speed, can be advanced, shared by all processes of a home."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from veo_sandbox.state.store import Store

_MAX_TIME = 1e10
"""Seconds since the epoch; Python prints dates up to the year 9999."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """At real time `real` the clock showed `shown`; since then it runs `speed` times as fast.

    Both times are seconds since the Unix epoch.
    """

    real: float
    shown: float
    speed: float

    def time_at(self, real: float) -> float:
        return self.shown + (real - self.real) * self.speed


class Clock:
    """The sandbox's time. It advances even while no process runs."""

    def __init__(self, store: Store, real: Callable[[], float] = time.time) -> None:
        self._store = store
        self._real = real
        with store.transaction():
            # Inside a transaction: two processes may open a new home at once.
            if store.get_setting("clock", None) is None:
                self._save_reading(ClockReading(real(), real(), 1.0))
        self.reload()

    def now(self) -> float:
        return self._reading.time_at(self._real())

    @property
    def speed(self) -> float:
        """Seconds of this clock per real second."""
        return self._reading.speed

    def advance(self, seconds: float) -> None:
        """Advance the clock; a ValueError if it would go back, or beyond the year 2286."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"advance {seconds!r}: must be a number of seconds")
        if not seconds >= 0:
            raise ValueError(f"advance {seconds}: the clock never goes back")
        self._change(seconds=seconds)

    def set_speed(self, speed: float) -> None:
        """Run `speed` times as fast as real time from now on; 0 or less is a ValueError."""
        if not speed > 0:
            raise ValueError(f"speed {speed}: must be above 0")
        self._change(speed=speed)

    def reload(self) -> None:
        self._reading = ClockReading(**self._store.get_setting("clock", None))

    def _change(self, *, seconds: float = 0.0, speed: float | None = None) -> None:
        with self._store.transaction():
            self.reload()
            # Shown and real time are written together: the speed holds from this moment only.
            real = self._real()
            shown = self._reading.time_at(real) + seconds
            # It never goes back: a home whose time cannot be printed could not be used again.
            if not shown < _MAX_TIME:
                raise ValueError(f"advance {seconds}: the clock ends in the year 2286")
            self._save_reading(ClockReading(real, shown, speed or self._reading.speed))
        self.reload()

    def _save_reading(self, reading: ClockReading) -> None:
        self._store.put_setting("clock", asdict(reading))


def format_time(moment: float) -> str:
    """Write a time as services do: in UTC, with a Z; a whole second has no fraction."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
