"""Several clients at the same work, each against a fresh server with the same service times."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import TYPE_CHECKING

from child import Order, run
from server import KEY, sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROFILES = {"openai": "openai", "google-genai": "official"}


@dataclass(frozen=True)
class Way:
    """A client, and the seconds between its polls where it does not decide them itself."""

    client: str
    poll_s: float = 0.0


@dataclass(frozen=True)
class Contest:
    """The work.

    Attributes:
        jobs: How many videos, of 1 MB each.
        slots: How many at a time.
        median_s: Seconds that one takes.
        latency: The same as the sandbox takes it.
    """

    jobs: int
    slots: int
    median_s: float
    latency: str

    def once(self, way: Way, seed: int) -> Result:
        """Have one client do it."""
        profile = PROFILES.get(way.client, "capture-2025-11")
        options = {"latency": self.latency, "seed": seed, "profile": profile}
        with sandbox(**options, clip_bytes=1_000_000) as server:
            folder = server.folder
            work = (self.jobs, self.slots, self.median_s, way.poll_s)
            cost = run(Order(way.client, server.url, KEY, str(folder), *work))
            done = {task["request"]["prompt"]: task["done_at"] for task in server.tasks()}
            files = [(f"clip {int(path.stem):05}.", path.stat()) for path in folder.glob("*.mp4")]
            return Result(
                over_limit=cost.wall / server.limit(self.slots),
                late=sum(stat.st_mtime - done[prompt] for prompt, stat in files) / len(files),
                jobs_s=self.jobs / cost.wall,
                polls=server.steps()["poll"] / self.jobs,
                cpu_ms=cost.cpu / self.jobs * 1000,
                rss_mb=cost.rss_mb,
                whole=sum(stat.st_size >= 1_000_000 for _, stat in files) / self.jobs,
            )

    def medians(self, ways: Mapping[str, Way], seeds: Sequence[int]) -> dict[str, Result]:
        """Every client with every seed, in turns, so that all meet the machine's moods."""
        runs = [{name: self.once(way, seed) for name, way in ways.items()} for seed in seeds]
        return {name: Result.median([each[name] for each in runs]) for name in ways}


@dataclass(frozen=True)
class Result:
    """What a client took.

    Attributes:
        over_limit: Wall time over the least that the server allows.
        late: Mean seconds from "completed" to a saved file.
        jobs_s: Jobs a second.
        polls: Polls a job.
        cpu_ms: CPU milliseconds a job.
        rss_mb: The most memory that the process had, imports included.
        whole: Share of the files that are there, whole.
    """

    over_limit: float
    late: float
    jobs_s: float
    polls: float
    cpu_ms: float
    rss_mb: float
    whole: float

    @staticmethod
    def median(results: Sequence[Result]) -> Result:
        """Each number's median."""
        names = [field.name for field in fields(Result)]
        return Result(**{name: median(getattr(each, name) for each in results) for name in names})

    def cells(self, *names: str) -> tuple[float, ...]:
        """Some of the numbers."""
        numbers = asdict(self)
        return tuple(numbers[name] for name in names)
