"""Batches that are killed and run again: each item is made once, or its outcome is unknown."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_inputs import (
    accepted_prompts,
    all_accepted,
    count_workers,
    find_videos,
    limit_in_flight,
    list_jobs,
    make_items,
    sum_charges,
    wait_until,
    write_batch,
)
from cli_runner import Veo, fork_command, run_forked

from veo.ledger import Record, State

if TYPE_CHECKING:
    from fork_server import ForkedProcess

    import veo_sandbox

pytest_plugins = ("veo_fixtures",)
pytestmark = pytest.mark.slow

ITEMS = 60
KILLS = 5
GET_FAULTS: tuple[dict[str, Any], ...] = (
    {"fault": "http_429", "retry_after": 1},
    {"fault": "http_500"},
    {"fault": "reset"},
    {"fault": "html_200"},
)


@pytest.fixture
def faulty_service(service: veo_sandbox.Sandbox) -> veo_sandbox.Sandbox:
    """A slow service; a tenth of its responses to GETs and POSTs are errors."""
    limit_in_flight(16)
    service.change(latency="uniform:0.05,0.3", delay=0.03, seed=4)
    for fault in GET_FAULTS:
        service.fault(**fault, on=["poll", "content", "file"], rate=0.025)
    service.fault("http_429", on=["create"], every=20, retry_after=1)
    service.fault("http_503_overload", on=["create"], every=20, after=10, retry_after=1)
    return service


def kill_after(running: ForkedProcess, videos: int) -> bool:
    """Kill a batch when so many videos exist, and return whether it was still running."""
    wait_until(lambda: running.poll() is not None or len(list(Path().glob("*.mp4"))) >= videos)
    running.kill()
    running.communicate()
    return running.returncode == -signal.SIGKILL


def check_batch(service: veo_sandbox.Sandbox, count: int) -> dict[str, Record]:
    """Check a batch that ran to its end, and return the unknown jobs by prompt."""
    records = list_jobs()
    done = {job.task_id: job for job in records if job.state is State.DONE}
    unknown = [job for job in records if job.state is State.UNKNOWN]
    tasks = {task["task"]: task["request"]["prompt"] for task in service.tasks()}
    unanswered = Counter(prompt for task, prompt in tasks.items() if task not in done)
    unknown_by_prompt = {job.parse_request().prompt: job for job in unknown}
    bills = [bill for bill in service.bills() if bill["task"] in done]

    assert len(records) == len(done) + len(unknown) == count
    assert sorted(job.output for job in records) == sorted(
        str(Path(item["output"]).absolute()) for item in make_items(count)
    )
    assert max(Counter(accepted_prompts(service)).values()) == 1
    assert set(unanswered) <= set(unknown_by_prompt)
    assert Counter({bill["task"]: round(bill["amount"] * 1_000_000) for bill in bills}) == {
        task: job.charged for task, job in done.items()
    }
    assert sum_charges(service) <= sum(job.charged + job.reserved for job in records)
    assert find_videos() == {Path(job.output).name for job in done.values()}
    return unknown_by_prompt


def test_five_kills_and_faults(faulty_service: veo_sandbox.Sandbox) -> None:
    """Sixty items, a tenth of all exchanges faulty, five kills: each item is made once."""
    file = write_batch(*make_items(ITEMS))
    kills = 0
    for number in range(KILLS):
        kills += kill_after(fork_command("batch", file), 6 * (number + 1))
    last = run_forked("batch", file, "--json")
    unknown = check_batch(faulty_service, ITEMS)
    states = Counter(json.loads(line)["state"] for line in last.out.splitlines())

    assert kills == KILLS
    assert last.code == (5 if unknown else 0), last.err
    assert states["unknown"] == len(unknown)
    assert states.total() == ITEMS


def test_lost_responses_are_listed(veo: Veo, faulty_service: veo_sandbox.Sandbox) -> None:
    """Every tenth response to a POST is lost: exactly those items are unknown."""
    faulty_service.fault("drop_answer", every=10)
    result = veo("batch", write_batch(*make_items(ITEMS)), "--json")
    unknown = check_batch(faulty_service, ITEMS)
    unanswered = {
        task["request"]["prompt"] for task in faulty_service.tasks() if not task["answered"]
    }

    assert result.code == 5
    assert unanswered
    assert set(unknown) == unanswered
    assert {job["index"] for job in result.objects if job["state"] == "unknown"} == {
        int(prompt.split()[1]) for prompt in unanswered
    }


def test_lost_responses_and_kills(faulty_service: veo_sandbox.Sandbox) -> None:
    """With lost responses and kills nothing is sent twice, and each unknown item is listed."""
    faulty_service.fault("drop_answer", every=10)
    file = write_batch(*make_items(ITEMS))
    for number in range(KILLS):
        kill_after(fork_command("batch", file), 6 * (number + 1))
    last = run_forked("batch", file)
    unknown = check_batch(faulty_service, ITEMS)
    unanswered = {
        task["request"]["prompt"] for task in faulty_service.tasks() if not task["answered"]
    }

    assert last.code == 5, last.err
    assert unanswered <= set(unknown)


def test_ctrl_c_stops_a_batch(service: veo_sandbox.Sandbox) -> None:
    """After Ctrl-C sent jobs go on, unsent ones hold no money, and the next run continues."""
    service.change(latency="2", delay=0.02)
    file = write_batch(*make_items(ITEMS))
    running = fork_command("batch", file, "--json")
    wait_until(lambda: len(service.tasks()) >= 5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    states = Counter(job.state for job in list_jobs())
    sent = len(service.tasks())
    second = run_forked("batch", file)

    assert running.returncode == 130
    assert "in progress: `veo resume` or the same command fetches them" in err
    assert len(out.splitlines()) == ITEMS
    assert states[State.SUBMITTED] + states[State.RUNNING] == sent
    assert set(states) <= {State.SUBMITTED, State.RUNNING, State.FAILED}
    assert second.code == 0, second.err
    assert sorted(accepted_prompts(service)) == sorted(item["prompt"] for item in make_items(ITEMS))
    assert len(find_videos()) == ITEMS


def test_sigterm_with_all_jobs_in_flight(service: veo_sandbox.Sandbox) -> None:
    """The process waits for none; all are resumed, all are done, none is paid for twice."""
    service.change(latency="3600")
    file = write_batch(*make_items(20))
    running = fork_command("batch", file, "--json")
    wait_until(lambda: all_accepted(20))
    running.send_signal(signal.SIGTERM)
    lines, _ = running.communicate(timeout=30)
    stopped = list_jobs()
    service.advance(3600)
    second = run_forked("batch", file)

    assert running.returncode == 130
    messages = [json.loads(line)["error"]["message"] for line in lines.splitlines()]
    assert [text.partition(": ")[2] for text in messages] == ["the batch was interrupted"] * 20
    assert {job.state for job in stopped} <= {State.SUBMITTED, State.RUNNING}
    assert {job.owner for job in stopped} == {None}
    assert second.code == 0, second.err
    assert len(service.tasks()) == len(find_videos()) == 20


def test_ctrl_c_while_another_process_follows(service: veo_sandbox.Sandbox) -> None:
    """Jobs that one process withdraws unsent are sent by another that follows them."""
    limit_in_flight(8)
    service.change(latency="3600")  # the first process must not finish before the second starts
    file = write_batch(*make_items(40))
    first = fork_command("batch", file)
    wait_until(service.tasks)
    second = fork_command("batch", file)
    wait_until(lambda: count_workers() == 2)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    service.change(latency="0")
    service.advance(3600)
    second.communicate(timeout=60)

    assert (first.returncode, second.returncode) == (130, 0)
    assert sorted(accepted_prompts(service)) == sorted(item["prompt"] for item in make_items(40))
    assert len(find_videos()) == 40


def test_a_kill_while_another_process_follows(service: veo_sandbox.Sandbox) -> None:
    """The jobs of a killed process are taken over by the process that follows them."""
    service.change(latency="3600")
    file = write_batch(*make_items(20))
    first = fork_command("batch", file)
    wait_until(lambda: all_accepted(20))
    second = fork_command("batch", file, "--json")
    wait_until(lambda: count_workers() == 2)
    first.kill()
    first.communicate()
    service.advance(3600)
    out, err = second.communicate(timeout=60)

    assert second.returncode == 0, err
    assert [json.loads(line)["state"] for line in out.splitlines()] == ["done"] * 20
    assert len(accepted_prompts(service)) == 20
    assert len(find_videos()) == 20
