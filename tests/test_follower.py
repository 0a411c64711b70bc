"""Jobs of other processes: followed in the ledger, taken over when they are released."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted import Bench

from veo.engine.context import ActiveJob
from veo.errors import StillRunningError, UnknownOutcomeError
from veo.ledger import Record, State
from veo.runtime.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytest_plugins = ("ledger_databases",)
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A ledger with jobs in it."""
    bench = Bench(tmp_path)
    yield bench
    bench.ledger.close()


class Watch:
    """A follower that reads the rows only when a test calls it."""

    def __init__(self, bench: Bench, on_leased: Callable[[ActiveJob], None] | None = None) -> None:
        self.leased: list[ActiveJob] = []
        self.finished: list[ActiveJob] = []
        self.bench = bench
        self.follower = Follower(
            bench.ledger,
            self._lease,
            on_leased or self.leased.append,
            self.finished.append,
            interval_s=3600,
        )

    def _lease(self, records: list[Record]) -> list[Record]:
        free = [record for record in records if record.owner is None]
        return self.bench.ledger.take_leases(free, "follower")


@pytest.fixture
def watch(bench: Bench) -> Iterator[Watch]:
    """A follower on the bench's ledger."""
    watch = Watch(bench)
    yield watch
    watch.follower.stop()


def follow_job(watch: Watch) -> tuple[ActiveJob, ActiveJob]:
    """Plan a job of another process; return it and the follower's own view of it."""
    theirs = watch.bench.plan_job()
    mine = ActiveJob(theirs.record, wait_s=600.0)
    watch.follower.add(mine)
    return theirs, mine


def test_a_job_of_another_process_is_left_alone(watch: Watch) -> None:
    """While its owner lives no lease is taken and nothing is finished."""
    follow_job(watch)

    watch.follower.read_rows()

    assert (watch.leased, watch.finished) == ([], [])


def test_its_changes_are_seen(watch: Watch) -> None:
    """A watcher of the handle is called when the other process changes the job."""
    theirs, mine = follow_job(watch)
    states: list[State] = []
    mine.on_change = lambda job: states.append(job.record.state)
    watch.bench.ledger.move_job(theirs.record, State.SUBMITTING)

    watch.follower.read_rows()
    watch.follower.read_rows()

    assert states == [State.SUBMITTING]


def test_the_end_of_the_job_ends_the_following(watch: Watch) -> None:
    """Done in another process is done here, once."""
    theirs, mine = follow_job(watch)
    watch.bench.script_success()
    watch.bench.run_job(theirs)

    watch.follower.read_rows()
    watch.follower.read_rows()

    assert [mine] == watch.finished
    assert mine.record.state is State.DONE
    assert mine.error is None


def test_an_unknown_outcome_ends_the_following(watch: Watch) -> None:
    """A job that needs a decision of the user is not waited for."""
    theirs, mine = follow_job(watch)
    sent = watch.bench.ledger.move_job(theirs.record, State.SUBMITTING)
    watch.bench.ledger.move_job(sent, State.UNKNOWN, owner=None)

    watch.follower.read_rows()

    assert [mine] == watch.finished
    assert isinstance(mine.error, UnknownOutcomeError)


def test_a_released_job_is_taken_over(watch: Watch) -> None:
    """When the owner releases its lease, the follower's handle continues with the job."""
    theirs, mine = follow_job(watch)
    watch.bench.ledger.release_leases("me", [theirs.record.id])

    watch.follower.read_rows()

    assert [mine] == watch.leased
    assert mine.record.owner == "follower"
    assert watch.finished == []


def test_the_deadline_ends_the_following_not_the_job(watch: Watch) -> None:
    """A followed job is waited for as long as any other, then left to its owner."""
    theirs, mine = follow_job(watch)
    watch.bench.ledger.move_job(theirs.record, State.SUBMITTING)
    mine.wait_s = 0.0

    watch.follower.read_rows()
    watch.follower.read_rows()

    assert [mine] == watch.finished
    assert isinstance(mine.error, StillRunningError)
    assert watch.bench.ledger.find_job(mine.record.id).owner == "me"
