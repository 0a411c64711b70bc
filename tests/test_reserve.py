"""Planning: jobs that exist already, caps, resubmits, and jobs that are withdrawn."""

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

pytest_plugins = ("ledger_databases",)
pytestmark = pytest.mark.usefixtures("database")

CENTS = 10_000
PRICE = 15 * CENTS


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def make_new_job(prompt: str = "a lion", output: str = "/videos/lion.mp4", **fields: Any) -> NewJob:
    """Return a new job of $0.15 that is to be planned once."""
    request = Request(prompt=prompt, model="m-1")
    fields = {"run": "run", "provider": "scripted", "skip_if_exists": True} | fields
    price = quote(request, make_model())
    return NewJob(model="m-1", request=request, output=output, quote=price, **fields)


def plan_job(ledger: Ledger, job: NewJob | None = None) -> Record:
    """Plan a job and return its record."""
    return ledger.plan_jobs([job or make_new_job(skip_if_exists=False)]).records[0]


def move_through(ledger: Ledger, record: Record, *path: State, **changes: Any) -> Record:
    """Move a job through states; the changes come with the last one."""
    for state in path[:-1]:
        record = ledger.move_job(record, state)
    return ledger.move_job(record, path[-1], **changes) if path else record


TO_DONE = (State.SUBMITTING, State.READY, State.DOWNLOADING, State.DONE)
COVERING = {
    "planned": (),
    "submitting": (State.SUBMITTING,),
    "running": (State.SUBMITTING, State.RUNNING),
    "downloading": TO_DONE[:3],
    "done": TO_DONE,
    "unknown": (State.SUBMITTING, State.UNKNOWN),
}


@pytest.mark.parametrize("path", COVERING.values(), ids=COVERING)
def test_an_existing_job_is_not_planned_again(ledger: Ledger, path: tuple[State, ...]) -> None:
    """Live, done or of unknown outcome: the job is found, and no second one is planned."""
    first = move_through(ledger, plan_job(ledger), *path)
    wanted = make_new_job()

    again = ledger.plan_jobs([wanted])

    assert again.records == []
    assert {wanted.id: first} == again.existing


@pytest.mark.parametrize(("reserved", "planned"), [(0, 1), (150_000, 0)])
def test_a_failed_job_covers_nothing_if_it_cost_nothing(
    ledger: Ledger, reserved: int, planned: int
) -> None:
    """After a failure the request is planned again, unless the failure may have been charged."""
    job = move_through(ledger, plan_job(ledger), State.SUBMITTING)
    ledger.move_job(job, State.FAILED, reserved=reserved)

    again = ledger.plan_jobs([make_new_job()])

    assert (len(again.records), len(again.existing)) == (planned, 1 - planned)


@pytest.mark.parametrize(
    ("amounts", "covers"),
    [
        ({"reserved": 0, "charged": 150_000}, True),
        ({}, True),
        ({"reserved": 0, "doubtful": 150_000}, True),
        ({"reserved": 0}, False),
    ],
    ids=["charged", "reserved", "doubtful", "no money"],
)
def test_an_expired_job_with_money_covers_its_request(
    ledger: Ledger, amounts: dict[str, int], *, covers: bool
) -> None:
    """It stands for the request until the user decides to pay for it again."""
    path = (State.SUBMITTING, State.READY, State.EXPIRED)
    gone = move_through(ledger, plan_job(ledger), *path, **amounts)
    wanted = make_new_job()

    assert ledger.plan_jobs([wanted]).existing == ({wanted.id: gone} if covers else {})


def test_a_video_that_was_on_disk_covers_its_request(ledger: Ledger) -> None:
    """If it expired after the download, the user decides whether to pay for it again."""
    done = move_through(ledger, plan_job(ledger), *TO_DONE, sha256="ab")
    gone = move_through(ledger, done, State.READY, State.EXPIRED)
    wanted = make_new_job()

    assert {wanted.id: gone} == ledger.plan_jobs([wanted]).existing


@pytest.mark.parametrize(
    "other",
    [{"prompt": "a tiger"}, {"output": "/videos/other.mp4"}, {"provider": "another"}],
    ids=str,
)
def test_another_request_output_or_provider_is_another_job(
    ledger: Ledger, other: dict[str, str]
) -> None:
    """Only the same request, file and provider make the same job."""
    plan_job(ledger)

    assert ledger.plan_jobs([make_new_job(**other)]).existing == {}


def test_a_video_with_an_alternative_name_is_recognised(ledger: Ledger) -> None:
    """Saved beside another file of its name, it covers its request all the same."""
    record = plan_job(ledger)
    renamed = str(alternative_path(Path(record.output), record.id))
    move_through(ledger, record, *TO_DONE, output=renamed)
    wanted = make_new_job()

    assert [record.id] == [found.id for found in ledger.plan_jobs([wanted]).existing.values()]


