"""How late a finished video is noticed, and after how many polls, by simulation.

Service times are log-normal. Without progress reports no schedule can beat a lower bound given by
the service times: mean delay x polls >= (integral of sqrt(density x survival))^2 / 2.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from table import Table, Target

from veo.engine.poll_schedule import Durations, ProgressTracker, poll_delay

JOBS = 2000
OBSERVED = 200
PRIOR = Durations(210.0, 0.35)
FINE, BLIND = "veo, progress in steps of 1 %", "veo, no progress"
TIMES = ((180.0, 0.35), (250.0, 0.30), (350.0, 0.20), (350.0, 0.25))
BAR = 70.0  # set for service times whose lower bound is 59 to 68
Schedule = Callable[[float, ProgressTracker], float]


@dataclass(frozen=True)
class Delay:
    """Mean delay in seconds and mean number of polls."""

    delay_s: float
    polls: float


def simulate_polls(
    median: float, spread: float, next_poll: Schedule, step: float | None = None
) -> Delay:
    """Simulate polling by a schedule; with ``step``, jobs report progress in steps of that size."""
    chance = random.Random(1)
    seen = []
    for _ in range(JOBS):
        takes = median * math.exp(chance.gauss(0, spread))
        now, polls, progress = 0.0, 0, ProgressTracker()
        while True:
            now += next_poll(now, progress)
            polls += 1
            if now >= takes:
                break
            if step:
                progress.record(math.floor(now / takes / step) * step, now)
        seen.append((now - takes, polls))
    return Delay(mean(late for late, _ in seen), mean(polls for _, polls in seen))


def learn_durations(median: float, spread: float) -> Durations:
    """Return the distribution learned from some observations."""
    chance = random.Random(2)
    return PRIOR.learn([median * math.exp(chance.gauss(0, spread)) for _ in range(OBSERVED)])


def least_product(median: float, spread: float) -> float:
    """Return the lower bound of delay x polls for a schedule without progress reports."""
    tick, at, area = median / 2000, median / 2000, 0.0
    while at < 12 * median:
        z = math.log(at / median) / spread
        density = math.exp(-z * z / 2) / (at * spread * math.sqrt(2 * math.pi))
        area += math.sqrt(density * 0.5 * math.erfc(z / math.sqrt(2))) * tick
        at += tick
    return area * area / 2


def measure(repeat: int) -> Table:
    """Simulate with fixed random seeds: every run gives the same numbers."""
    del repeat
    heads = ("median, s", "spread", "delay, s", "polls", "delay x polls", "ratio to bound")
    table = Table(f"Poll delay: {JOBS:,} simulated jobs, {OBSERVED} observed before", ("", *heads))
    for median, spread in TIMES:
        least = least_product(median, spread)
        for name, (schedule, step) in _schedules(learn_durations(median, spread)).items():
            seen = simulate_polls(median, spread, schedule, step)
            product = seen.delay_s * seen.polls
            times = (round(median), spread)
            table.rows.append((name, *times, seen.delay_s, seen.polls, product, product / least))
            table.targets += _targets(f"{name}, {median:.0f} s and {spread}", name, seen, least)
    return table


def _targets(title: str, name: str, seen: Delay, least: float) -> list[Target]:
    product = seen.delay_s * seen.polls
    if name == FINE:
        late, polls = Target(f"{title}: delay, s", seen.delay_s, 1.0), seen.polls
        return [late, Target(f"{title}: polls", polls, 11)]
    if name == BLIND and least <= BAR:
        return [Target(f"{title}: delay x polls", product, BAR)]
    return [Target(f"{title}: ratio to bound", product / least, 1.05)] if name == BLIND else []


def _schedules(known: Durations) -> dict[str, tuple[Schedule, float | None]]:
    return {
        FINE: (lambda at, progress: poll_delay(at, known, progress), 0.01),
        BLIND: (lambda at, _: poll_delay(at, known, reports_progress=False), None),
        "veo, progress expected but never reported": (lambda at, _: poll_delay(at, known), None),
        "veo, no progress, nothing observed": (lambda at, _: poll_delay(at, PRIOR), None),
        "fixed 5 s": (lambda _, __: 5.0, None),
        "openai SDK, 1 s": (lambda _, __: 1.0, None),
        "fal client, 0.1 s": (lambda _, __: 0.1, None),
    }
