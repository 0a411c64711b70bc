"""The jobs that this process takes into its hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripted import ACCEPTED, Bench, take_step

from veo.errors import KeyMissingError
from veo.ledger import State
from veo.runtime.runner import JobRunner

if TYPE_CHECKING:
    from pathlib import Path

    from veo.engine.context import ProviderHandle


def test_a_job_without_a_key_ends_nothing_but_its_own_work(tmp_path: Path) -> None:
    """Of two jobs the one whose provider has no key is given up as it is, the other goes on."""
    bench = Bench(tmp_path)
    bench.set_script("submit", ACCEPTED)
    first, second = bench.plan_job("one"), bench.plan_job("two")
    for work in (first, second):
        take_step(bench.context, work)
    missing = KeyMissingError("no key")
    asked = []

    def route(name: str) -> ProviderHandle:
        asked.append(name)
        if len(asked) == 1:
            raise missing
        return bench.route

    bench.context.find_provider = route
    bench.script_success()
    hands = JobRunner(bench.context, 600.0)
    jobs = hands.work_on([first.record, second.record])
    hands.close()

    assert (jobs[0].done(), jobs[0].error) == (True, missing)
    assert bench.ledger.find_job(jobs[0].id).state is State.SUBMITTED
    assert jobs[1].error is None
    bench.ledger.close()
