"""Killed at any moment: nothing is paid twice, nothing that was paid for is lost."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crash_client as mortal
import pytest
from crash_client import Mortals

from veo.files.mp4 import find_defect
from veo.ledger import Ledger, Record, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import veo_sandbox

pytestmark = pytest.mark.slow

KILLS = 25
COMMITS = 14


@pytest.fixture
def server(sandbox: Callable[..., veo_sandbox.Sandbox]) -> veo_sandbox.Sandbox:
    """A sandbox that outlives the clients, and takes a moment for everything."""
    return sandbox(latency="uniform:0.05,0.3", clip_bytes=200_000)


@pytest.fixture
def mortals(server: veo_sandbox.Sandbox) -> Iterator[Mortals]:
    """Clients of it that can be told when to die."""
    with Mortals(server.url, server.key) as mortals:
        yield mortals


def get(server: veo_sandbox.Sandbox, path: str) -> Any:
    """What the sandbox itself says."""
    with urllib.request.urlopen(f"{server.url}{path}") as answer:
        return json.load(answer)


def jobs_of(home: Path) -> list[Record]:
    """The ledger's jobs."""
    ledger = Ledger(home)
    jobs = ledger.list_jobs()
    ledger.close()
    return jobs


def prove(server: veo_sandbox.Sandbox, home: Path) -> list[Record]:
    """What must hold after any number of deaths and a last resume."""
    jobs = jobs_of(home)
    bills = get(server, "/sandbox/bills")
    given = {task["task"] for task in get(server, "/sandbox/tasks")}
    known = {job.task_id for job in jobs if job.task_id}
    unknown = [job for job in jobs if job.state is State.UNKNOWN]
    charged = [bill for bill in bills if bill["state"] == "charged"]

    assert {job.state for job in jobs} <= {State.DONE, State.UNKNOWN}
    assert all(job.submits <= 1 for job in jobs)
    assert len(charged) == len({bill["task"] for bill in charged})
    assert known <= given
    assert len(given - known) <= len(unknown)
    assert len(given) <= len(jobs)
    owed = {bill["task"]: round(bill["amount"] * 1_000_000) for bill in charged}
    assert {job.task_id: job.charged for job in jobs if job.state is State.DONE} == {
        task: amount for task, amount in owed.items() if task in known
    }
    for job in jobs:
        if job.state is State.DONE:
            with Path(job.output).open("rb") as file:
                assert find_defect(file) is None
    finals = {str(path) for path in home.glob("*.mp4")}
    assert finals == {job.output for job in jobs if job.state is State.DONE}
    return jobs


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_commit_point(
    server: veo_sandbox.Sandbox, mortals: Mortals, tmp_path: Path, when: str
) -> None:
    """Death just before and just after each transaction of a job's life."""
    lived = []
    for number in range(COMMITS):
        home = tmp_path / f"{when}-{number}"
        lived.append(mortals.run(home, submit=1, die=[when, number]))
        assert mortals.run(home)
    jobs = [job for number in range(COMMITS) for job in jobs_of(tmp_path / f"{when}-{number}")]
    bills = [bill["task"] for bill in get(server, "/sandbox/bills")]

    assert lived.count(False) >= 11  # twelve where a poll saw it running
    assert {job.state for job in jobs} == {State.DONE, State.UNKNOWN}
    assert len(bills) == len(set(bills)) <= len(jobs)
    assert sum(job.state is State.UNKNOWN for job in jobs) == 1


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_instants(
    server: veo_sandbox.Sandbox, mortals: Mortals, tmp_path: Path, seed: int
) -> None:
    """Twenty-five deaths on one ledger, each time resumed and given more to do."""
    moments = random.Random(seed)
    home = tmp_path / "home"
    lives = 0
    deaths = 0
    while deaths < KILLS and lives < 4 * KILLS:
        deaths += not mortals.run(home, submit=2, die=moments.uniform(0.0, 0.6))
        lives += 1

    assert mortals.run(home)
    jobs = prove(server, home)

    assert deaths == KILLS
    assert State.DONE in {job.state for job in jobs}


def test_processes_on_one_ledger_never_share_a_job(
    server: veo_sandbox.Sandbox, tmp_path: Path
) -> None:
    """Three processes submit and resume side by side; every job has one worker all its life."""
    home = tmp_path / "home"
    with ExitStack() as stack, ThreadPoolExecutor(3) as threads:
        several = [stack.enter_context(Mortals(server.url, server.key)) for _ in range(3)]
        lives = [threads.submit(mortals.run, home, submit=8) for mortals in several * 2]
        assert all(life.result() for life in lives)
    jobs = prove(server, home)
    ledger = Ledger(home)
    workers = [{e.owner for e in ledger.read_history(job.id) if e.owner} for job in jobs]
    ledger.close()

    assert [job.state for job in jobs] == [State.DONE] * 48
    assert all(len(owners) == 1 for owners in workers)


def test_a_stopped_process_that_wakes_up_does_not_pay_again(
    server: veo_sandbox.Sandbox, tmp_path: Path
) -> None:
    """Frozen before the paid request, taken over by another, woken: it sends nothing."""
    home = tmp_path / "home"
    frozen = subprocess.Popen(
        [sys.executable, mortal.__file__, server.url, server.key, str(home)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert frozen.stdout
    assert frozen.stdout.readline() == "planned\n"
    ledger = Ledger(home)
    with ledger.database.write() as connection:  # as if its last heartbeat were long ago
        connection.exec_driver_sql("UPDATE workers SET seen_at = 0")
    with Mortals(server.url, server.key) as mortals:
        assert mortals.run(home)
    frozen.send_signal(signal.SIGCONT)
    frozen.communicate(timeout=30)
    (job,) = ledger.list_jobs()
    ledger.close()

    assert job.state is State.DONE
    assert len(get(server, "/sandbox/tasks")) == 1
