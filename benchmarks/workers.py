"""Workers on Postgres: steps a second with 100,000 jobs waiting, beside the bare engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from poll_server import noted, pacer
from table import Table, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
CHILD = Path(__file__).with_name("worker_child.py")
RUNNING, WAITING = 400, 100_000
SLOTS = 32
WARM_UP_S, WINDOW_S = 6.0, 10.0
TAKE_OVER_LIMIT_S = 30.0
BARE = "bare PGQueuer, 2 processes"
HEADS = ("steps/s", "worker CPU ms per step", "Postgres CPU ms per step", "late s", "take-over s")


@dataclass(frozen=True)
class Load:
    """What some processes managed while every job was due again at once."""

    steps_s: float
    cpu_ms: float
    postgres_ms: float
    late_s: float  # mean seconds from when a step was due to its beginning
    take_over_s: float  # from the death of one of two to the last step of its jobs elsewhere

    def cells(self) -> tuple[float, ...]:
        return (self.steps_s, self.cpu_ms, self.postgres_ms, self.late_s, self.take_over_s)


def measure(repeat: int) -> Table:
    """Return one run of each: its numbers are means over thousands of steps."""
    del repeat
    title = f"Workers: {RUNNING} jobs polled at once again and again, {WAITING:,} waiting"
    table = Table(title, ("processes", *HEADS))
    bare = run_load("bare", 2)
    table.rows.append((BARE, *bare.cells()))
    found = {count: run_load("worker", count) for count in (1, 2, 4)}
    for count, load in found.items():
        table.rows.append((f"veo worker, {count} of them", *load.cells()))
    table.targets += [
        Target(
            "steps per second of 2 workers, ratio to the bare engine",
            found[2].steps_s / bare.steps_s,
            0.8,
            is_minimum=True,
        ),
        Target("take-over s", found[2].take_over_s, TAKE_OVER_LIMIT_S),
    ]
    return table


def run_load(kind: str, count: int) -> Load:
    """Run some processes for a while; with two of them, kill one at the end."""
    from postgres_server import start_server

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(pacer(0.0, 0.0, folder))
        server = stack.enter_context(start_server())
        ledger = server.schema_url("bench")
        order = {"kind": kind, "ledger": ledger, "url": url, "home": str(folder), "slots": SLOTS}
        order |= {"running": RUNNING, "waiting": WAITING}
        subprocess.run(
            [sys.executable, CHILD, json.dumps(order | {"kind": f"fill {kind}"})], check=True
        )
        processes = [stack.enter_context(start_child(order)) for _ in range(count)]
        time.sleep(WARM_UP_S)
        noted(url)
        postmaster = int((server.data_folder / "postmaster.pid").read_text().split()[0])
        before = sum(map(cpu_s, [each.pid for each in processes])), tree_cpu_s(postmaster)
        begun = time.perf_counter()
        time.sleep(WINDOW_S)
        seconds = time.perf_counter() - begun
        steps = len(noted(url)[1])
        after = sum(map(cpu_s, [each.pid for each in processes])), tree_cpu_s(postmaster)
        take_over_s = measure_take_over(processes, url) if count == 2 else float("nan")
        late = [each for process in processes if (each := stop_child(process)) is not None]
        return Load(
            steps / seconds,
            (after[0] - before[0]) / steps * 1000,
            (after[1] - before[1]) / steps * 1000,
            mean(late) if late else float("nan"),
            take_over_s,
        )


def measure_take_over(processes: list[subprocess.Popen[str]], url: str) -> float:
    """Kill a process; return the longest time until one of all jobs is polled again."""
    processes.pop().kill()
    begun = time.perf_counter()
    noted(url)
    longest = 0.0
    while time.perf_counter() - begun < TAKE_OVER_LIMIT_S:
        time.sleep(0.5)
        # Each response asked for the next poll at once: what came is late by its whole pause.
        longest = max([longest, *noted(url)[1]])
    return longest


@contextmanager
def start_child(order: dict[str, object]) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, str(CHILD), json.dumps(order)]
    process = subprocess.Popen(words, text=True, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stop_child(process: subprocess.Popen[str]) -> float | None:
    """Stop a process and return how late its steps were on average, in seconds."""
    process.send_signal(signal.SIGTERM)
    assert process.stdout
    line = process.stdout.readline()
    return float(line) if line.strip() else None


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of all its children, those that ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_s(pid) + ended + sum(cpu_s(int(child)) for child in children)
