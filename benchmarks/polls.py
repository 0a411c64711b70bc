"""CPU a poll, beside what ``requests`` alone takes for the same GET."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING

import requests
from child import Order
from ours import open_client
from poll_server import pacer
from server import KEY
from table import Table, Target

from veo.engine.dispatcher import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.provider import Provider

POLLS, ROUNDS = 400, 7
OURS, SESSION = "veo: a poll, read into an Update", "requests.Session.get(...).json()"


def measure(repeat: int) -> Table:
    """Medians of rounds in turns."""
    table = Table("CPU a poll, a kept connection", ("client", "µs", "of Session.get"))
    with tempfile.TemporaryDirectory() as folder, pacer(0.0, 5.0, Path(folder)) as url:
        session, mine = requests.Session(), open_client(Order("veo", url, KEY, folder, 1, 1, 90.0))
        session.headers["Authorization"] = f"Bearer {KEY}"
        provider = mine.connect("laozhang-async").provider
        task = f"{url}/v1/videos/task_1"
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            found = rounds(
                {
                    SESSION: _repeat(lambda: session.get(task, timeout=60).json()),
                    "requests.get(...).json()": _repeat(lambda: _alone(task)),
                    OURS: lambda: runner.run(_poll_in_turn(provider)),
                },
                ROUNDS * repeat,
            )
        session.close()
        mine.close()
    for name, seconds in found.items():
        table.rows.append((name, seconds * 1e6, seconds / found[SESSION]))
    table.targets.append(Target("of Session.get", found[OURS] / found[SESSION], 0.5))
    return table


def rounds(ways: dict[str, Callable[[], object]], count: int) -> dict[str, float]:
    """Return the CPU seconds of one poll of each; a call makes ``POLLS`` of them."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, call in ways.items():
            begun = process_time()
            call()
            times[name].append((process_time() - begun) / POLLS)
    return {name: median(each) for name, each in times.items()}


def _repeat(call: Callable[[], object]) -> Callable[[], object]:
    return lambda: [call() for _ in range(POLLS)]


async def _poll_in_turn(provider: Provider) -> None:
    for _ in range(POLLS):
        await provider.poll("task_1")


def _alone(url: str) -> object:
    return requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60).json()
