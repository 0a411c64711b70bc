"""Workers on one ledger: each job is done once, whatever happens to them or to the database."""

from __future__ import annotations

import random
import signal
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from batch_inputs import (
    find_videos,
    limit_in_flight,
    make_items,
    most_in_flight,
    sum_charges,
    wait_until,
    write_batch,
)
from PIL import Image
from worker_process import LEASE_S, start_worker

from veo.config import read_config
from veo.errors import AuthError, BudgetError, LedgerError
from veo.ledger import Ledger, Record, State
from veo.ledger.database import PATIENCE_S
from veo.ledger.queue import list_workers, parked_error
from veo.ledger.record import QUEUE
from veo.paths import ledger_folder
from veo_commands import exit_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli_runner import Veo
    from fork_server import ForkedProcess
    from postgres_server import PostgresServer

    import veo_sandbox

pytest_plugins = ("ledger_databases", "veo_fixtures")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent


@pytest.fixture
def ledger(
    postgres: PostgresServer,
    service: veo_sandbox.Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ledger]:
    """An empty ledger on Postgres, which all commands use, and a sandbox as the live service."""
    monkeypatch.setenv("VEO_LEDGER", postgres.schema_url(f"w{abs(hash(tmp_path))}"))
    ledger = Ledger(ledger_folder(), url=read_config().config.ledger)
    yield ledger
    ledger.close()


def count_states(ledger: Ledger) -> Counter[str]:
    return Counter(str(job.state) for job in ledger.list_jobs())


def finish(*workers: ForkedProcess) -> list[int]:
    """Wait for workers to end, and return their exit codes; what they wrote is in the report."""
    for worker in workers:
        print(worker.pid, *worker.communicate(), sep="\n")  # noqa: T201 - shown if the test fails
    return [worker.wait() for worker in workers]


def test_a_detached_batch_is_made_by_workers(
    veo: Veo, service: veo_sandbox.Sandbox, ledger: Ledger
) -> None:
    """The command leaves at once with all jobs planned; a worker makes them, then ends."""
    limit_in_flight(3)
    service.change(latency="0.2")
    left = veo("batch", write_batch(*make_items(8)), "--detach")
    planned = count_states(ledger)
    codes = finish(start_worker("--until-idle"))

    assert left.code == 0, left.err
    assert "no worker is running" in left.err
    assert planned == {"planned": 8}
    assert codes == [0]
    assert count_states(ledger) == {"done": 8}
    assert len(find_videos()) == 8
    assert most_in_flight(service.tasks()) <= 3
    assert sum_charges(service) == sum(job.charged for job in ledger.list_jobs())


def test_a_detached_batch_leaves_what_exceeds_a_cap(veo: Veo, ledger: Ledger) -> None:
    """It plans what fits, says what does not, and does not wait for money to be released."""
    left = veo("batch", write_batch(*make_items(3)), "--detach", "--max-cost", "0.30", "--json")

    assert left.code == BudgetError.exit_code
    assert [item["state"] for item in left.objects] == ["planned", "planned", "not sent"]
    assert count_states(ledger) == {"planned": 2}


def test_what_the_queue_forgets_is_made(
    veo: Veo, service: veo_sandbox.Sandbox, ledger: Ledger
) -> None:
    """The row of a planned job is all that is needed, whenever PGQueuer loses what it knows."""
    limit_in_flight(4)
    service.change(latency="1")
    veo("batch", write_batch(*make_items(8)), "--detach")
    worker = start_worker("--until-idle")
    for count in (1, 6):  # while some jobs are in flight, and others are planned
        wait_until(lambda: len(service.tasks()) >= count)  # noqa: B023 - called at once
        with ledger.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM pgqueuer")

    assert finish(worker) == [0]
    assert count_states(ledger) == {"done": 8}
    assert len(service.tasks()) == 8


def test_a_command_follows_its_job(veo: Veo, ledger: Ledger) -> None:
    """`generate` waits for the video that a worker makes, and prints its path."""
    worker = start_worker("--slots", "2")
    wait_until(lambda: list_workers(ledger))
    made = veo("generate", "a lion", "-o", "lion.mp4")
    shown = veo("workers", "--json")
    worker.send_signal(signal.SIGTERM)

    assert made.code == 0, made.err
    assert made.out.strip().endswith("lion.mp4")
    assert "no worker is running" not in made.err
    assert len(shown.objects) == 2
    assert shown.objects[1]["backlog"]["planned"] == 0
    assert finish(worker) == [0]
    assert list_workers(ledger) == []