def test_a_job_that_is_replaced_does_not_count(ledger: Ledger) -> None:
    """The job named in `replaced_id` does not count; a newer one still does."""
    done = move_through(ledger, plan_job(ledger), *TO_DONE)

    second = ledger.plan_jobs([make_new_job(replaced_id=done.id)])
    third = ledger.plan_jobs([make_new_job(replaced_id=done.id)])

    assert len(second.records) == 1
    assert second.records == list(third.existing.values())


def test_the_live_one_of_several_is_found(ledger: Ledger) -> None:
    """A live job is preferred to a done one, a newer one to an older one."""
    move_through(ledger, plan_job(ledger), *TO_DONE)
    newer = move_through(ledger, plan_job(ledger), *TO_DONE)
    wanted = make_new_job()

    assert newer == ledger.find_existing([wanted])[wanted.id]

    live = plan_job(ledger)
    move_through(ledger, plan_job(ledger), *TO_DONE)

    assert live == ledger.find_existing([wanted])[wanted.id]


def test_many_at_the_same_moment_plan_it_once(ledger: Ledger) -> None:
    """Eight ledgers on one file plan the same job: one inserts it, seven find it."""
    ledgers = [Ledger(ledger.folder) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda each: each.plan_jobs([make_new_job()]), ledgers))
    for each in ledgers:
        each.close()

    assert sum(len(result.records) for result in results) == 1
    assert sum(len(result.existing) for result in results) == 7
    assert len(ledger.list_jobs()) == 1


def test_the_cap_stops_in_order(ledger: Ledger) -> None:
    """Jobs are planned until one does not fit; jobs that exist are found all the same."""
    made = plan_job(ledger, make_new_job("a", "/a"))
    wanted = [make_new_job(name, f"/{name}") for name in ("b", "c", "a")]
    cap = Cap("max_cost", PRICE * 2, run="run")

    result = ledger.plan_jobs(wanted, [cap])

    assert [record.output for record in result.records] == ["/b"]
    assert {wanted[2].id: made} == result.existing
    assert (cap, PRICE * 2) == (result.stopped_by, result.spent)


def test_all_or_nothing(ledger: Ledger) -> None:
    """With `all_or_nothing` a plan that does not fit inserts nothing."""
    result = ledger.plan_jobs(
        [make_new_job(skip_if_exists=False) for _ in range(3)],
        [Cap("cap", PRICE * 2)],
        all_or_nothing=True,
    )

    assert (result.records, result.spent) == ([], 0)
    assert ledger.list_jobs() == []


def test_a_resubmit_goes_through_the_caps(ledger: Ledger) -> None:
    """The first send goes on counting, so the second one may not fit."""
    record = move_through(ledger, plan_job(ledger), State.SUBMITTING, State.UNKNOWN)

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


def test_a_job_that_was_never_sent_can_be_withdrawn(ledger: Ledger) -> None:
    """It fails and its money is released; a job that was sent in the meantime is left alone."""
    idle = plan_job(ledger, make_new_job("a", "/a"))
    sent = plan_job(ledger, make_new_job("b", "/b"))
    move_through(ledger, sent, State.SUBMITTING)

    withdrawn = ledger.withdraw_jobs([idle, sent], WithdrawnError("not sent"))

    assert [idle.id] == [record.id for record in withdrawn]
    assert (withdrawn[0].state, withdrawn[0].reserved) == (State.FAILED, 0)
    assert sum_spending(ledger).held == PRICE
    assert [event.kind for event in ledger.read_history(idle.id)] == ["planned", "withdrawn"]


def test_a_doubtful_job_is_not_withdrawn(ledger: Ledger) -> None:
    """A job whose earlier send may have been charged stays as it is."""
    record = move_through(ledger, plan_job(ledger), State.SUBMITTING, State.UNKNOWN)
    again = ledger.plan_resubmit(record).records[0]

    assert ledger.withdraw_jobs([again], WithdrawnError("not sent")) == []
    assert again == ledger.find_job(again.id)


def test_sums_are_of_one_run(ledger: Ledger) -> None:
    """Reserved, charged and doubtful money add up to what a cap counts."""
    plan_job(ledger, make_new_job("a", "/a"))
    move_through(
        ledger,
        plan_job(ledger, make_new_job("b", "/b")),
        State.SUBMITTING,
        charged=PRICE,
        reserved=0,
    )
    plan_job(ledger, replace(make_new_job("c", "/c"), run="other"))

    sums = sum_spending(ledger, JobFilter(run="run"))

    assert (sums.held, sums.charged, sums.in_doubt) == (PRICE, PRICE, 0)
    assert ledger.count_spent(Cap("all", 0)) == 3 * PRICE
