"""Many jobs from Python: submitted together, returned as they end, and batches of values."""

from __future__ import annotations

import asyncio
import json
import sys
import tracemalloc
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batch_inputs import PRICE, find_videos, make_items, sum_charges, wait_until, write_batch

import veo
from veo.batch.item import Item
from veo.batch.progress import estimate_remaining_s, take_snapshot
from veo.config import Config
from veo.engine.context import ActiveJob
from veo.errors import BudgetError, InvalidBatchError
from veo.job import Job
from veo.key import Key
from veo.ledger.heartbeat import WorkerLease
from veo.problems import ItemLocation
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import veo_sandbox


@pytest.fixture
def server(sandbox: Callable[..., veo_sandbox.Sandbox]) -> veo_sandbox.Sandbox:
    return sandbox()


@pytest.fixture
def client(server: veo_sandbox.Sandbox) -> Iterator[veo.Client]:
    limits = {"median_s": 0.2, "submits_per_minute": 100_000, "model": "veo-3.1-fast"}
    config = Config(providers={"laozhang-async": limits}, retired="ignore")
    with veo.Client(config, endpoint=veo.Endpoint(server.url, Key(server.key))) as client:
        yield client


def test_submitted_together(client: veo.Client, server: veo_sandbox.Sandbox) -> None:
    """Jobs are returned at once, in order; each ends with its video."""
    prompts = [f"take {number}" for number in range(12)]
    jobs = client.submit_all(prompts, outputs=[f"{number}.mp4" for number in range(12)])

    assert [job.record.parse_request().prompt for job in jobs] == prompts
    assert sorted(job.result().path.name for job in veo.as_completed(jobs)) == sorted(find_videos())
    assert sum_charges(server) == 12 * PRICE


def test_awaited_together(client: veo.Client) -> None:
    """The same jobs can be awaited."""

    async def await_names() -> set[str]:
        jobs = client.submit_all(["lion", "tiger"])
        return {(await job).path.name async for job in veo.completed(jobs)}

    assert asyncio.run(await_names()) == find_videos()


def test_all_or_nothing(client: veo.Client, server: veo_sandbox.Sandbox) -> None:
    """If the jobs together exceed the cap, none is started."""
    with pytest.raises(BudgetError, match=r"\$0.45 does not fit under max_cost of \$0.30"):
        client.submit_all(["a", "b", "c"], max_cost=Decimal("0.30"))

    assert (client.ledger.list_jobs(), server.requests()) == ([], [])


def test_every_problem_of_every_request(client: veo.Client) -> None:
    """All requests are checked; the error lists each problem with the index of its request."""
    with pytest.raises(InvalidBatchError) as caught:
        client.submit_all(["a", "", "c"], outputs=["x.mp4", "y.mp4", "x.mp4"])

    assert [problem.location.index for problem in caught.value.problems] == [1, 2]
    assert client.ledger.list_jobs() == []


def test_a_batch_is_iterated(client: veo.Client, server: veo_sandbox.Sandbox) -> None:
    """A batch yields its items as they end; a second batch yields them at once, as skipped."""
    file = write_batch(*make_items(6))
    first = Counter(entry.state for entry in client.batch(file, output_dir=Path("videos")))
    again = client.batch(file, output_dir=Path("videos"))
    second = Counter(entry.state for entry in again)

    assert (first, second) == ({"done": 6}, {"skipped": 6})
    assert sum_charges(server) == 6 * PRICE


def test_a_batch_of_requests(client: veo.Client) -> None:
    """A batch of requests and items is recognised when it is run again."""
    items = [
        Request(prompt="lion"),
        Item(ItemLocation(1), Request(prompt="tiger"), output="tiger.mp4"),
    ]
    states = [[entry.state for entry in client.batch(items)] for _ in range(2)]

    assert states == [["done"] * 2, ["skipped"] * 2]
    assert "tiger.mp4" in find_videos()


def test_a_batch_of_mappings(client: veo.Client) -> None:
    """Mappings with the keys of a file are accepted, and every invalid one is reported."""
    items = [{"prompt": "lion", "output": "lion.mp4"}, {"promt": "tiger"}]
    with pytest.raises(InvalidBatchError, match="did you mean prompt"):
        client.batch(items)

    assert [entry.state for entry in client.batch(items[:1])] == ["done"]
    assert "lion.mp4" in find_videos()


def test_a_batch_of_text(client: veo.Client) -> None:
    """The content of a file is accepted as bytes."""
    batch = client.batch(json.dumps([{"prompt": "lion"}]).encode())

    assert [entry.state for entry in batch] == ["done"]


def test_a_snapshot_adds_up(client: veo.Client, server: veo_sandbox.Sandbox) -> None:
    """A snapshot counts all items, and has the money of the ledger."""
    server.change(latency="1")
    batch = client.batch(write_batch(*make_items(4)), max_cost=Decimal("0.45"))
    batch.start()
    first = take_snapshot(batch)
    for _ in batch:
        pass
    last = take_snapshot(batch)

    assert (first.total, sum(first.counts.values()), first.cap) == (4, 4, 3 * PRICE)
    assert first.spending.held == 3 * PRICE
    assert first.remaining_s
    assert (last.ended, last.counts, last.remaining_s) == (4, {"done": 3, "not sent": 1}, None)
    assert last.spending.charged == 3 * PRICE


def test_a_job_that_another_process_took_over_is_followed(
    client: veo.Client, server: veo_sandbox.Sandbox
) -> None:
    """A batch follows a job whose lease another process took, and continues it after that."""
    server.change(latency="1")
    batch = client.batch(write_batch("lion"))
    batch.start()
    wait_until(lambda: client.ledger.list_jobs(states=[veo.State.SUBMITTED]))
    other = WorkerLease(client.ledger)
    with client.ledger.database.write() as connection:
        sql = "UPDATE jobs SET version = version + 100, owner = ?"
        connection.exec_driver_sql(sql, (other.id,))
    (entry,) = batch.in_flight
    own_job = entry.job
    wait_until(lambda: batch.advance(0.1) or entry.job is not own_job)
    owner = entry.job and entry.job.record.owner
    other.close()

    assert owner == other.id
    assert [each.state for each in batch] == ["done"]
    assert len(server.tasks()) == 1


@pytest.mark.parametrize(
    ("left", "waiting", "expected"),
    [
        ([], 0, 0),
        ([90, 40], 0, 90),
        ([], 30, 300),
        ([50] * 10, 10, 150),
        ([100], 100, 1010),
    ],
    ids=[
        "no jobs",
        "youngest job",
        "three rounds",
        "half a round and one",
        "100 jobs",
    ],
)
def test_remaining_time_by_slots(left: list[float], waiting: int, expected: float) -> None:
    """With ten slots and 100 s a job the estimate is that of the jobs in flight and the rounds."""
    assert estimate_remaining_s(left, waiting, 100, 10, 60_000) == pytest.approx(expected, abs=1)


def test_remaining_time_by_submit_rate(client: veo.Client) -> None:
    """With ten submits a minute sixty short jobs take six minutes."""
    assert estimate_remaining_s([], 60, 10, 1000, 10) == 10 + 354


def test_jobs_take_little_memory(client: veo.Client) -> None:
    """Ten thousand jobs take at most half a kilobyte each."""
    record = client.submit_all(["lion"])[0].record
    tracemalloc.start()
    jobs = [Job(ActiveJob(record)) for _ in range(10_000)]
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sys.getsizeof(jobs) < memory < 10_000 * 512
