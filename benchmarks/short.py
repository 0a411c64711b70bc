"""2,000 short jobs: what the ledger costs beside clients that keep none."""

from __future__ import annotations

from comparison import Contest, Way
from table import Table, Target

WORK = Contest(jobs=2000, slots=256, median_s=2.0, latency="2")
BARE = "bare requests loop, polls as often"
OPENAI = "openai SDK, its 1 s loop"
WAYS = {
    "veo": Way("veo"),
    OPENAI: Way("openai"),
    BARE: Way("bare loop", 0.25),
    "bare requests loop, 5 s scaled": Way("bare loop", 5.0 / 90),
}
HEADS = ("jobs/s", "CPU ms a job", "of the bare loop's", "MB", "whole")


def measure(repeat: int) -> Table:
    """Medians of so many runs."""
    title = "2,000 jobs of 2 s and 1 MB, 256 in flight, our ledger synced"
    table = Table(title, ("client", *HEADS))
    results = WORK.medians(WAYS, range(1, repeat + 1))
    ours, openai, bare = results["veo"], results[OPENAI], results[BARE]
    for name, found in results.items():
        jobs_s, cpu = found.cells("jobs_s", "cpu_ms")
        ends = found.cells("rss_mb", "whole")
        table.rows.append((name, jobs_s, cpu, cpu / bare.cpu_ms, *ends))
    table.targets += [
        Target("jobs a second over the openai SDK's", ours.jobs_s / openai.jobs_s, 1.0, least=True),
        Target("CPU a job over the openai SDK's", ours.cpu_ms / openai.cpu_ms, 1.0),
        Target("CPU a job over the bare loop's", ours.cpu_ms / bare.cpu_ms, 1.3),
    ]
    return table
