"""A charge that the provider itself reports replaces the quote, whether it is lower or higher."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ACCEPTED, READY, VIDEO, Bench

from veo.batch.match import Action, choose_action
from veo.engine import charging
from veo.engine.context import ActiveJob
from veo.errors import BusyError, ModeratedError
from veo.files import sidecar
from veo.ledger import Cap, NewJob, State
from veo.ledger.statement import list_movements
from veo.update import Stage, Update

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED = Update(stage=Stage.FAILED, error=ModeratedError("a lion is no pet"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose tasks succeed."""
    bench = Bench(tmp_path)
    bench.script_success()
    yield bench
    bench.ledger.close()


def run_with_charge(bench: Bench, update: Update, charge: str) -> ActiveJob:
    """Run a job, quoted at $0.15, whose task ends with an update that reports a charge."""
    bench.set_script("poll", replace(update, charge=Decimal(charge)))
    return bench.run_job(bench.plan_job())


@pytest.mark.parametrize(("charge", "micros"), [("0.0123", 12_300), ("0.811", 811_000), ("0", 0)])
def test_a_video_costs_what_the_provider_reports(bench: Bench, charge: str, micros: int) -> None:
    """The charge is certain, nothing stays reserved, and the quote is kept beside it."""
    job = run_with_charge(bench, READY, charge)

    assert job.record.state is State.DONE
    assert (job.record.reserved, job.record.charged, job.record.certain) == (0, micros, True)
    assert sidecar.cost_to_json(job.record) == {
        "quoted": 0.15,
        "charged": micros / 1e6,
        "currency": "USD",
        "certain": True,
    }


def test_a_refusal_costs_what_the_provider_reports(bench: Bench) -> None:
    """It is a certain charge, although only a success is charged by the price's rule."""
    job = run_with_charge(bench, REFUSED, "0.001")

    assert job.record.state is State.FAILED
    assert (job.record.reserved, job.record.charged, job.record.certain) == (0, 1000, True)


def test_a_failure_that_may_have_been_charged_leaves_its_amount_in_doubt(bench: Bench) -> None:
    """The ledger agrees with the error, and the request is not made again without a question."""
    limited = BusyError("the rate limit struck after it was accepted", charged=None)
    bench.set_script("poll", Update(stage=Stage.FAILED, error=limited))
    record = bench.run_job(bench.plan_job()).record

    assert (record.state, record.charged, record.certain) == (State.FAILED, 0, False)
    assert (record.held_amount, record.in_doubt_amount) == (0, 150_000)
    assert bench.ledger.count_spent(Cap("max_cost", 1_000_000, run="run")) == 150_000
    assert choose_action(record) is Action.PAID


def test_the_statement_names_both_amounts(bench: Bench) -> None:
    """The movement of money says what was reported and what was quoted."""
    job = run_with_charge(bench, READY, "0.811")
    history = bench.ledger.read_history(job.record.id)

    movement = list_movements(history, job.record.parse_quote())[-1]
    assert movement.changes == {"reserved": -150_000, "charged": 811_000}
    assert movement.reason == (
        "the video was made; the provider reports usage of $0.811, quoted $0.15"
    )
    assert sum(event.charged for event in history) == job.record.charged


def test_a_report_replaces_a_charge_at_acceptance(tmp_path: Path) -> None:
    """The quote that was charged with the acceptance is not added to the report."""
    bench = Bench(tmp_path, charged="on_accept")
    bench.script_success()
    job = run_with_charge(bench, READY, "0.10")

    assert (job.record.charged, job.record.certain) == (100_000, True)
    bench.ledger.close()


def test_a_video_in_the_response_to_the_submit_costs_what_is_reported(bench: Bench) -> None:
    """There is no poll in between."""
    bench.set_script("submit", Update(stage=Stage.READY, video=VIDEO, charge=Decimal("0.2")))

    assert bench.run_job(bench.plan_job()).record.charged == 200_000


def test_a_charge_above_the_quote_counts_against_the_caps(bench: Bench) -> None:
    """The caps count the whole charge, and the next reservation does not fit under them."""
    job = run_with_charge(bench, READY, "0.90")
    cap = Cap("max_cost", 1_000_000, run="run")
    assert bench.ledger.count_spent(cap) == 900_000

    record = job.record
    new = NewJob(
        run="run",
        provider=record.provider,
        model=record.model,
        request=record.parse_request(),
        output=f"{record.output}.2",
        quote=record.parse_quote(),
    )
    planned = bench.ledger.plan_jobs([new], [cap], owner="me")
    assert (planned.records, planned.stopped_by, planned.spent) == ([], cap, 900_000)


def test_a_task_without_a_report_costs_the_quote(bench: Bench) -> None:
    """As for every provider that reports no usage."""
    bench.set_script("submit", ACCEPTED)

    assert bench.run_job(bench.plan_job()).record.charged == 150_000


@pytest.mark.parametrize("usage", [None, Decimal("0.2")])
def test_a_quote_by_usage_is_an_estimate_without_a_report(
    bench: Bench, usage: Decimal | None
) -> None:
    """The charge is certain only with one; a later poll without it does not take that back."""
    record = bench.plan_job().record
    quote = json.dumps(record.parse_quote().to_json() | {"by_usage": True})
    record = replace(record, quote=quote)
    changes = charging.on_ready(record, usage)

    assert changes["certain"] is (usage is not None)
    again = charging.on_ready(replace(record, **changes))
    assert (again["charged"], again["certain"]) == (changes["charged"], changes["certain"])


def test_a_late_response_with_a_report_is_polled_for_it(bench: Bench) -> None:
    """The lease was lost in between: the video of the response is not charged by its quote."""
    ready = replace(READY, charge=Decimal("0.2"))
    job = bench.plan_job()

    def lose_the_lease(_: Any) -> Update:
        (taken,) = bench.ledger.take_leases([bench.ledger.find_job(job.record.id)], "other")
        bench.run_job(ActiveJob(taken))
        return ready

    bench.set_script("submit", lose_the_lease)
    bench.set_script("poll", ready)
    bench.run_job(job)
    late = bench.ledger.find_job(job.record.id)
    assert (late.state, late.charged, late.reserved) == (State.SUBMITTED, 0, 150_000)

    (taken,) = bench.ledger.take_leases([late], "me")
    assert bench.run_job(ActiveJob(taken)).record.charged == 200_000
