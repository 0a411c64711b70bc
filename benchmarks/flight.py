"""10,000 jobs in flight in one process, each polled every 5 s, with a response after 150 ms."""

from __future__ import annotations

import os
import re
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles

from child import Order, start_client
from poll_server import noted, pacer
from server import KEY
from table import Table, Target

JOBS, EVERY_S, LATENCY_S = 10_000, 5.0, 0.150
WINDOW_S = 20.0
VEO, BARE = "veo", "one heap, 400 threads, Session.get"
FLOOR = "one heap, a task per poll, bare aiohttp"
CLIENTS = {VEO: "veo", FLOOR: "bare aiohttp", BARE: "bare heap"}


@dataclass(frozen=True)
class Load:
    """What a client took while all jobs were in flight."""

    core: float  # share of one core
    kb: float  # memory a job, KB, above what the process had before its first job
    rate: float  # polls a second
    median_ms: float  # how late the middle poll came, milliseconds
    p99_ms: float  # how late all but the worst hundredth came


def load(client: str) -> Load:
    """Have a client keep all jobs in flight, and look at it for a while."""
    with tempfile.TemporaryDirectory() as folder, pacer(LATENCY_S, EVERY_S, Path(folder)) as url:
        order = Order(client, url, KEY, folder, JOBS, JOBS, 90.0, EVERY_S)
        with start_client(order) as process:
            before = _kb(process.pid)
            process.start_work()
            while noted(url)[0] < JOBS:
                time.sleep(1.0)
            time.sleep(3 * EVERY_S)
            noted(url)
            cpu, begun = _cpu(process.pid), time.perf_counter()
            time.sleep(WINDOW_S)
            seconds = time.perf_counter() - begun
            core = (_cpu(process.pid) - cpu) / seconds
            late = noted(url)[1]
            kb = (_kb(process.pid) - before) / JOBS
    ms = [each * 1000 for each in late]
    return Load(core, kb, len(late) / seconds, median(ms), quantiles(ms, n=100)[-1])


def measure(repeat: int) -> Table:
    """One run of each: it is long, and its numbers are means over thousands of polls."""
    del repeat
    heads = ("of a core", "KB a job", "polls/s", "late, ms", "p99 late, ms")
    title = "10,000 jobs in flight, each polled every 5 s, 150 ms to a response"
    table = Table(title, ("client", *heads))
    found = {name: load(client) for name, client in CLIENTS.items()}
    for name, it in found.items():
        table.rows.append((name, it.core, it.kb, it.rate, it.median_ms, it.p99_ms))
    ours, floor, bare = found[VEO], found[FLOOR], found[BARE]
    table.targets += [
        Target("of a core", ours.core, 0.50 if find_spec("uvloop") else 0.65),
        Target("KB a job", ours.kb, 3),
        Target("p99 late, ms", ours.p99_ms, 50),
        Target("CPU a poll, of bare aiohttp's", _a_poll(ours) / _a_poll(floor), 1.25),
        # The first limit was set where these threads took 125 % of a core and fell behind.
        Target("CPU a poll, of the bare heap's", _a_poll(ours) / _a_poll(bare), 80 / 125),
    ]
    return table


def _a_poll(it: Load) -> float:
    return it.core / it.rate


def _kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
