"""Jobs of other processes: followed in the ledger, taken over when they are let go."""

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


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A ledger with jobs in it."""
    bench = Bench(tmp_path)
    yield bench
    bench.ledger.close()


class Watch:
    """A follower that looks only when it is told to."""

    def __init__(self, bench: Bench, begin: Callable[[ActiveJob], None] | None = None) -> None:
        self.begun: list[ActiveJob] = []
        self.over: list[ActiveJob] = []
        self.bench = bench
        self.follower = Follower(
            bench.ledger, self._lease, begin or self.begun.append, self.over.append, interval_s=3600
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


def followed(watch: Watch) -> tuple[ActiveJob, ActiveJob]:
    """A job in other hands, and the follower's own view of it."""
    theirs = watch.bench.plan_job()
    mine = ActiveJob(theirs.record, wait_s=600.0)
    watch.follower.add(mine)
    return theirs, mine


def test_a_job_in_other_hands_is_left_alone(watch: Watch) -> None:
    """While its owner lives nothing is begun and nothing is over."""
    followed(watch)

    watch.follower.read_rows()

    assert (watch.begun, watch.over) == ([], [])


def test_its_changes_are_seen(watch: Watch) -> None:
    """A watcher of the handle is told when the other process moves the job."""
    theirs, mine = followed(watch)
    told: list[State] = []
    mine.on_change = lambda work: told.append(work.record.state)
    watch.bench.ledger.move_job(theirs.record, State.SUBMITTING)

    watch.follower.read_rows()
    watch.follower.read_rows()

    assert told == [State.SUBMITTING]


def test_its_end_is_the_end(watch: Watch) -> None:
    """Done in another process is done here, once."""
    theirs, mine = followed(watch)
    watch.bench.script_success()
    watch.bench.run_job(theirs)

    watch.follower.read_rows()
    watch.follower.read_rows()

    assert [mine] == watch.over
    assert mine.record.state is State.DONE
    assert mine.error is None


def test_an_unknown_outcome_is_an_end(watch: Watch) -> None:
    """A job that waits for a decision is not waited for."""
    theirs, mine = followed(watch)
    sent = watch.bench.ledger.move_job(theirs.record, State.SUBMITTING)
    watch.bench.ledger.move_job(sent, State.UNKNOWN, owner=None)

    watch.follower.read_rows()

    assert [mine] == watch.over
    assert isinstance(mine.error, UnknownOutcomeError)


def test_a_job_that_was_let_go_is_taken_over(watch: Watch) -> None:
    """When the owner gives its lease up, the follower's own handle goes on with the job."""
    theirs, mine = followed(watch)
    watch.bench.ledger.release_leases("me", [theirs.record.id])

    watch.follower.read_rows()

    assert [mine] == watch.begun
    assert mine.record.owner == "follower"
    assert watch.over == []


def test_patience_ends_the_following_not_the_job(watch: Watch) -> None:
    """A followed job is waited for as long as an own one, then left to its owner."""
    theirs, mine = followed(watch)
    watch.bench.ledger.move_job(theirs.record, State.SUBMITTING)
    mine.wait_s = 0.0

    watch.follower.read_rows()
    watch.follower.read_rows()

    assert [mine] == watch.over
    assert isinstance(mine.error, StillRunningError)
    assert watch.bench.ledger.find_job(mine.record.id).owner == "me"
