"""Caps of a batch: the items that fit are made, the rest is not sent, over all processes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

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
from cli_runner import Veo, fork_command

from veo.ledger import Ledger
from veo.paths import ledger_folder

if TYPE_CHECKING:
    import veo_sandbox

pytest_plugins = ("veo_fixtures",)
pytestmark = pytest.mark.slow


def running_totals() -> list[int]:
    """Return the sum of reserved, charged and doubtful money after each event of the ledger."""
    ledger = Ledger(ledger_folder())
    events = [event for job in ledger.list_jobs() for event in ledger.read_history(job.id)]
    ledger.close()
    events.sort(key=lambda event: event.id)
    changes = (event.reserved + event.charged + event.doubtful for event in events)
    return list(itertools.accumulate(changes))


def test_items_under_the_cap_are_made(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The first items that fit under --max-cost are made; the message names the cap needed."""
    result = veo("batch", write_batch(*make_items(5)), "--max-cost", "0.45", "--json")

    reported = {job["index"]: job["state"] for job in result.objects}
    assert result.code == 4
    assert reported == dict.fromkeys(range(3), "done") | dict.fromkeys((3, 4), "not sent")
    assert result.objects[-1]["error"]["type"] == "BudgetError"
    assert "2 not sent: $0.30 does not fit under max_cost of $0.45" in result.err
    assert "max_cost would have to be at least $0.75" in result.err


def test_a_cap_counts_all_runs(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Charges of earlier runs of the file count; with a higher cap the rest is made."""
    file = write_batch(*make_items(5))
    veo("batch", file, "--max-cost", "0.45")
    same = veo("batch", file, "--max-cost", "0.45")
    more = veo("batch", file, "--max-cost", "0.75")

    assert (same.code, more.code) == (4, 0)
    assert "2 done, 3 skipped" in more.err
    assert sum_charges(service) == 5 * PRICE


def test_money_released_by_failures_is_used(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Failed items release their reservations: as many others are made as the cap allows."""
    service.fault("failed", first=3)
    result = veo("batch", write_batch(*make_items(8)), "--max-cost", "0.45")

    assert result.code == 4
    assert count_states() == {"failed": 3, "done": 3}
    assert sum_charges(service) == 3 * PRICE
    assert max(running_totals()) == 3 * PRICE


def test_configured_caps_apply(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """max_cost and the daily budget apply as well; the message names every exceeded cap."""
    config = Path("veo.toml")
    config.write_text(f"max_cost = 0.45\n{config.read_text()}[budget]\ndaily = 0.30\n")
    result = veo("batch", write_batch(*make_items(5)))

    assert result.code == 4
    assert "max_cost would have to be at least $0.75" in result.err
    assert "budget.daily would have to be at least $0.75" in result.err
    assert len(accepted_prompts(service)) == 2


def test_a_cap_stops_a_resubmit(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An unknown item is not sent again when its second price does not fit under the cap."""
    service.fault("drop_answer", first=1)
    file = write_batch("lion")
    veo("batch", file)
    result = veo("batch", file, "--resubmit-unknown", "--max-cost", "0.29")

    assert result.code == 4
    assert len(accepted_prompts(service)) == 1
    assert count_states() == {"unknown": 1}


def test_two_processes_never_exceed_the_cap(service: veo_sandbox.Sandbox) -> None:
    """Two processes with 40 items stay under a cap of $3.00 at every event of the ledger."""
    service.change(latency="uniform:0.05,0.3", seed=8)
    service.fault("failed", every=7)
    file = write_batch(*make_items(40))
    processes = [fork_command("batch", file, "--max-cost", "3", "--json") for _ in range(2)]
    outs = [each.communicate(timeout=60)[0] for each in processes]
    reported = [[json.loads(line) for line in out.splitlines()] for out in outs]
    made = [job for job in list_jobs() if job.state == "done"]

    assert [each.returncode for each in processes] == [4, 4]
    assert max(running_totals()) == 20 * PRICE
    assert len(made) == len({job.output for job in made}) == 20
    assert sum_charges(service) == 20 * PRICE
    assert len(find_videos()) == 20
    for items in reported:
        assert {item["index"] for item in items} == set(range(40))


def test_two_processes_make_each_item_once(service: veo_sandbox.Sandbox) -> None:
    """Two processes run one file at the same time: one job an item, and both report all done."""
    service.change(latency="uniform:0.05,0.3")
    file = write_batch(*make_items(40))
    processes = [fork_command("batch", file, "--json") for _ in range(2)]
    outs = [each.communicate(timeout=60)[0] for each in processes]

    assert [each.returncode for each in processes] == [0, 0]
    for out in outs:
        items = [json.loads(line) for line in out.splitlines()]
        assert len(items) == 40
        assert {item["state"] for item in items} == {"done"}
    assert count_states() == {"done": 40}
    assert sorted(accepted_prompts(service)) == sorted(item["prompt"] for item in make_items(40))
    assert len(find_videos()) == 40
