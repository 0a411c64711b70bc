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

from veo.engine.policy import Durations, Progress, delay

JOBS = 2000
OBSERVED = 200
PRIOR = Durations(210.0, 0.35)
TIMES = ((180.0, 0.35), (250.0, 0.30), (350.0, 0.25))
Schedule = Callable[[float, Progress], float]


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
        now, polls, progress = 0.0, 0, Progress()
        while True:
            now += next_poll(now, progress)
            polls += 1
            if now >= takes:
                break
            if step:
                progress.saw(math.floor(now / takes / step) * step, now)
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


def main() -> None:
    """Print the table."""
    print(
        f"{'schedule':<34} {'median':>6} {'late, s':>8} {'polls':>7} {'product':>8} {'/ floor':>8}"
    )
    for median, spread in TIMES:
        known, least = learned(median, spread), floor(median, spread)
        rows: dict[str, tuple[Schedule, float | None]] = {
            "veo, progress in steps of 1 %": (lambda t, p, k=known: delay(t, k, p), 0.01),
            "veo, no progress, 200 observed": (lambda t, _, k=known: delay(t, k), None),
            "veo, no progress, nothing observed": (lambda t, _: delay(t, PRIOR), None),
            "fixed 5 s": (lambda _, __: 5.0, None),
            "openai SDK, 1 s": (lambda _, __: 1.0, None),
            "fal client, 0.1 s": (lambda _, __: 0.1, None),
        }
        for name, (schedule, step) in rows.items():
            seen = simulate(median, spread, schedule, step)
            product = seen.late * seen.polls
            print(
                f"{name:<34} {median:6.0f} {seen.late:8.2f} {seen.polls:7.1f} {product:8.0f}"
                f" {product / least:8.2f}"
            )


if __name__ == "__main__":
    main()
