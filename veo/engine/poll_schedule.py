"""When to poll: one pure policy.

If the server gives a hint, it decides. Else fine-grained progress is extrapolated. Else polls
follow a schedule learned from how long the model took before. The schedule minimises
``mean delay + w * number of polls``, where the delay is the time from the end of a task to the
poll that sees it, and ``w`` is the delay that is worth one poll (``DELAY_PER_POLL``). The optimal
density of polls is ``sqrt(hazard / 2w)``. The hazard, the probability per second that the task
ends now, is that of a log-normal distribution fitted to past durations and blended with a prior.

Without progress the product of mean delay and number of polls cannot go below a floor that the
durations set: 59 to 68 for those that were measured. ``benchmarks/poll_delay.py`` shows how near
the policy comes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# Intervals are fractions of the median, so that they fit a model of 2 s and one of 5 minutes.
# For a median of three minutes they are 0.75 s, 20 s and 10 s.
MIN_INTERVAL = 1 / 240
MAX_INTERVAL = 1 / 9
FIRST_POLL = 1 / 18
MIN_INTERVAL_S = 0.02
MIN_MAX_INTERVAL_S = 0.5
COARSE_STEP = 0.05  # progress in multiples of 5 % is a guess of the server
FINE_STEP = 0.01
EXTRAPOLATED_SHARE = 0.75  # of the time that is left; with more, tasks that speed up are seen late
HINT_FACTOR = 6  # a hint may stretch the longest interval by this, but not stop the polls
FINE_FACTOR = 3  # fine progress may stretch it by this
PRIOR_WEIGHT = 4.0  # in observations
DELAY_PER_POLL = 0.11  # ``w``: the delay, in medians, that is worth one poll
# Less spread in a few observations is luck; an overdue task would be polled hundreds of times.
MIN_SPREAD = 0.15
STEPS_PER_MEDIAN = 400  # of the numerical integration
# A schedule is calculated up to the first of these, and further only for a task that takes longer.
# Polls later than the last keep the longest interval.
HORIZONS = (1, 2, 4, 8)  # medians
_ROOT_2, _ROOT_2_PI = math.sqrt(2), math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Durations:
    """What is known about how long a model takes: a log-normal distribution."""

    median: float  # seconds
    spread: float  # standard deviation of the logarithm

    @property
    def min_interval_s(self) -> float:
        """Seconds between two polls, at least."""
        return max(MIN_INTERVAL_S, self.median * MIN_INTERVAL)

    @property
    def max_interval_s(self) -> float:
        """Seconds between two polls, at most, once a video may be ready at any moment."""
        return max(MIN_MAX_INTERVAL_S, self.median * MAX_INTERVAL)

    def learn(self, observed: Sequence[float]) -> Durations:
        """Return this prior, blended with past durations (seconds)."""
        logs = [math.log(seconds) for seconds in observed if seconds > 0]
        if not logs:
            return self
        weight = PRIOR_WEIGHT + len(logs)
        mean = (PRIOR_WEIGHT * math.log(self.median) + sum(logs)) / weight
        squares = PRIOR_WEIGHT * self.spread**2 + sum((log - mean) ** 2 for log in logs)
        spread = max(MIN_SPREAD, math.sqrt(squares / weight))
        # Three digits are enough, and let models share a cached schedule.
        return Durations(float(f"{math.exp(mean):.3g}"), round(spread, 3))


@dataclass(slots=True)
class ProgressTracker:
    """The reported progress of a task, as far as polling needs it."""

    last: float = 0.0  # the newest progress, 0..1
    last_at: float = 0.0  # seconds since the submit when it was first reported
    rate: float = 0.0  # progress per second over the newest advance
    is_fine: bool = False  # whether a value was reported that is not a multiple of 5 %
    advances: int = 0  # how often the progress has increased

    def record(self, progress: float | None, elapsed: float) -> None:
        """Record one report. Progress that decreases or stands still changes nothing."""
        if progress is None or progress <= self.last:
            return
        gain, seconds = progress - self.last, elapsed - self.last_at
        if seconds > 0:
            self.rate = gain / seconds
        steps = progress / COARSE_STEP
        self.is_fine = self.is_fine or abs(steps - round(steps)) > 0.01
        self.last, self.last_at, self.advances = progress, elapsed, self.advances + 1

    def remaining_s(self, elapsed: float) -> float | None:
        """Return the seconds until the end, extrapolated; None while that is not possible."""
        if self.advances < 1 or self.last >= 1 or not self.last_at:
            return None
        # A value in whole steps is half a step behind on average.
        last = self.last + FINE_STEP / 2
        # The mean rate, or the newest one if the task has become faster.
        rate = max(last / self.last_at, self.rate)
        return max(0.0, (1 - last) / rate - (elapsed - self.last_at))


def poll_delay(
    elapsed: float,
    durations: Durations,
    tracker: ProgressTracker | None = None,
    hint: float | None = None,
    *,
    reports_progress: bool = True,
) -> float:
    """Return the seconds until the next poll.

    Args:
        elapsed: Seconds since the submit.
        durations: How long the model takes.
        tracker: The progress that the task has reported, if any.
        hint: Seconds that the server asks for.
        reports_progress: Whether tasks of this provider may report their progress.
    """
    shortest, longest = durations.min_interval_s, durations.max_interval_s
    if hint is not None:
        return min(max(hint, shortest), longest * HINT_FACTOR)
    scheduled = max(shortest, _next_scheduled(elapsed, durations) - elapsed)
    first = durations.median * FIRST_POLL
    if reports_progress and elapsed < first:  # only a poll shows whether a task reports progress
        scheduled = min(scheduled, max(shortest, first - elapsed))
    remaining = tracker.remaining_s(elapsed) if tracker else None
    # Coarse progress is used only until its second step, because its steps come irregularly.
    if tracker is None or remaining is None or not (tracker.is_fine or tracker.advances == 1):
        return scheduled
    # Progress that stands still promised too much: poll less and less often.
    standstill = max(0.0, elapsed - tracker.last_at - 2 * FINE_STEP / tracker.rate)
    if not tracker.is_fine:
        return min(scheduled, max(shortest, remaining / 2, standstill))
    extrapolated = max(shortest, EXTRAPOLATED_SHARE * remaining, standstill / 4)
    return min(longest * FINE_FACTOR, extrapolated)


def _next_scheduled(elapsed: float, durations: Durations) -> float:
    # Half an interval of tolerance: timers fire a little early or late.
    earliest = elapsed + durations.min_interval_s / 2
    for horizon in HORIZONS:
        times = _schedule(durations, horizon)
        index = bisect_right(times, earliest)
        if index < len(times):
            return times[index]
    return elapsed + durations.max_interval_s


@lru_cache(maxsize=256)
def _schedule(durations: Durations, horizon: int) -> tuple[float, ...]:
    """Return the times of all polls of a task that does not end, up to some medians."""
    times: list[float] = []
    now = due_polls = last = 0.0
    min_interval_s, max_interval_s = durations.min_interval_s, durations.max_interval_s
    step = durations.median / STEPS_PER_MEDIAN
    # Less than 1 % of tasks end earlier than this: until then the interval has no upper limit.
    may_end_at = durations.median * math.exp(-2.5 * durations.spread)
    while now < horizon * durations.median:
        now += step
        due_polls += math.sqrt(_hazard(now, durations) / (2 * DELAY_PER_POLL)) * step
        is_due = due_polls >= 1 and now - last >= min_interval_s
        if is_due or (now - last >= max_interval_s and now >= may_end_at):
            times.append(now)
            due_polls, last = 0.0, now
    return tuple(times)


def _hazard(now: float, durations: Durations) -> float:
    """Return the probability per second that a task that has not ended ends now."""
    z = math.log(now / durations.median) / durations.spread
    survival = 0.5 * math.erfc(z / _ROOT_2)
    if survival < 1e-9:  # the quotient below loses its digits; this is its asymptotic value
        return z / (now * durations.spread)
    density = math.exp(-z * z / 2) / (now * durations.spread * _ROOT_2_PI)
    return density / survival
