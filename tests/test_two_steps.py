"""Polls that are sent in one step and read in another, so that none keeps a thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from batch_inputs import wait_until
from deferred_provider import Patient, patient
from scripted import READY, Bench

from veo.engine import listener
from veo.engine.dispatcher import Engine
from veo.engine.poll import hear, send
from veo.engine.step import step
from veo.errors import BusyError, StillRunningError, TaskNotFoundError
from veo.ledger import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.engine.context import ActiveJob


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose provider can be asked and heard apart."""
    bench, provider = patient(tmp_path)
    bench.script_success()
    yield bench
    for letter in provider.letters:
        letter.close()
    bench.ledger.close()


@pytest.fixture
def provider(bench: Bench) -> Patient:
    """That provider."""
    assert isinstance(bench.provider, Patient)
    return bench.provider


@pytest.fixture
def work(bench: Bench) -> ActiveJob:
    """A job that is being made."""
    work = bench.plan_job()
    step(bench.context, work)
    work.record = bench.ledger.move_job(work.record, State.RUNNING)
    bench.now += 60
    return work


class TestSteps:
    """What the threads do."""

    def test_one_sends_the_other_reads(
        self, bench: Bench, work: ActiveJob, provider: Patient
    ) -> None:
        """In between the job says what it waits for, and can be stepped at any time."""
        assert step(bench.context, work) == bench.now
        assert work.asked is provider.letters[0]
        assert provider.count_calls("poll") == 0
        provider.letters[0].answer()

        assert (step(bench.context, work) or 0) > bench.now
        assert (work.asked, work.progress, work.polls) == (None, 0.5, 1)

    def test_a_whole_life(self, bench: Bench, provider: Patient) -> None:
        """Stepped by anybody, without an engine that waits for answers."""
        work = bench.run_job(bench.plan_job())

        assert work.record.state is State.DONE
        assert (len(provider.letters), provider.count_calls("poll"), work.record.polls) == (2, 2, 2)

    def test_through_a_proxy_in_one(self, bench: Bench, work: ActiveJob, provider: Patient) -> None:
        """What cannot be done in two steps is done in one."""
        provider.proxied = True

        assert (step(bench.context, work) or 0) > bench.now
        assert (provider.count_calls("poll"), work.polls, provider.letters) == (1, 1, [])

    def test_a_deadline_waits_for_the_answer(
        self, bench: Bench, work: ActiveJob, provider: Patient
    ) -> None:
        """What was asked is read, even when the waiting has ended meanwhile."""
        bench.set_script("poll", READY)
        step(bench.context, work)
        bench.now += 10_000
        provider.letters[0].answer()
        step(bench.context, work)

        assert work.record.state is State.READY


