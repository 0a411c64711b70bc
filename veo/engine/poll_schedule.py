"""When to poll: one pure policy.

The server's hint if it gives one; else what fine-grained progress promises; else a schedule
learned from how long that model took before. The first poll comes early where a task may report
progress: only a poll tells. Polling at density ``sqrt(hazard / 2 w)`` minimises
mean delay + ``w`` x polls; the hazard is that of a log-normal fitted to past durations, blended
with a prior. A measured product of mean delay and polls of 59 to 68 is the floor without progress.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Fractions of a median: 0.75 s, 20 s and 10 s for one that takes three minutes.
SOONEST = 1 / 240
LATEST = 1 / 9
FIRST = 1 / 18
GRAIN = 0.05
STEP = 0.01
LEAP = 0.75  # of the rest that fine progress promises; the more, the worse if it speeds up
_PRIOR_WEIGHT = 4.0
_WEIGHT = 0.11
# Narrower than this is luck; it would have an overdue task polled hundreds of times.
_SPREAD = 0.15
_STEPS = 400


@dataclass(frozen=True, slots=True)
class Durations:
    """What is known of how long a model takes: a log-normal.

    Attributes:
        median: Seconds.
        spread: Standard deviation of the logarithm.
    """

    median: float
    spread: float

    @property
    def soonest(self) -> float:
        """Seconds between two polls, at least."""
        return max(0.02, self.median * SOONEST)

    @property
    def latest(self) -> float:
        """Seconds between two polls, at most, once a video may be made at any moment."""
        return max(0.5, self.median * LATEST)

    def learn(self, observed: Sequence[float]) -> Durations:
        """This prior, blended with past durations (seconds)."""
        logs = [math.log(seconds) for seconds in observed if seconds > 0]
        if not logs:
            return self
        weight = _PRIOR_WEIGHT + len(logs)
        mean = (_PRIOR_WEIGHT * math.log(self.median) + sum(logs)) / weight
        squares = _PRIOR_WEIGHT * self.spread**2 + sum((log - mean) ** 2 for log in logs)
        spread = max(_SPREAD, math.sqrt(squares / weight))
        # Three digits are enough, and let schedules be shared.
        return Durations(float(f"{math.exp(mean):.3g}"), round(spread, 3))


@dataclass(slots=True)
class ProgressTracker:
    """What a task has told of its progress, as far as polling needs it.

    Attributes:
        last: The newest progress, 0..1.
        at: Seconds since the submit when it was first seen.
        rate: Progress a second over the newest advance.
        fine: Whether a value was seen that is no multiple of 5 %.
        advances: How often it moved on.
    """

    last: float = 0.0
    at: float = 0.0
    rate: float = 0.0
    fine: bool = False
    advances: int = 0

    def record(self, progress: float | None, elapsed: float) -> None:
        """Take in one answer; going backwards or standing still teaches nothing."""
        if progress is None or progress <= self.last:
            return
        gain, seconds = progress - self.last, elapsed - self.at
        if seconds > 0:
            self.rate = gain / seconds
        self.fine = self.fine or abs(progress / GRAIN - round(progress / GRAIN)) > 0.01
        self.last, self.at, self.advances = progress, elapsed, self.advances + 1

    def remaining_s(self, elapsed: float) -> float | None:
        """Seconds until it is made, extrapolated; None while progress cannot be trusted."""
        if self.advances < 1 or self.last >= 1 or not self.at:
            return None
        # Told in whole steps, it is half a step further on average; what speeds up is believed.
        last = self.last + STEP / 2
        rate = max(last / self.at, self.rate)
        return max(0.0, (1 - last) / rate - (elapsed - self.at))


def poll_delay(
    elapsed: float,
    known: Durations,
    progress: ProgressTracker | None = None,
    hint: float | None = None,
    *,
    reports_progress: bool = True,
) -> float:
    """Seconds until the next poll.

    Args:
        elapsed: Seconds since the submit.
        known: How long the model usually takes.
        progress: What the task has told, if it tells anything.
        hint: What the server asked for, seconds.
        reports_progress: Whether tasks of this provider may report their progress.
    """
    if hint is not None:
        return min(max(hint, known.soonest), known.latest * 6)
    waiting = max(known.soonest, _next(elapsed, known) - elapsed)
    if reports_progress and elapsed < known.median * FIRST:
        waiting = min(waiting, max(known.soonest, known.median * FIRST - elapsed))
    rest = progress.remaining_s(elapsed) if progress else None
    if progress is None or rest is None or not (progress.fine or progress.advances == 1):
        return waiting
    # Progress that stands still has promised too much: ask less and less often.
    still = max(0.0, elapsed - progress.at - 2 * STEP / progress.rate)
    if not progress.fine:
        return min(waiting, max(known.soonest, rest / 2, still))
    return min(known.latest * 3, max(known.soonest, LEAP * rest, still / 4))


def _next(elapsed: float, known: Durations) -> float:
    times = _schedule(known)
    index = bisect_right(times, elapsed + known.soonest / 2)
    return times[index] if index < len(times) else elapsed + known.latest


@lru_cache(maxsize=256)
def _schedule(known: Durations) -> tuple[float, ...]:
    """The times of all polls of a task that takes for ever, up to eight medians."""
    times, at, due = [], 0.0, 0.0
    tick = known.median / _STEPS
    last = 0.0
    while at < 8 * known.median:
        at += tick
        due += math.sqrt(_hazard(at, known) / (2 * _WEIGHT)) * tick
        early = at < known.median * math.exp(-2.5 * known.spread)
        if (due >= 1 and at - last >= known.soonest) or (at - last >= known.latest and not early):
            times.append(at)
            due, last = 0.0, at
    return tuple(times)


def _hazard(at: float, known: Durations) -> float:
    z = (math.log(at) - math.log(known.median)) / known.spread
    survival = 0.5 * math.erfc(z / math.sqrt(2))
    if survival < 1e-9:
        return _hazard_tail(at, known, z)
    density = math.exp(-z * z / 2) / (at * known.spread * math.sqrt(2 * math.pi))
    return density / survival


def _hazard_tail(at: float, known: Durations, z: float) -> float:
    return z / (at * known.spread)