def test_a_job_that_cannot_continue_is_parked(
    veo: Veo, service: veo_sandbox.Sandbox, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker tries it again; `resume` says why, and continues it."""
    service.change(latency="3600")
    assert veo("generate", "a lion", "-o", "lion.mp4", "--detach").code == 0
    worker = start_worker()
    wait_until(lambda: count_states(ledger)["planned"] == 0)
    worker.send_signal(signal.SIGTERM)
    assert finish(worker) == [0]
    with monkeypatch.context() as wrong:
        wrong.setenv("VEO_API_KEY", "another-key")
        assert finish(start_worker("--until-idle")) == [0]
    (parked,) = ledger.list_jobs()
    error = parked_error(ledger.read_history(parked.id))
    service.advance(3600)
    worker = start_worker()
    wait_until(lambda: list_workers(ledger))
    resumed = veo("resume")
    worker.send_signal(signal.SIGTERM)

    assert (parked.owner, parked.has_ended) == (None, False)
    assert isinstance(error, AuthError)
    assert resumed.code == 0, resumed.err
    assert finish(worker) == [0]
    assert count_states(ledger) == {"done": 1}


def test_cancel_withdraws_a_job_that_no_worker_has_sent(veo: Veo, ledger: Ledger) -> None:
    """Its money is released, and no worker sends it."""
    veo("generate", "a lion", "-o", "lion.mp4", "--detach")
    (job,) = ledger.list_jobs()
    assert (job.state, job.owner) == (State.PLANNED, QUEUE)
    assert veo("cancel", job.id).code == 0
    assert finish(start_worker("--until-idle")) == [0]
    (job,) = ledger.list_jobs()
    assert (job.state, job.reserved, job.submits) == (State.FAILED, 0, 0)


@pytest.mark.parametrize(
    ("grace", "delay", "state"), [("0.2", 20, "unknown"), ("60", 0.5, "submitted")]
)
def test_a_worker_that_is_stopped_while_it_pays(
    veo: Veo, service: veo_sandbox.Sandbox, ledger: Ledger, grace: str, delay: float, state: str
) -> None:
    """It stores the response if that comes soon, else it says so; it releases all jobs."""
    service.change(latency="3600")
    veo("generate", "a lion", "-o", "lion.mp4", "--detach")
    worker = start_worker("--grace", grace)
    wait_until(lambda: all(job.task_id for job in ledger.list_jobs()))
    service.change(delay=delay)
    veo("generate", "a tiger", "-o", "tiger.mp4", "--detach")
    wait_until(lambda: count_states(ledger)["submitting"])
    worker.send_signal(signal.SIGTERM)
    _, report = worker.communicate()
    second, first = ledger.list_jobs()

    assert worker.wait() == 0
    assert (first.has_ended, first.owner) == (False, QUEUE)
    assert (second.state, second.owner) == (state, QUEUE if state == "submitted" else None)
    assert (f"job {second.id} is unknown: " in report) == (state == "unknown")


def test_metrics_are_served(veo: Veo, ledger: Ledger) -> None:
    """Steps, lateness and the backlog, in the format of Prometheus."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    worker = start_worker("--metrics", str(port))
    veo("generate", "a lion", "-o", "lion.mp4")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        text = response.read().decode()
    worker.send_signal(signal.SIGTERM)

    assert finish(worker) == [0]
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert int(values["veo_steps_total"]) >= 3
    assert values["veo_workers"] == "1"
    assert values['veo_jobs{state="planned"}'] == "0"


def test_a_worker_waits_for_its_database(
    veo: Veo, ledger: Ledger, postgres: PostgresServer
) -> None:
    """One that starts before the server says so, and ends only when it is stopped."""
    veo("generate", "a lion", "-o", "lion.mp4", "--detach")
    postgres.stop()
    waiting, stopped = start_worker("--until-idle"), start_worker()
    for worker in (waiting, stopped):
        assert worker.stderr
        assert "waiting for the ledger postgresql://" in worker.stderr.readline()
    stopped.send_signal(signal.SIGTERM)
    codes = finish(stopped)
    postgres.start()

    assert codes == [exit_codes.INTERRUPTED]
    assert finish(waiting) == [0]
    assert count_states(ledger) == {"done": 1}


def test_a_worker_stops_while_its_database_is_away(
    ledger: Ledger, postgres: PostgresServer
) -> None:
    """It does not wait for what it cannot store, and says that."""
    worker = start_worker()
    wait_until(lambda: list_workers(ledger))
    postgres.stop()
    assert worker.stderr
    wait_until(lambda: "the queue is opened again" in worker.stderr.readline())
    worker.send_signal(signal.SIGTERM)
    _, report = worker.communicate(timeout=PATIENCE_S / 2)
    postgres.start()

    assert worker.returncode == LedgerError.exit_code
    assert "error: cannot use the ledger" in report


def test_kills_freezes_and_a_restart(
    veo: Veo, service: veo_sandbox.Sandbox, ledger: Ledger, postgres: PostgresServer
) -> None:
    """Workers are killed, frozen until others take over, and lose the database: no job is lost.

    No job is paid twice, and neither the limit of jobs in flight nor any sum is wrong.
    """
    limit_in_flight(6)
    service.change(latency="uniform:0.1,0.6", delay=0.05)
    veo("batch", write_batch(*make_items(40)), "--detach")
    chance = random.Random(13)
    workers = [start_worker() for _ in range(3)]
    for number in range(4):
        wait_until(lambda: len(service.tasks()) >= 6 * (number + 1))  # noqa: B023
        victim = workers.pop(chance.randrange(3))
        victim.kill()
        victim.communicate()
        workers.append(start_worker())
    frozen = workers[0]
    frozen.send_signal(signal.SIGSTOP)
    wait_until(lambda: len(service.tasks()) >= 30)
    postgres.stop()
    postgres.start()
    time.sleep(LEASE_S)  # a worker is taken for dead when nothing is heard of it for so long
    frozen.send_signal(signal.SIGCONT)
    wait_until(lambda: set(count_states(ledger)) <= {"done", "unknown"})
    for worker in workers:
        worker.send_signal(signal.SIGTERM)

    assert finish(*workers) == [0, 0, 0]
    check_books(service, ledger.list_jobs())
    assert most_in_flight(service.tasks()) <= 6


def check_books(service: veo_sandbox.Sandbox, jobs: list[Record]) -> None:
    """Check that no job was sent twice, and that every charge is in the ledger."""
    tasks = {task["task"] for task in service.tasks()}
    known = {job.task_id for job in jobs if job.task_id}
    unknown = [job for job in jobs if job.state is State.UNKNOWN]
    assert {job.state for job in jobs} <= {State.DONE, State.UNKNOWN}
    assert all(job.submits <= 1 for job in jobs)
    assert known <= tasks
    assert len(tasks - known) <= len(unknown)
    done = [job for job in jobs if job.state is State.DONE]
    assert len(find_videos()) == len(done)
    bills = {bill["task"]: bill["amount"] for bill in service.bills() if bill["state"] == "charged"}
    assert {job.task_id: job.charged / 1e6 for job in done} == {
        task: amount for task, amount in bills.items() if task in known
    }


def test_a_frame_reaches_a_worker_without_the_file(
    veo: Veo, service: veo_sandbox.Sandbox, ledger: Ledger
) -> None:
    """A worker on another machine has the images of a request from the ledger."""
    frame = Path("frame.png")
    Image.new("RGB", (720, 1280), "teal").save(frame)
    left = veo("generate", "a lion", "-o", "lion.mp4", "--start-frame", str(frame), "--detach")
    frame.unlink()

    assert left.code == 0, left.err
    assert finish(start_worker("--until-idle")) == [0]
    assert count_states(ledger) == {"done": 1}
    assert len(service.tasks()) == 1


def read_quick_start() -> list[list[str]]:
    """Return the `veo` commands of the quick start, as arguments."""
    text = (ROOT / "docs" / "many-machines.md").read_text()
    block = text.split("## Quick start")[1].split("```sh\n")[1].split("```")[0]
    return [line.split()[1:] for line in block.splitlines() if line.startswith("veo ")]


def test_the_quick_start(veo: Veo, ledger: Ledger) -> None:
    """The commands of docs/many-machines.md, as they are written there."""
    write_batch(*make_items(3), name="clips.json")
    for command in read_quick_start():
        if command[0] == "worker":
            assert finish(start_worker(*command[1:])) == [0]
        else:
            assert veo(*command).code == 0
    assert count_states(ledger) == {"done": 3}


def test_the_deployment_starts_workers(veo: Veo, ledger: Ledger) -> None:
    """Compose file, image and systemd unit name commands and settings that exist."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    service = compose["services"]["worker"]
    unit = (ROOT / "deploy" / "veo-worker.service").read_text()
    started = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    name, *options = service["command"]
    worker = start_worker(*options)
    made = veo("generate", "a lion", "-o", "lion.mp4")
    worker.send_signal(signal.SIGTERM)

    assert service["deploy"]["replicas"] == 2
    assert set(service["environment"]) == {"VEO_LEDGER", "VEO_API_KEY"}
    assert name == "worker"
    assert started.split()[1:] == service["command"]
    assert "USER veo" in (ROOT / "deploy" / "Dockerfile").read_text()
    assert made.code == 0, made.err
    assert finish(worker) == [0]
    assert count_states(ledger) == {"done": 1}
