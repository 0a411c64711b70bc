"""Sums over a ledger of 100,000 jobs: `veo cost` and `veo jobs --cost` beside a bare SQL sum."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import insert
from table import Table, Target

from veo.ledger import Ledger, NewJob, State
from veo.ledger.reserve import make_job_id
from veo.ledger.rows import split_chunks, to_row
from veo.ledger.schema import jobs
from veo.money import Quote
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.ledger import Record

JOBS, DAYS, RUNS = 100_000, 90, 500
DAY_S = 86_400.0
KIB_PER_MIB = 1024
STATES = (State.DONE, State.DONE, State.DONE, State.FAILED, State.UNKNOWN, State.RUNNING)
BARE = """
import sqlite3, sys
sums = "sum(reserved), sum(charged), sum(doubtful), count(*)"
print(*sqlite3.connect(sys.argv[1]).execute(f"SELECT state, {sums} FROM jobs GROUP BY state"))
"""
# The child reports its own peak memory; the peak that a parent sees includes the forked parent.
REPORT = """
import atexit, pathlib, re, sys
def report(peak_file=sys.argv.pop(1)):
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path(peak_file).write_text(re.search(r"VmHWM:\\s*(\\d+)", status)[1])
atexit.register(report)
"""
RUN_COMMAND = "from veo_commands import main; main()"
BARE_SUM, COST, JOBS_COST = "a bare SQL sum", "veo cost", "veo jobs --cost"


QUOTE = Quote(
    amount=Decimal("0.15"),
    charged="on_success",
    per="call",
    unit=Decimal("0.15"),
    quantity=1,
    as_of=date(2026, 11, 21),
    source="https://docs.example/prices",
)
NEW_JOB = NewJob(
    run="",
    provider="laozhang-async",
    model="veo-3.1-fast",
    request=Request(prompt="A lion walks through tall grass at sunset, filmed from the side."),
    output="/videos/lion.mp4",
    quote=QUOTE,
)


class Usage(NamedTuple):
    """What a process took: seconds of wall time, of CPU, MiB at its peak."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def measure(repeat: int) -> Table:
    """Medians of rounds in turns; each number is a whole process, start-up included."""
    table = Table(
        f"Sums over {JOBS:,} jobs", ("command", "seconds", "CPU s", "MiB", "CPU of a bare SQL sum")
    )
    with tempfile.TemporaryDirectory() as folder:
        write_ledger(Path(folder))
        commands = {
            BARE_SUM: (BARE, str(Path(folder) / "ledger.db")),
            COST: (RUN_COMMAND, "cost", "--json"),
            JOBS_COST: (RUN_COMMAND, "jobs", "--cost", "--json"),
        }
        rounds = [
            {name: run(*command, home=folder) for name, command in commands.items()}
            for _ in range(repeat + 1)
        ][1:]  # the first reads the file into memory
    medians = {
        name: Usage(*map(median, zip(*(each[name] for each in rounds), strict=True)))
        for name in commands
    }
    bare = medians[BARE_SUM]
    for name, usage in medians.items():
        table.rows.append((name, *usage, usage.cpu_s / bare.cpu_s))
    ratio = medians[JOBS_COST].cpu_s / medians[COST].cpu_s
    table.targets.append(Target(f"CPU of {JOBS_COST}, of {COST}", ratio, 1.05))
    return table


def write_ledger(folder: Path) -> None:
    """Write jobs of several states, days, runs and models, without their histories."""
    ledger = Ledger(folder)
    records = make_records(ledger.plan_jobs([NEW_JOB]).records[0])
    with ledger.database.write() as connection:
        for some in split_chunks(records):
            connection.execute(insert(jobs), [to_row(record) for record in some])
    ledger.close()


def make_records(first: Record) -> Iterator[Record]:
    for number in range(JOBS - 1):
        state = STATES[number % len(STATES)]
        is_charged = state is State.DONE
        yield replace(
            first,
            id=make_job_id(),
            run=f"run-{number % RUNS}",
            provider=("laozhang-async", "laozhang-sync", "gemini")[number % 3],
            state=state,
            output=f"/videos/lion-{number}.mp4",
            reserved=first.reserved if state in {State.UNKNOWN, State.RUNNING} else 0,
            charged=first.reserved if is_charged else 0,
            certain=state is not State.UNKNOWN,
            created_at=first.created_at - DAY_S * DAYS * number / JOBS,
        )


def run(code: str, *arguments: str, home: str) -> Usage:
    """Run Python code as a process to its end."""
    peak_file = Path(home) / "peak"
    begun = perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", REPORT + code, str(peak_file), *arguments],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"VEO_HOME": home},
        cwd=home,
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments}: exit code {process.returncode}")
    seconds = perf_counter() - begun
    return Usage(seconds, usage.ru_utime + usage.ru_stime, int(peak_file.read_text()) / KIB_PER_MIB)
