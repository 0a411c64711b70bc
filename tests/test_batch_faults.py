"""What loses money elsewhere, forty jobs each: one request a job, no broken file, nothing lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_inputs import (
    PRICE,
    accepted_prompts,
    count_states,
    find_videos,
    list_jobs,
    make_items,
    sum_charges,
    write_batch,
)
from cli_runner import Veo, run_process, start_process

from veo.ledger import State

if TYPE_CHECKING:
    import veo_sandbox

pytest_plugins = ("veo_fixtures",)

JOBS = 40


def count_posts(service: veo_sandbox.Sandbox) -> int:
    """How many paid requests reached the sandbox."""
    return sum(seen["method"] == "POST" for seen in service.requests())


def configure_provider(service: veo_sandbox.Sandbox, **settings: Any) -> None:
    """Add settings to the configured provider."""
    config = Path("veo.toml")
    table = "[providers.laozhang-async]\n"
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    config.write_text(config.read_text().replace(table, table + lines))


@pytest.fixture
def impatient(service: veo_sandbox.Sandbox) -> veo_sandbox.Sandbox:
    """A service whose answers to paid requests come after the client has given up."""
    configure_provider(service, read_s=0.4)
    service.fault("slow_answer", seconds=1.5)
    return service


def test_answers_dropped(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Every answer lost: one request a job, all of them listed, their money held."""
    service.fault("drop_answer")
    ran = veo("batch", write_batch(*make_items(JOBS)))

    assert ran.code == 5
    assert count_posts(service) == len(accepted_prompts(service)) == JOBS
    assert count_states() == {"unknown": JOBS}
    assert sum(job.reserved for job in list_jobs()) == sum_charges(service) == JOBS * PRICE


def test_answers_after_the_read_timeout(veo: Veo, impatient: veo_sandbox.Sandbox) -> None:
    """A request that is answered too late is not made again."""
    ran = veo("batch", write_batch(*make_items(JOBS)))

    assert ran.code == 5
    assert count_posts(impatient) == JOBS
    assert count_states() == {"unknown": JOBS}


def test_bad_polls(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A tenth of the polls answered with nonsense: every job survives."""
    service.change(latency="uniform:0.1,0.5", seed=3)
    for fault in ("garbage_json", "html_200", "http_500", "reset"):
        service.fault(fault, on=["poll"], rate=0.025)
    ran = veo("batch", write_batch(*make_items(JOBS)))

    assert ran.code == 0, ran.err
    assert count_posts(service) == JOBS
    assert len(find_videos()) == JOBS


@pytest.mark.parametrize("fault", ["cut", "cut_unframed", "short_file"])
def test_truncated_downloads(veo: Veo, service: veo_sandbox.Sandbox, fault: str) -> None:
    """Every first download cut short: no broken file under a final name, all of them whole."""
    service.fault(fault, on=["content", "file"], first=1)
    ran = veo("batch", write_batch(*make_items(JOBS)))

    assert ran.code == 0, ran.err
    assert count_posts(service) == JOBS
    assert len(find_videos()) == JOBS


def test_killed_and_run_again(service: veo_sandbox.Sandbox) -> None:
    """Killed while all jobs run: the second run sends nothing."""
    service.change(latency="2")
    configure_provider(service, max_in_flight=JOBS)
    file = write_batch(*make_items(JOBS))
    running = start_process("batch", file)
    while not (len(known := list_jobs()) == JOBS and all(job.task_id for job in known)):
        assert running.poll() is None
    running.kill()
    running.communicate()
    again = run_process("batch", file)

    assert again.code == 0, again.err
    assert count_posts(service) == JOBS
    assert len(find_videos()) == JOBS
    assert sum_charges(service) == JOBS * PRICE


def test_each_trouble_has_its_own_end(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Garbage for a while, never finished, file gone: three outcomes, the rest untouched."""
    service.fault("garbage_json", on=["poll"], match="take 1.", first=2)
    service.fault("never_finishes", match="take 2.")
    service.fault("file_404", match="take 3.")
    items = [item | {"prompt": f"{item['prompt']}."} for item in make_items(8)]
    ran = veo("batch", write_batch(*items), "--timeout", "9", "--json")

    told = {job["index"]: (job["state"], (job["error"] or {}).get("type")) for job in ran.objects}
    assert told == dict.fromkeys(range(8), ("done", None)) | {
        2: ("running", "StillRunningError"),
        3: ("expired", "GoneError"),
    }
    assert ran.code == 6
    assert Counter(job.state for job in list_jobs())[State.DONE] == len(find_videos()) == 6
