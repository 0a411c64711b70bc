"""Jobs planned: what stands for one already, what fits under the caps, what is given up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scripted import make_model

from veo.errors import LeaseLostError, WithdrawnError
from veo.ledger import Cap, Ledger, NewJob, Record, State
from veo.ledger.spending import JobFilter, sum_spending
from veo.money import quote
from veo.paths import alternative_path
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

CENTS = 10_000
PRICE = 15 * CENTS


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def new(prompt: str = "a lion", output: str = "/videos/lion.mp4", **fields: Any) -> NewJob:
    """A job of $0.15 that is wanted once."""
    request = Request(prompt=prompt, model="m-1")
    fields = {"run": "run", "provider": "scripted", "once": True} | fields
    price = quote(request, make_model())
    return NewJob(model="m-1", request=request, output=output, quote=price, **fields)


def planned(ledger: Ledger, job: NewJob | None = None) -> Record:
    """The row of a job, newly planned."""
    return ledger.plan_jobs([job or new(once=False)]).records[0]


def moved(ledger: Ledger, record: Record, *path: State, **changes: Any) -> Record:
    """The row after a walk through states; the changes come with the last."""
    for state in path[:-1]:
        record = ledger.move_job(record, state)
    return ledger.move_job(record, path[-1], **changes) if path else record


TO_DONE = (State.SUBMITTING, State.READY, State.DOWNLOADING, State.DONE)
STANDING = {
    "planned": (),
    "submitting": (State.SUBMITTING,),
    "running": (State.SUBMITTING, State.RUNNING),
    "downloading": TO_DONE[:3],
    "done": TO_DONE,
    "unknown": (State.SUBMITTING, State.UNKNOWN),
}


@pytest.mark.parametrize("path", STANDING.values(), ids=STANDING)
def test_what_stands_is_not_planned_again(ledger: Ledger, path: tuple[State, ...]) -> None:
    """Live, done or of unknown outcome: the job is found, and no second one is made."""
    first = moved(ledger, planned(ledger), *path)
    wanted = new()

    again = ledger.plan_jobs([wanted])

    assert again.records == []
    assert {wanted.id: first} == again.existing


FALLEN: dict[str, tuple[State, ...]] = {
    "failed": (State.SUBMITTING, State.FAILED),
    "expired before it was fetched": (State.SUBMITTING, State.READY, State.EXPIRED),
}


@pytest.mark.parametrize("path", FALLEN.values(), ids=FALLEN)
def test_a_failure_stands_for_nothing(ledger: Ledger, path: tuple[State, ...]) -> None:
    """A failed job gets a new try."""
    moved(ledger, planned(ledger), *path)

    again = ledger.plan_jobs([new()])

    assert len(again.records) == 1
    assert again.existing == {}


def test_a_video_that_was_on_disk_once_stands(ledger: Ledger) -> None:
    """Expired after it had been fetched: whether it is paid for again is the user's decision."""
    done = moved(ledger, planned(ledger), *TO_DONE, sha256="ab")
    gone = moved(ledger, done, State.READY, State.EXPIRED)
    wanted = new()

    assert {wanted.id: gone} == ledger.plan_jobs([wanted]).existing


@pytest.mark.parametrize(
    "other",
    [{"prompt": "a tiger"}, {"output": "/videos/other.mp4"}, {"provider": "another"}],
    ids=str,
)
def test_another_request_output_or_provider_is_another_job(
    ledger: Ledger, other: dict[str, str]
) -> None:
    """Only the same thing under the same name from the same provider is the same."""
    planned(ledger)

    assert ledger.plan_jobs([new(**other)]).existing == {}


def test_a_video_that_had_to_be_renamed_is_recognised(ledger: Ledger) -> None:
    """Saved beside a file that was in its place, it stands for its item all the same."""
    record = planned(ledger)
    place = str(alternative_path(Path(record.output), record.id))
    moved(ledger, record, *TO_DONE, output=place)
    wanted = new()

    assert [record.id] == [found.id for found in ledger.plan_jobs([wanted]).existing.values()]


def test_a_job_that_was_decided_about_is_no_obstacle(ledger: Ledger) -> None:
    """Named as the one to replace, a done job does not stand; a newer one still does."""
    done = moved(ledger, planned(ledger), *TO_DONE)

    second = ledger.plan_jobs([new(instead_of=done.id)])
    third = ledger.plan_jobs([new(instead_of=done.id)])

    assert len(second.records) == 1
    assert second.records == list(third.existing.values())


