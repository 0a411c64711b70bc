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
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

from poll_server import noted, pacer
from table import Table, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
CHILD = Path(__file__).with_name("worker_child.py")
RUNNING, WAITING = 400, 100_000
SLOTS = 32
WARM_UP_S, WINDOW_S = 6.0, 10.0
TAKE_OVER_LIMIT_S = 30.0
BARE = "bare PGQueuer, 2 processes"
SQLITE = "SQLite, 1 process without a worker"
PAYING = 32  # paid requests under way when a worker is stopped
STOP_LIMIT_S = 5.0
HEADS = (
    "steps/s",
    "CPU ms per step",
    "Postgres CPU ms per step",
    "late s",
    "take-over s",
    "stop s",
)


@dataclass(frozen=True)
class Load:
    """What some processes managed while every job was due again at once."""

    steps_s: float
    cpu_ms: float
    postgres_ms: float
    late_s: float  # mean seconds from when a step was due to its beginning
    take_over_s: float  # from the death of one to the last step of its jobs elsewhere
    stop_s: float  # from SIGTERM to the release of all jobs, with all slots busy


def measure(repeat: int) -> Table:
    """Return one run of each: its numbers are means over thousands of steps."""
    del repeat
    title = f"Workers: {RUNNING} jobs polled at once again and again, {WAITING:,} waiting"
    table = Table(title, ("processes", *HEADS))
    bare = run_load("bare", 2)
    table.rows.append((BARE, *astuple(bare)))
    found = {count: run_load("worker", count) for count in (1, 2, 4)}
    table.rows.append((SQLITE, *astuple(run_load("sqlite", 1))))
    for count, load in found.items():
        table.rows.append((f"veo worker, {count} of them", *astuple(load)))
    table.targets += [
        Target(
            "steps per second of 2 workers, ratio to the bare engine",
            found[2].steps_s / bare.steps_s,
            0.8,
            is_minimum=True,
        ),
        Target("take-over s", max(found[2].take_over_s, found[4].take_over_s), TAKE_OVER_LIMIT_S),
        Target("stop s, all slots busy", max(each.stop_s for each in found.values()), STOP_LIMIT_S),
        Target(f"stop s, {PAYING} paid requests without a response", stop_paying(), STOP_LIMIT_S),
    ]
    return table


def run_load(kind: str, count: int) -> Load:
    """Run some processes for a while; with several of them, kill one at the end."""
    with ExitStack() as stack:
        order, server, url = prepare(stack, kind, RUNNING, WAITING, 0.0)
        processes = [stack.enter_context(start_child(order)) for _ in range(count)]
        time.sleep(WARM_UP_S)
        noted(url)
        postmaster = server and int((server.data_folder / "postmaster.pid").read_text().split()[0])
        before = sum(map(cpu_s, [each.pid for each in processes])), tree_cpu_s(postmaster)
        begun = time.perf_counter()
        time.sleep(WINDOW_S)
        seconds = time.perf_counter() - begun
        late = noted(url)[1]
        after = sum(map(cpu_s, [each.pid for each in processes])), tree_cpu_s(postmaster)
        is_killed = count > 1
        take_over_s = measure_take_over(processes, url) if is_killed else float("nan")
        ends = [stop_child(process) for process in processes]
        return Load(
            len(late) / seconds,
            (after[0] - before[0]) / len(late) * 1000,
            (after[1] - before[1]) / len(late) * 1000,
            # A process without a queue has no moment when a step is due but that of the response.
            mean(late) if kind == "sqlite" else mean(each.late_s for each in ends),
            take_over_s,
            max(each.seconds for each in ends),
        )


def prepare(
    stack: ExitStack, kind: str, running: int, waiting: int, latency_s: float
) -> tuple[dict[str, object], PostgresServer | None, str]:
    """Make a ledger with jobs; return the order for the processes, the server, and the pacer."""
    from postgres_server import start_server

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    url = stack.enter_context(pacer(latency_s, 0.0, folder))
    server = None if kind == "sqlite" else stack.enter_context(start_server())
    order = {"kind": kind, "url": url, "home": str(folder), "slots": SLOTS}
    order |= {"ledger": server and server.schema_url("bench"), "in_flight": max(running, PAYING)}
    order |= {"running": running, "waiting": waiting}
    fill = json.dumps(order | {"kind": f"fill {kind}"})
    subprocess.run([sys.executable, CHILD, fill], check=True)
    return order, server, url


def stop_paying() -> float:
    """Return how long a worker takes to stop that waits for responses to paid requests."""
    with ExitStack() as stack:
        order, _, url = prepare(stack, "worker", 0, PAYING, 3600.0)
        process = stack.enter_context(start_child(order))
        while noted(url)[0] < PAYING:
            time.sleep(0.1)
        return stop_child(process).seconds


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


class End(NamedTuple):
    """How a process ended."""

    late_s: float  # how late its steps were on average
    seconds: float  # from SIGTERM until it had released its jobs


def stop_child(process: subprocess.Popen[str]) -> End:
    process.send_signal(signal.SIGTERM)
    begun = time.perf_counter()
    assert process.stdout
    line = process.stdout.readline()
    return End(float(line or "nan"), time.perf_counter() - begun)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree_cpu_s(pid: int | None) -> float:
    """Return the CPU seconds of a process and of all its children, those that ended included."""
    if pid is None:
        return float("nan")
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_s(pid) + ended + sum(cpu_s(int(child)) for child in children)
