"""Batches side by side on one ledger stay within the limits of their provider together."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batch_inputs import (
    count_states,
    find_videos,
    limit_in_flight,
    make_items,
    most_in_flight,
    most_in_window,
    wait_until,
    write_batch,
)
from cli_runner import fork_command
from sqlalchemy import func, select

from veo.ledger import Ledger
from veo.ledger.schema import events, sends
from veo.paths import ledger_folder

if TYPE_CHECKING:
    from fork_server import ForkedProcess

    import veo_sandbox

pytest_plugins = ("veo_fixtures",)
pytestmark = pytest.mark.slow


def start_batches(count: int, items: int) -> list[ForkedProcess]:
    """Start batches of different items, each in a process and a folder of its own."""
    running = []
    for number in range(count):
        Path(f"batch-{number}").mkdir()
        batch = [
            {"prompt": f"{number}: {item['prompt']}", "output": f"batch-{number}/{item['output']}"}
            for item in make_items(items)
        ]
        running.append(fork_command("batch", write_batch(*batch, name=f"{number}.json")))
    return running


def test_batches_share_the_jobs_in_flight(service: veo_sandbox.Sandbox) -> None:
    """Three processes of four items: never more than two tasks at once, and all are made."""
    limit_in_flight(2)
    service.change(latency="0.3")
    running = start_batches(3, 4)
    for process in running:
        process.communicate()

    assert [process.returncode for process in running] == [0] * 3
    assert most_in_flight(service.tasks()) == 2
    assert Counter(task["state"] for task in service.tasks()) == {"completed": 12}
    assert sum(len(find_videos(f"batch-{number}")) for number in range(3)) == 12


def count_requests() -> tuple[int, int]:
    """Return the requests that the ledger counts, and those of them that were too late to be sent.

    A busy machine may send nothing for a moment after a request was counted. It is then counted
    again, or put off.
    """
    ledger = Ledger(ledger_folder())
    next_kind = func.lead(events.c.kind).over(partition_by=events.c.job, order_by=events.c.id)
    with ledger.database.read() as connection:
        counted = connection.scalar(select(func.sum(sends.c.count)))
        pairs = connection.execute(select(events.c.kind, next_kind)).all()
    ledger.close()
    late = sum(kind == "submitting" and after in ("submitting", "late") for kind, after in pairs)
    return counted or 0, late


def test_batches_share_the_requests_of_a_minute(service: veo_sandbox.Sandbox) -> None:
    """Ten processes: when twelve requests are sent, none sends more, nor more than ten at once."""
    limit_in_flight(10)
    config = Path("veo.toml")
    config.write_text(
        config.read_text().replace("submits_per_minute = 100000", "submits_per_minute = 12")
    )
    service.change(latency="0.5")
    running = start_batches(10, 2)
    wait_until(lambda: sum(count_states().values()) == 20)  # all processes have begun
    wait_until(lambda: count_requests()[0] == 12 and set(count_states()) == {"planned", "done"})
    for process in running:
        process.send_signal(signal.SIGINT)
        process.communicate()
    counted, late = count_requests()
    sent_at = [each["at"] for each in service.requests() if each["method"] == "POST"]

    assert counted == 12
    assert len(service.tasks()) == len(sent_at) == 12 - late
    assert most_in_window(sent_at, 60.0) <= 12
    assert most_in_flight(service.tasks()) <= 10
