"""Helpers for tests of ``veo batch``: files of items, and what ledger and sandbox hold."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.files.mp4 import find_defect
from veo.ledger import Ledger, Record
from veo.paths import ledger_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import veo_sandbox

PRICE = 150_000


def write_batch(*items: dict[str, Any] | str, name: str = "batch.json") -> Path:
    """Write a batch file into the current folder; a text is an item with that prompt and output."""
    path = Path(name)
    values = [
        {"prompt": item, "output": f"{item}.mp4"} if isinstance(item, str) else item
        for item in items
    ]
    path.write_text(json.dumps(values))
    return path


def make_items(count: int) -> list[dict[str, Any]]:
    """Return so many different items."""
    return [{"prompt": f"take {index}", "output": f"{index:03}.mp4"} for index in range(count)]


def list_jobs() -> list[Record]:
    """Return the jobs of the test's ledger, the oldest first."""
    ledger = Ledger(ledger_folder())
    found = ledger.list_jobs()
    ledger.close()
    return found[::-1]


def count_states() -> Counter[str]:
    """Return the number of jobs by state."""
    return Counter(str(job.state) for job in list_jobs())


def accepted_prompts(service: veo_sandbox.Sandbox) -> list[str]:
    """Return the prompt of every task that the sandbox accepted."""
    return [task["request"]["prompt"] for task in service.tasks()]


def sum_charges(service: veo_sandbox.Sandbox) -> int:
    """Return the sum of the sandbox's charges, in millionths of a USD."""
    charges = [bill for bill in service.bills() if bill["state"] == "charged"]
    return sum(round(bill["amount"] * 1_000_000) for bill in charges)


def most_in_flight(tasks: list[dict[str, Any]]) -> int:
    """Return how many tasks the sandbox had at the same moment, at most."""
    changes = [(task["created_at"], 1) for task in tasks]
    changes += [(task["done_at"], -1) for task in tasks]
    highest = count = 0
    for _, change in sorted(changes):
        count += change
        highest = max(highest, count)
    return highest


def most_in_window(times: Iterable[float], seconds: float) -> int:
    """Return how many times lie within so many seconds of each other, at most."""
    recent: deque[float] = deque()
    highest = 0
    for time_s in sorted(times):
        recent.append(time_s)
        while recent[0] <= time_s - seconds:
            recent.popleft()
        highest = max(highest, len(recent))
    return highest


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until a condition is true; the limit is for a machine on which much else runs."""
    deadline = time.monotonic() + seconds
    begun = time.thread_time()
    while not condition():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        # A condition may read the whole ledger: it gets a tenth of a core, the processes the rest.
        time.sleep(max(0.02, 10 * (time.thread_time() - begun)))
        begun = time.thread_time()


def all_accepted(count: int) -> bool:
    """Return whether the ledger has so many jobs, and the provider accepted each of them."""
    jobs = list_jobs()
    return len(jobs) == count and all(job.task_id for job in jobs)


def count_workers() -> int:
    """Return the number of processes that work on jobs of the test's ledger."""
    return len(list((ledger_folder() / "workers").glob("*.lock")))


def limit_in_flight(in_flight: int) -> None:
    """Limit the jobs that the configured provider may have in flight."""
    config = Path("veo.toml")
    table = "[providers.laozhang-async]\n"
    config.write_text(config.read_text().replace(table, f"{table}max_in_flight = {in_flight}\n"))


def find_videos(folder: Path | str = ".") -> set[str]:
    """Return the names of the videos in a folder, after checking that each is a complete MP4."""
    paths = sorted(Path(folder).glob("*.mp4"))
    for path in paths:
        with path.open("rb") as file:
            assert find_defect(file) is None, path
    return {path.name for path in paths}
