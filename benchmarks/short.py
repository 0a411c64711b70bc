"""2,000 short jobs: the cost of the ledger, compared with clients that keep none."""

from __future__ import annotations

from comparison import Client, Workload
from table import Table, Target

WORK = Workload(jobs=2000, slots=256, median_s=2.0, latency="2")
BARE = "bare requests loop, polls as often"
OPENAI = "openai SDK, its 1 s loop"
WAYS = {
    "veo": Client("veo"),
    OPENAI: Client("openai"),
    BARE: Client("bare loop", 0.25),
    "bare requests loop, 5 s scaled": Client("bare loop", 5.0 / 90),
}
HEADS = ("jobs/s", "CPU ms per job", "ratio to bare loop", "MB", "complete")


def measure(repeat: int) -> Table:
    """Return medians over ``repeat`` runs."""
    title = "2,000 jobs of 2 s and 1 MB, 256 in flight, with our ledger synced to disk"
    table = Table(title, ("client", *HEADS))
    results = WORK.run_all(WAYS, range(1, repeat + 1))
    ours, openai, bare = results["veo"], results[OPENAI], results[BARE]
    for name, found in results.items():
        jobs_s, cpu = found.cells("jobs_per_s", "cpu_ms")
        ends = found.cells("rss_mb", "complete")
        table.rows.append((name, jobs_s, cpu, cpu / bare.cpu_ms, *ends))
    table.targets += [
        Target(
            "jobs per second, ratio to the openai SDK",
            ours.jobs_per_s / openai.jobs_per_s,
            1.0,
            is_minimum=True,
        ),
        Target("CPU per job, ratio to the openai SDK", ours.cpu_ms / openai.cpu_ms, 1.0),
        Target("CPU per job, ratio to the bare loop", ours.cpu_ms / bare.cpu_ms, 1.3),
    ]
    return table
