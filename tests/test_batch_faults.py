"""Faults that make other clients lose money, with forty jobs each: one paid request a job."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_inputs import (
    PRICE,
    accepted_prompts,
    all_accepted,
    count_states,
    find_videos,
    list_jobs,
    make_items,
    sum_charges,
    wait_until,
    write_batch,
)
from cli_runner import Veo, fork_command, run_forked

from veo.ledger import State

if TYPE_CHECKING:
    import veo_sandbox

pytest_plugins = ("veo_fixtures",)
pytestmark = pytest.mark.slow

JOBS = 40


def count_posts(service: veo_sandbox.Sandbox) -> int:
    """Return the number of paid requests that reached the sandbox."""
    return sum(seen["method"] == "POST" for seen in service.requests())


def configure_provider(service: veo_sandbox.Sandbox, **settings: Any) -> None:
    """Add settings to the configuration of the provider."""
    config = Path("veo.toml")
    table = "[providers.laozhang-async]\n"
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    config.write_text(config.read_text().replace(table, table + lines))


@pytest.fixture
def slow_service(service: veo_sandbox.Sandbox) -> veo_sandbox.Sandbox:
    """A service that responds to paid requests after the client's read timeout."""
    configure_provider(service, read_s=0.4)
    service.fault("slow_answer", seconds=1.5)
    return service


def test_lost_responses_leave_unknown_jobs(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Every response is lost: one request a job, all jobs unknown, their money reserved."""
    service.fault("drop_answer")
    result = veo("batch", write_batch(*make_items(JOBS)))

    assert result.code == 5
    assert count_posts(service) == len(accepted_prompts(service)) == JOBS
    assert count_states() == {"unknown": JOBS}
    assert sum(job.reserved for job in list_jobs()) == sum_charges(service) == JOBS * PRICE


def test_a_late_response_is_not_sent_again(veo: Veo, slow_service: veo_sandbox.Sandbox) -> None:
    """A paid request whose response comes too late is not repeated."""
    result = veo("batch", write_batch(*make_items(JOBS)))

    assert result.code == 5
    assert count_posts(slow_service) == JOBS
    assert count_states() == {"unknown": JOBS}


def test_bad_poll_responses_are_survived(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A tenth of the polls get invalid responses: every video is made."""
    service.change(latency="uniform:0.1,0.5", seed=3)
    for fault in ("garbage_json", "html_200", "http_500", "reset"):
        service.fault(fault, on=["poll"], rate=0.025)
    result = veo("batch", write_batch(*make_items(JOBS)))

    assert result.code == 0, result.err
    assert count_posts(service) == JOBS
    assert len(find_videos()) == JOBS


@pytest.mark.parametrize("fault", ["cut", "cut_unframed", "short_file"])
def test_truncated_downloads_are_completed(
    veo: Veo, service: veo_sandbox.Sandbox, fault: str
) -> None:
    """Every first download is cut short: each file is complete under its final name."""
    service.fault(fault, on=["content", "file"], first=1)
    result = veo("batch", write_batch(*make_items(JOBS)))

    assert result.code == 0, result.err
    assert count_posts(service) == JOBS
    assert len(find_videos()) == JOBS


def test_a_killed_batch_is_continued_for_free(service: veo_sandbox.Sandbox) -> None:
    """After a kill while all jobs run, the second run sends no paid request."""
    service.change(latency="2")
    configure_provider(service, max_in_flight=JOBS)
    file = write_batch(*make_items(JOBS))
    running = fork_command("batch", file)
    wait_until(lambda: running.poll() is not None or all_accepted(JOBS))
    assert running.poll() is None
    running.kill()
    running.communicate()
    again = run_forked("batch", file)

    assert again.code == 0, again.err
    assert count_posts(service) == JOBS
    assert len(find_videos()) == JOBS
    assert sum_charges(service) == JOBS * PRICE


def test_each_fault_has_its_own_outcome(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Invalid polls, a task that never ends, a lost file: three outcomes; the rest is made."""
    service.fault("garbage_json", on=["poll"], match="take 1.", first=2)
    service.fault("never_finishes", match="take 2.")
    service.fault("file_404", match="take 3.")
    items = [item | {"prompt": f"{item['prompt']}."} for item in make_items(8)]
    result = veo("batch", write_batch(*items), "--timeout", "9", "--json")

    outcomes = {
        job["index"]: (job["state"], (job["error"] or {}).get("type")) for job in result.objects
    }
    assert outcomes == dict.fromkeys(range(8), ("done", None)) | {
        2: ("running", "StillRunningError"),
        3: ("ready", "MissingVideoError"),
    }
    assert result.code == 7
    assert Counter(job.state for job in list_jobs())[State.DONE] == len(find_videos()) == 6
