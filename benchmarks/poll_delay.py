"""How late a finished video is seen, and how many polls that takes; simulated, the policy is pure.

Service times are log-normal. Without progress no schedule can beat the floor that the service
times themselves set: mean delay x polls >= (integral of sqrt(density x survival))^2 / 2.
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
BAR = 70.0  # set for service times whose floor is 59 to 68; nobody can be below the floor
Schedule = Callable[[float, ProgressTracker], float]


@dataclass(frozen=True)
class Seen:
    """Mean delay in seconds, mean number of polls."""

    late: float
    polls: float


def simulate(median: float, spread: float, next_poll: Schedule, step: float | None = None) -> Seen:
    """Poll jobs by a schedule; with ``step`` they tell their progress in such steps."""
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
    return Seen(mean(late for late, _ in seen), mean(polls for _, polls in seen))


def learned(median: float, spread: float) -> Durations:
    """What is known after some observations."""
    chance = random.Random(2)
    return PRIOR.learn([median * math.exp(chance.gauss(0, spread)) for _ in range(OBSERVED)])


def floor(median: float, spread: float) -> float:
    """The least product of delay and polls that a schedule without progress can have."""
    tick, at, area = median / 2000, median / 2000, 0.0
    while at < 12 * median:
        z = math.log(at / median) / spread
        density = math.exp(-z * z / 2) / (at * spread * math.sqrt(2 * math.pi))
        area += math.sqrt(density * 0.5 * math.erfc(z / math.sqrt(2))) * tick
        at += tick
    return area * area / 2


def measure(repeat: int) -> Table:
    """The same in every run."""
    del repeat
    heads = ("median, s", "spread", "late, s", "polls", "late x polls", "of the floor")
    table = Table(f"Seen late: {JOBS:,} simulated jobs, {OBSERVED} observed before", ("", *heads))
    for median, spread in TIMES:
        least = floor(median, spread)
        for name, (schedule, step) in _schedules(learned(median, spread)).items():
            seen = simulate(median, spread, schedule, step)
            product = seen.late * seen.polls
            times = (round(median), spread)
            table.rows.append((name, *times, seen.late, seen.polls, product, product / least))
            table.targets += _targets(f"{name}, {median:.0f} s and {spread}", name, seen, least)
    return table


def _targets(title: str, name: str, seen: Seen, least: float) -> list[Target]:
    product = seen.late * seen.polls
    if name == FINE:
        late, polls = Target(f"{title}: late, s", seen.late, 1.0), seen.polls
        return [late, Target(f"{title}: polls", polls, 11)]
    if name == BLIND and least <= BAR:
        return [Target(f"{title}: late x polls", product, BAR)]
    return [Target(f"{title}: of the floor", product / least, 1.05)] if name == BLIND else []


def _schedules(known: Durations) -> dict[str, tuple[Schedule, float | None]]:
    return {
        FINE: (lambda at, told: poll_delay(at, known, told), 0.01),
        BLIND: (lambda at, _: poll_delay(at, known, tells=False), None),
        "veo, progress looked for in vain": (lambda at, _: poll_delay(at, known), None),
        "veo, no progress, nothing observed": (lambda at, _: poll_delay(at, PRIOR), None),
        "fixed 5 s": (lambda _, __: 5.0, None),
        "openai SDK, 1 s": (lambda _, __: 1.0, None),
        "fal client, 0.1 s": (lambda _, __: 0.1, None),
    }
