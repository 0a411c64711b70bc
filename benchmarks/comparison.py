"""Run several clients on the same workload, each against a fresh server of equal speed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import TYPE_CHECKING

from child import Order, run_order
from server import KEY, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROFILES = {"openai": "openai", "google-genai": "official"}


@dataclass(frozen=True)
class Client:
    """A client by name, and the seconds between its polls if it has no poll schedule of its own."""

    client: str
    poll_s: float = 0.0


@dataclass(frozen=True)
class Workload:
    """The videos to make.

    Attributes:
        jobs: Number of videos, 1 MB each.
        slots: Number of jobs in flight at a time.
        median_s: Median seconds to make one.
        latency: The distribution of those seconds, as a sandbox option.
    """

    jobs: int
    slots: int
    median_s: float
    latency: str

    def run_client(self, way: Client, seed: int) -> Result:
        """Run one client and return its measurements."""
        profile = PROFILES.get(way.client, "capture-2025-11")
        options = {"latency": self.latency, "seed": seed, "profile": profile}
        with start_sandbox(**options, clip_bytes=1_000_000) as server:
            folder = server.folder
            work = (self.jobs, self.slots, self.median_s, way.poll_s)
            cost = run_order(Order(way.client, server.url, KEY, str(folder), *work))
            done = {task["request"]["prompt"]: task["done_at"] for task in server.list_tasks()}
            files = [(f"clip {int(path.stem):05}.", path.stat()) for path in folder.glob("*.mp4")]
            return Result(
                wall_ratio=cost.wall_s / server.least_wall_s(self.slots),
                delay_s=sum(stat.st_mtime - done[prompt] for prompt, stat in files) / len(files),
                jobs_per_s=self.jobs / cost.wall_s,
                polls_per_job=server.count_requests()["poll"] / self.jobs,
                cpu_ms=cost.cpu_s / self.jobs * 1000,
                rss_mb=cost.rss_mb,
                complete=sum(stat.st_size >= 1_000_000 for _, stat in files) / self.jobs,
            )

    def run_all(self, ways: Mapping[str, Client], seeds: Sequence[int]) -> dict[str, Result]:
        """Run every client with every seed and return the medians.

        Clients alternate, so that a slow phase of the machine affects all of them.
        """
        runs = [{name: self.run_client(way, seed) for name, way in ways.items()} for seed in seeds]
        return {name: Result.median_of([each[name] for each in runs]) for name in ways}


@dataclass(frozen=True)
class Result:
    """Measurements of one client.

    Attributes:
        over_limit: Wall time divided by the least that the server's service times allow.
        late: Mean seconds from the task's completion to a saved file.
        jobs_s: Jobs per second.
        polls: Polls per job.
        cpu_ms: CPU milliseconds per job.
        rss_mb: Peak memory of the process in MB, imports included.
        whole: Share of the jobs with a complete file.
    """

    wall_ratio: float
    delay_s: float
    jobs_per_s: float
    polls_per_job: float
    cpu_ms: float
    rss_mb: float
    complete: float

    @staticmethod
    def median_of(results: Sequence[Result]) -> Result:
        """Return the median of each measurement."""
        names = [field.name for field in fields(Result)]
        return Result(**{name: median(getattr(each, name) for each in results) for name in names})

    def cells(self, *names: str) -> tuple[float, ...]:
        """Return the measurements with these names."""
        numbers = asdict(self)
        return tuple(numbers[name] for name in names)