class TestAtOnce:
    """What the dispatcher does by itself, because it takes no time and nothing is written."""

    def test_nothing_new(self, bench: Bench, work: ActiveJob, provider: Patient) -> None:
        """The ledger is not touched."""
        version = work.record.version
        assert send(bench.context, work)
        provider.letters[0].answer()

        assert (hear(bench.context, work, provider.letters[0]) or 0) > bench.now
        assert (work.asked, work.progress) == (None, 0.5)
        assert bench.ledger.find_job(work.record.id).version == version

    @pytest.mark.parametrize(
        ("said", "state"),
        [
            (READY, State.READY),
            (BusyError("a moment"), State.RUNNING),
            (TaskNotFoundError("who?"), State.EXPIRED),
            (ZeroDivisionError("a bug"), State.RUNNING),
        ],
        ids=["ready", "busy", "gone", "bug"],
    )
    def test_whatever_has_to_be_written_down_is_left_to_a_thread(
        self, bench: Bench, work: ActiveJob, provider: Patient, said: object, state: State
    ) -> None:
        """It finds the answer as it was; nobody is asked again."""
        bench.set_script("poll", said)
        assert send(bench.context, work)
        provider.letters[0].answer()
        assert hear(bench.context, work, provider.letters[0]) is None
        assert work.record.state is State.RUNNING
        step(bench.context, work)

        assert (work.record.state, work.asked) == (state, None)
        assert provider.count_calls("poll") == 1

    def test_a_ledger_that_cannot_be_read_is_not_the_end_of_the_dispatcher(
        self, bench: Bench, work: ActiveJob, provider: Patient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A thread meets the same error, and ends the work on this job."""
        assert send(bench.context, work)
        provider.letters[0].answer()
        bench.context._known.clear()
        monkeypatch.setattr(bench.ledger, "durations", lambda *_: 1 / 0)

        assert hear(bench.context, work, provider.letters[0]) is None
        assert step(bench.context, work) is None
        assert work.stopped

    def test_nothing_is_connected_to(
        self, bench: Bench, work: ActiveJob, provider: Patient
    ) -> None:
        """That may take seconds."""
        provider.connected = False

        assert not send(bench.context, work)
        assert (work.asked, work.polls) == (None, 0)

    def test_no_more_waiting(self, bench: Bench, work: ActiveJob, provider: Patient) -> None:
        """Its end is written down."""
        bench.now += 10_000

        assert not send(bench.context, work)
        assert step(bench.context, work) is None
        assert isinstance(work.error, StillRunningError)
        assert provider.letters == []


class TestEngine:
    """Many polls at a time."""

    @pytest.fixture
    def jobs(self, bench: Bench) -> list[ActiveJob]:
        """Forty jobs that are being made."""
        jobs = [bench.plan_job(f"lion {number}") for number in range(40)]
        for work in jobs:
            work.record = bench.ledger.move_job(work.record, State.SUBMITTING)
            task = f"task-{work.record.id}"
            work.record = bench.ledger.move_job(work.record, State.RUNNING, task_id=task)
        bench.set_script("poll", READY)
        bench.context.clock = time.time
        return jobs

    @pytest.mark.parametrize("connected", [True, False])
    def test_none_keeps_a_thread(
        self, bench: Bench, jobs: list[ActiveJob], provider: Patient, *, connected: bool
    ) -> None:
        """Forty answers are awaited by none; when they come each job goes on."""
        provider.connected = connected
        engine, over = running(bench, jobs)
        wait_until(lambda: len(provider.letters) == 40 and not engine._poll._busy)
        for letter in provider.letters:
            letter.answer()
        wait_until(lambda: len(over) == 40)
        engine.stop()

        assert {work.record.state for work in over} == {State.DONE}
        assert provider.count_calls("poll") == 40

    def test_no_more_than_there_may_be_connections(
        self,
        bench: Bench,
        jobs: list[ActiveJob],
        provider: Patient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The others are asked as answers come."""
        monkeypatch.setattr(listener, "MOST", 7)
        engine, over = running(bench, jobs)
        answered = 0
        while answered < 40:
            wait_until(lambda: len(provider.letters) == min(answered + 7, 40))  # noqa: B023
            provider.letters[answered].answer()
            answered += 1
        wait_until(lambda: len(over) == 40)
        engine.stop()

        assert {work.record.state for work in over} == {State.DONE}

    def test_an_answer_that_never_comes(
        self,
        bench: Bench,
        jobs: list[ActiveJob],
        provider: Patient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is read when its time is over, which tells that it was lost."""
        monkeypatch.setattr(listener, "TICK_S", 0.01)
        engine, over = running(bench, jobs[:1])
        wait_until(lambda: provider.letters)
        provider.letters[0].until = time.monotonic()
        wait_until(lambda: over)
        engine.stop()

        assert over[0].record.state is State.DONE

    def test_a_bug_in_waiting_shows_in_reading(
        self, bench: Bench, jobs: list[ActiveJob], provider: Patient
    ) -> None:
        """The dispatcher outlives what a provider's code does."""
        provider.broken = True
        engine, over = running(bench, jobs[:1])
        wait_until(lambda: provider.letters)
        provider.letters[0].answer()
        wait_until(lambda: over)
        engine.stop()

        assert over[0].record.state is State.DONE

    def test_what_is_awaited_when_it_stops_is_forgotten(
        self, bench: Bench, jobs: list[ActiveJob], provider: Patient
    ) -> None:
        """A poll is free, and can be repeated."""
        engine, _ = running(bench, jobs[:1])
        wait_until(lambda: provider.letters and jobs[0].asked and not engine._poll._busy)
        engine.stop()

        assert jobs[0].record.state is State.RUNNING
        assert not [each for each in threading.enumerate() if each.name == "veo-dispatch"]


def running(bench: Bench, jobs: list[ActiveJob]) -> tuple[Engine, list[ActiveJob]]:
    """An engine at work on jobs, and those that are over."""
    over: list[ActiveJob] = []
    engine = Engine(bench.context, over.append)
    for work in jobs:
        engine.add(work)
    return engine, over