def test_the_live_one_of_several_is_found(ledger: Ledger) -> None:
    """A live job counts more than a done one, a newer one more than an older."""
    moved(ledger, planned(ledger), *TO_DONE)
    newer = moved(ledger, planned(ledger), *TO_DONE)
    wanted = new()

    assert newer == ledger.find_existing([wanted])[wanted.id]

    live = planned(ledger)
    moved(ledger, planned(ledger), *TO_DONE)

    assert live == ledger.find_existing([wanted])[wanted.id]


def test_many_at_the_same_moment_plan_it_once(ledger: Ledger) -> None:
    """Eight ledgers on one file, eight plans of one job: one row, seven who found it."""
    ledgers = [Ledger(ledger.folder) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda each: each.plan_jobs([new()]), ledgers))
    for each in ledgers:
        each.close()

    assert sum(len(result.records) for result in results) == 1
    assert sum(len(result.existing) for result in results) == 7
    assert len(ledger.list_jobs()) == 1


def test_the_cap_stops_in_order(ledger: Ledger) -> None:
    """What fits is planned, the first that does not stops the rest, found ones are found."""
    made = planned(ledger, new("a", "/a"))
    wanted = [new(name, f"/{name}") for name in ("b", "c", "a")]
    cap = Cap("max_cost", PRICE * 2, run="run")

    result = ledger.plan_jobs(wanted, [cap])

    assert [record.output for record in result.records] == ["/b"]
    assert {wanted[2].id: made} == result.existing
    assert (cap, PRICE * 2) == (result.stopped_by, result.spent)


def test_all_or_nothing(ledger: Ledger) -> None:
    """A whole plan that does not fit leaves no trace."""
    result = ledger.plan_jobs(
        [new(once=False) for _ in range(3)], [Cap("cap", PRICE * 2)], all_or_nothing=True
    )

    assert (result.records, result.spent) == ([], 0)
    assert ledger.list_jobs() == []


def test_a_resubmit_goes_through_the_caps(ledger: Ledger) -> None:
    """The first send goes on counting, so that the second may not fit any more."""
    record = moved(ledger, planned(ledger), State.SUBMITTING, State.UNKNOWN)

    refused = ledger.plan_resubmit(record, [Cap("cap", PRICE * 2 - 1)])
    taken = ledger.plan_resubmit(record, [Cap("cap", PRICE * 2)], "me")

    assert (refused.records, refused.spent) == ([], PRICE)
    assert (
        taken.records[0].state,
        taken.records[0].reserved,
        taken.records[0].doubtful,
    ) == (State.PLANNED, PRICE, PRICE)
    with pytest.raises(LeaseLostError):
        ledger.plan_resubmit(record)


def test_what_was_never_sent_can_be_given_up(ledger: Ledger) -> None:
    """A withdrawn job is failed, its money free; one that went on meanwhile is left alone."""
    idle = planned(ledger, new("a", "/a"))
    gone_on = planned(ledger, new("b", "/b"))
    moved(ledger, gone_on, State.SUBMITTING)

    withdrawn = ledger.withdraw_jobs([idle, gone_on], WithdrawnError("not sent"))

    assert [idle.id] == [record.id for record in withdrawn]
    assert (withdrawn[0].state, withdrawn[0].reserved) == (State.FAILED, 0)
    assert sum_spending(ledger).held == PRICE
    assert [event.kind for event in ledger.read_history(idle.id)] == ["planned", "withdrawn"]


def test_a_doubtful_job_is_not_given_up(ledger: Ledger) -> None:
    """One that may have been paid for before keeps its question open."""
    record = moved(ledger, planned(ledger), State.SUBMITTING, State.UNKNOWN)
    again = ledger.plan_resubmit(record).records[0]

    assert ledger.withdraw_jobs([again], WithdrawnError("not sent")) == []
    assert again == ledger.find_job(again.id)


def test_sums_are_of_one_run(ledger: Ledger) -> None:
    """Reserved, charged and doubtful money add up to what a cap counts."""
    planned(ledger, new("a", "/a"))
    moved(ledger, planned(ledger, new("b", "/b")), State.SUBMITTING, charged=PRICE, reserved=0)
    planned(ledger, replace(new("c", "/c"), run="other"))

    sums = sum_spending(ledger, JobFilter(run="run"))

    assert (sums.held, sums.charged, sums.in_doubt) == (PRICE, PRICE, 0)
    assert ledger.count_spent(Cap("all", 0)) == 3 * PRICE
