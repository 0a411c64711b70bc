"""The jobs that this process works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripted import ACCEPTED, Bench, take_step

from veo.errors import KeyMissingError
from veo.ledger import State
from veo.runtime.runner import JobRunner

if TYPE_CHECKING:
    from pathlib import Path

    from veo.engine.context import ProviderHandle


def test_a_job_without_a_key_does_not_stop_the_others(tmp_path: Path) -> None:
    """Of two jobs, the one whose provider has no key is left as it is, and the other continues."""
    bench = Bench(tmp_path)
    bench.set_script("submit", ACCEPTED)
    first, second = bench.plan_job("one"), bench.plan_job("two")
    for job in (first, second):
        take_step(bench.context, job)
    missing = KeyMissingError("no key")
    requested = []

    def find_provider(name: str) -> ProviderHandle:
        requested.append(name)
        if len(requested) == 1:
            raise missing
        return bench.route

    bench.context.find_provider = find_provider
    bench.script_success()
    runner = JobRunner(bench.context, 600.0)
    jobs = runner.work_on([first.record, second.record])
    runner.close()

    assert (jobs[0].done(), jobs[0].error) == (True, missing)
    assert bench.ledger.find_job(jobs[0].id).state is State.SUBMITTED
    assert jobs[1].error is None
    bench.ledger.close()
