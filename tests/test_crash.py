"""Killed at any moment: nothing is paid twice, nothing that was paid for is lost."""

from __future__ import annotations

import itertools
import random
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash_client import PLANNED, PROVIDERS, Life, freeze
from fork_server import ForkedProcess
from sample_videos import make_video

from veo.files.mp4 import find_defect
from veo.ledger import Ledger, Record, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_databases import FolderUrl

    import veo_sandbox

pytest_plugins = ("ledger_databases",)
pytestmark = pytest.mark.slow

KILLS = 25
MAX_COMMITS = 20  # of one job
# Deaths during the paid request; a stream reports its progress twice before it ends.
UNKNOWN_COUNTS = dict.fromkeys(PROVIDERS, 1) | {"laozhang-sync": 3}


@pytest.fixture
def server(sandbox: Callable[..., veo_sandbox.Sandbox]) -> veo_sandbox.Sandbox:
    """A sandbox that outlives the clients, and takes a moment for everything."""
    return sandbox(latency="uniform:0.05,0.3", clip_bytes=200_000, processing_lag=0)


@pytest.fixture
def life(database: FolderUrl, server: veo_sandbox.Sandbox, tmp_path: Path) -> Life:
    """A client of it that resumes all jobs and is not killed."""
    home = tmp_path / "home"
    return Life(server.url, server.key, home, ledger=database(home))


def list_jobs(home: Path) -> list[Record]:
    """Return the jobs in a ledger."""
    ledger = Ledger(home)
    jobs = ledger.list_jobs()
    ledger.close()
    return jobs


def prove(server: veo_sandbox.Sandbox, home: Path) -> list[Record]:
    """Check what must hold after any number of deaths and a last resume, and return the jobs."""
    jobs = list_jobs(home)
    prompts = {job.parse_request().prompt: job for job in jobs}
    tasks = {task["task"]: task["request"]["prompt"] for task in server.tasks()}
    charged = [bill for bill in server.bills() if bill["state"] == "charged"]
    amounts = {tasks[bill["task"]]: round(bill["amount"] * 1_000_000) for bill in charged}
    done = {prompt: job for prompt, job in prompts.items() if job.state is State.DONE}
    unknown = [prompt for prompt, job in prompts.items() if job.state is State.UNKNOWN]

    assert len(done) + len(unknown) == len(jobs)
    assert all(job.submits <= 1 for job in jobs)
    assert len(charged) == len(amounts)
    assert len(set(tasks.values())) == len(tasks)
    assert set(done) <= set(tasks.values()) <= {*done, *unknown}
    assert {job.task_id for job in jobs} - {None} <= set(tasks)
    assert {prompt: job.charged for prompt, job in done.items()} == {
        prompt: amount for prompt, amount in amounts.items() if prompt in done
    }
    for job in done.values():
        with Path(job.output).open("rb") as file:
            assert find_defect(file) is None
    assert {str(path) for path in home.glob("*.mp4")} == {job.output for job in done.values()}
    return jobs


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("database", "provider"),
    [*(("sqlite", provider) for provider in PROVIDERS), ("postgres", PROVIDERS[0])],
    indirect=["database"],
)
def test_killed_at_every_commit_point(
    server: veo_sandbox.Sandbox, life: Life, provider: str, when: str
) -> None:
    """Death just before or after each transaction of a job's life, then one resume of all jobs."""
    for number in range(MAX_COMMITS):
        end = (when, number)
        if replace(life, resume=False, submit=1, provider=provider, die=end).run():
            break
    assert life.run()
    jobs = prove(server, life.home)

    assert 9 <= number < MAX_COMMITS, number
    assert Counter(job.state for job in jobs)[State.UNKNOWN] == UNKNOWN_COUNTS[provider]


@pytest.mark.parametrize(
    ("database", "provider", "when"),
    [
        ("sqlite", "gemini", "full"),
        ("sqlite", "laozhang-sync", "full"),
        ("sqlite", "laozhang-sync", "stays full"),
        ("postgres", "laozhang-async", "stays full"),
    ],
    indirect=["database"],
)
def test_a_disk_that_is_full_at_every_commit_point(
    server: veo_sandbox.Sandbox, life: Life, provider: str, when: str
) -> None:
    """One commit fails, or all from then on; one resume makes every video, and none is unknown."""
    for number in range(MAX_COMMITS):
        if replace(life, resume=False, submit=1, provider=provider, die=(when, number)).run():
            break
    assert life.run()
    jobs = prove(server, life.home)

    assert 9 <= number < MAX_COMMITS, number
    assert {job.state for job in jobs} == {State.DONE}


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_commit_point_of_an_edit(
    server: veo_sandbox.Sandbox, life: Life, tmp_path: Path, when: str
) -> None:
    """Of a file that no job made: it is uploaded again only if the upload was not stored."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(make_video(frames=72))
    for number in range(MAX_COMMITS):
        end = (when, number)
        if replace(life, resume=False, edit=clip, provider="gemini", die=end).run():
            break
    assert life.run()
    jobs = prove(server, life.home)
    uploads = sum(
        request["path"].startswith("/upload/") and not request["query"]  # the start of an upload
        for request in server.requests()
    )

    assert 10 <= number < MAX_COMMITS, number
    assert Counter(job.state for job in jobs)[State.UNKNOWN] == UNKNOWN_COUNTS["gemini"]
    assert uploads == len(jobs) + (when == "before")


@pytest.mark.parametrize(
    ("database", "seed"),
    [*(("sqlite", seed) for seed in range(3)), ("postgres", 3)],
    indirect=["database"],
)
def test_killed_at_random_instants(server: veo_sandbox.Sandbox, life: Life, seed: int) -> None:
    """Twenty-five deaths on one ledger, each time resumed and given more to do."""
    moments = random.Random(seed)
    lives = (replace(life, submit=2, die=moments.uniform(0.0, 0.6)).run() for _ in range(4 * KILLS))
    deaths = sum(1 for _ in itertools.islice((lived for lived in lives if not lived), KILLS))
    assert life.run()
    jobs = prove(server, life.home)

    assert deaths == KILLS
    assert State.DONE in {job.state for job in jobs}


def test_processes_on_one_ledger_never_share_a_job(server: veo_sandbox.Sandbox, life: Life) -> None:
    """Three processes submit and resume side by side; every job has one worker all its life."""
    with ThreadPoolExecutor(3) as threads:
        assert all(threads.map(Life.run, [replace(life, submit=8)] * 6))
    jobs = prove(server, life.home)
    ledger = Ledger(life.home)
    workers = [{e.owner for e in ledger.read_history(job.id) if e.owner} for job in jobs]
    ledger.close()

    assert [job.state for job in jobs] == [State.DONE] * 48
    assert all(len(owners) == 1 for owners in workers)


def test_a_stopped_process_that_wakes_up_does_not_pay_again(
    server: veo_sandbox.Sandbox, life: Life
) -> None:
    """Frozen before the paid request, taken over by another, woken: it sends nothing."""
    frozen = ForkedProcess(freeze, life, stderr=2)
    assert frozen.stdout.readline() == PLANNED
    ledger = Ledger(life.home)
    with ledger.database.write() as connection:  # as if its last heartbeat were long ago
        connection.exec_driver_sql("UPDATE workers SET seen_at = 0")
    assert life.run()
    frozen.send_signal(signal.SIGCONT)
    frozen.communicate(timeout=30)
    (job,) = ledger.list_jobs()
    ledger.close()

    assert job.state is State.DONE
    assert len(server.tasks()) == 1
