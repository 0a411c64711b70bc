"""The dispatcher: many polls at the same time on one event loop, and none keeps a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from batch_inputs import wait_until
from scripted import (
    ACCEPTED,
    MP4_DATA,
    READY,
    RUNNING,
    VIDEO,
    Bench,
    ScriptedProvider,
    take_step,
)

from veo.engine import dispatcher, response_wait
from veo.engine.context import ProviderHandle
from veo.engine.dispatcher import Engine
from veo.engine.rate_limit import RateLimiter
from veo.errors import (
    BusyError,
    LedgerError,
    StillRunningError,
    TaskNotFoundError,
    UnknownOutcomeError,
)
from veo.ledger import State
from veo.ledger.limits import Limits
from veo.provider import run_in_thread
from veo.update import Stage, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from veo.engine.context import ActiveJob

    Start = Callable[[list[ActiveJob]], list[ActiveJob]]


class HeldPolls(ScriptedProvider):
    """A provider whose polls get their response when the test says so."""

    def __init__(self, charged: str = "on_success", **changes: Any) -> None:
        super().__init__(charged, **changes)
        self.waiting: list[str] = []
        self.cancelled: list[str] = []
        self._released = 0

    def release(self, count: int = 1_000_000) -> None:
        """Let so many polls have their response."""
        self._released += count

    async def poll(self, task_id: str) -> Update:
        """Wait, then play the next line."""
        self.waiting.append(task_id)
        try:
            while not self._released:  # noqa: ASYNC110 - tests release from other threads
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled.append(task_id)
            raise
        self._released -= 1
        self.waiting.remove(task_id)
        return await super().poll(task_id)


class BlockingPolls(ScriptedProvider):
    """A provider that has no asynchronous client."""

    threads: set[str]

    def _poll(self, task_id: str) -> Update:
        self.threads = getattr(self, "threads", set()) | {threading.current_thread().name}
        time.sleep(0.01)
        update: Update = self._play_next("poll", task_id)
        return update

    poll = run_in_thread(_poll)


def use_provider(bench: Bench, provider: ScriptedProvider) -> None:
    bench.provider = provider
    bench.route = ProviderHandle(provider, bench.facts, RateLimiter(Limits(1000, 1_000_000)))
    bench.script_success()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench whose provider holds polls back."""
    bench = Bench(tmp_path)
    use_provider(bench, HeldPolls())
    yield bench
    bench.ledger.close()


@pytest.fixture
def provider(bench: Bench) -> HeldPolls:
    """That provider."""
    assert isinstance(bench.provider, HeldPolls)
    return bench.provider


@pytest.fixture
def jobs(bench: Bench) -> list[ActiveJob]:
    """Forty jobs that are being made."""
    jobs = [bench.plan_job(f"lion {number}") for number in range(40)]
    for job in jobs:
        job.record = bench.ledger.move_job(job.record, State.SUBMITTING)
        task = f"task-{job.record.id}"
        job.record = bench.ledger.move_job(
            job.record, State.RUNNING, task_id=task, submitted_at=time.time()
        )
    bench.set_script("poll", READY)
    use_real_clocks(bench)
    return jobs


def use_real_clocks(bench: Bench) -> None:
    bench.context.clock, bench.context.timer = time.time, time.monotonic


@pytest.fixture
def start(bench: Bench) -> Iterator[Start]:
    """Start an engine with jobs; returns the list that finished jobs are put in."""
    engines: list[Engine] = []

    def start(jobs: list[ActiveJob]) -> list[ActiveJob]:
        finished: list[ActiveJob] = []
        engines.append(Engine(bench.context, finished.append))
        for job in jobs:
            engines[-1].add(job)
        return finished

    yield start
    for engine in engines:
        engine.stop()


def test_no_poll_keeps_a_thread(jobs: list[ActiveJob], provider: HeldPolls, start: Start) -> None:
    """Forty polls wait for their response on one thread; when they have it each job goes on."""
    # Threads of an earlier test may end meanwhile, so that their number alone tells nothing.
    before = set(threading.enumerate())
    finished = start(jobs)
    wait_until(lambda: len(provider.waiting) == 40)
    threads = [thread.name for thread in threading.enumerate() if thread not in before]
    provider.release()
    wait_until(lambda: len(finished) == 40)

    assert threads == ["veo-dispatch"]
    assert {job.record.state for job in finished} == {State.DONE}
    assert provider.count_calls("poll") == 40


def test_no_more_polls_than_there_may_be_connections(
    jobs: list[ActiveJob], provider: HeldPolls, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are sent as responses come."""
    monkeypatch.setattr(dispatcher, "MAX_POLLS", 7)
    finished = start(jobs)
    most = 0
    for left in range(40, 0, -1):
        wait_until(lambda: len(provider.waiting) == min(7, left))  # noqa: B023
        most = max(most, len(provider.waiting))
        provider.release(1)
    wait_until(lambda: len(finished) == 40)

    assert most == 7
    assert {job.record.state for job in finished} == {State.DONE}


def test_a_provider_that_blocks_is_polled_in_threads(
    bench: Bench, jobs: list[ActiveJob], start: Start
) -> None:
    """One line makes its poll a coroutine; the dispatcher's own thread is never blocked."""
    provider = BlockingPolls()
    use_provider(bench, provider)
    bench.set_script("poll", READY)
    finished = start(jobs)
    wait_until(lambda: len(finished) == 40)

    assert {job.record.state for job in finished} == {State.DONE}
    assert "veo-dispatch" not in provider.threads


def test_polls_under_way_are_abandoned_at_the_end(
    bench: Bench, jobs: list[ActiveJob], provider: HeldPolls
) -> None:
    """A poll is free of charge and can be repeated."""
    finished: list[ActiveJob] = []
    engine = Engine(bench.context, finished.append)
    engine.add(jobs[0])
    wait_until(lambda: provider.waiting)
    engine.stop()

    assert (len(provider.cancelled), finished) == (1, [])
    assert jobs[0].record.state is State.RUNNING
    assert "veo-dispatch" not in {thread.name for thread in threading.enumerate()}


def test_a_paid_request_under_way_is_waited_for_at_the_end(bench: Bench) -> None:
    """Its response is in the ledger before the engine ends."""
    sent, go = threading.Event(), threading.Event()

    def submit(_: Any) -> Update:
        sent.set()
        go.wait(10)
        return ACCEPTED

    bench.set_script("submit", submit)
    use_real_clocks(bench)
    job = bench.plan_job()
    engine = Engine(bench.context, lambda _: None)
    engine.add(job)
    assert sent.wait(10)
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    stopping.join(0.1)
    assert stopping.is_alive()
    go.set()
    stopping.join(10)

    assert bench.ledger.find_job(job.record.id).task_id == "task-1"


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (READY, State.READY),
        (BusyError("a moment"), State.RUNNING),
        (TaskNotFoundError("who?"), State.EXPIRED),  # after the retention time
        (ZeroDivisionError("a bug"), State.RUNNING),
    ],
    ids=["ready", "busy", "gone", "bug"],
)
def test_whatever_a_poll_brings_it_is_sent_once(
    bench: Bench, jobs: list[ActiveJob], provider: HeldPolls, line: object, state: State
) -> None:
    """A bug in a provider's code is an unreadable response, and does not end the dispatcher."""
    bench.set_script("poll", line)
    jobs[0].record = bench.ledger.move_job(jobs[0].record, submitted_at=time.time() - 1_000_000)
    provider.release()
    when = take_step(bench.context, jobs[0])

    assert jobs[0].record.state is state
    assert (when is None) == (state is State.EXPIRED)
    assert provider.count_calls("poll") == 1


def test_a_poll_that_changes_nothing_writes_nothing(
    bench: Bench, jobs: list[ActiveJob], provider: HeldPolls
) -> None:
    """The ledger and the threads are left alone."""
    bench.set_script("poll", RUNNING)
    job = jobs[0]
    job.record = bench.ledger.move_job(job.record, task_id="task-1")
    version, before = job.record.version, threading.active_count()
    provider.release()

    assert (take_step(bench.context, job) or 0) > time.monotonic()
    assert (job.progress, job.polls) == (0.5, 1)
    assert bench.ledger.find_job(job.record.id).version == version
    assert threading.active_count() <= before


def test_a_lost_ledger_ends_the_work_on_its_jobs_and_not_the_dispatcher(
    bench: Bench,
    jobs: list[ActiveJob],
    provider: HeldPolls,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The jobs are left as they are; the engine goes on once the ledger can be written again."""
    move = bench.ledger.move_job

    def fail(*_: Any, **__: Any) -> None:
        raise LedgerError("the disk is full")

    provider.release()
    monkeypatch.setattr(bench.ledger, "move_job", fail)
    finished = start(jobs[:20])
    wait_until(lambda: len(finished) == 20)
    assert all(isinstance(job.error, LedgerError) for job in finished)
    assert {job.record.state for job in finished} == {State.RUNNING}

    monkeypatch.setattr(bench.ledger, "move_job", move)
    finished_later = start(jobs[20:])
    wait_until(lambda: len(finished_later) == 20)
    assert {job.record.state for job in finished_later} == {State.DONE}


def test_a_ledger_that_cannot_be_read_ends_the_work_on_a_job(
    bench: Bench, jobs: list[ActiveJob], provider: HeldPolls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a model's jobs took is read once, and an error there is not the dispatcher's end."""
    bench.set_script("poll", RUNNING)
    monkeypatch.setattr(bench.ledger, "read_durations", lambda *_: 1 / 0)
    provider.release()

    assert take_step(bench.context, jobs[0]) is None
    assert "a bug: ZeroDivisionError" in str(jobs[0].error)
    assert bench.ledger.find_job(jobs[0].record.id).state is jobs[0].record.state


@pytest.mark.parametrize("line", [RUNNING, BusyError("a moment"), ZeroDivisionError("a bug")])
def test_an_overdue_job_is_polled_once_more(
    bench: Bench, jobs: list[ActiveJob], provider: HeldPolls, line: object
) -> None:
    """Then the wait ends, whatever the poll has brought."""
    bench.set_script("poll", line)
    jobs[0].deadline = time.monotonic() - 1
    provider.release()

    assert take_step(bench.context, jobs[0]) is None
    assert isinstance(jobs[0].error, StillRunningError)
    assert provider.count_calls("poll") == 1


def test_an_overdue_job_whose_video_is_ready(
    bench: Bench, jobs: list[ActiveJob], provider: HeldPolls
) -> None:
    """A machine that was asleep finds it with its last poll."""
    jobs[0].deadline = time.monotonic() - 1
    provider.release()

    assert take_step(bench.context, jobs[0]) is not None
    assert jobs[0].record.state is State.READY


def test_a_request_without_a_response_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of the wait for the job; a response after that is stored all the same."""
    job, finished, go = hold_submit(bench, monkeypatch)
    job.wait_s = 0.05
    engine = Engine(bench.context, finished.append)
    engine.add(job)
    wait_until(lambda: finished)

    assert isinstance(job.error, UnknownOutcomeError)
    assert bench.ledger.find_job(job.record.id).state is State.UNKNOWN
    go.set()
    wait_until(lambda: bench.ledger.find_job(job.record.id).task_id == "task-1")
    assert bench.ledger.find_job(job.record.id).state is State.SUBMITTED
    engine.stop()


def test_a_stop_does_not_wait_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a response leaves a job of unknown outcome, and no thread that counts."""
    job, finished, go = hold_submit(bench, monkeypatch)
    engine = Engine(bench.context, finished.append)
    engine.add(job)
    wait_until(lambda: bench.provider.count_calls("submit"))
    engine.stop()

    assert bench.ledger.find_job(job.record.id).state is State.UNKNOWN
    assert not go.is_set()
    go.set()
    wait_until(lambda: bench.ledger.find_job(job.record.id).task_id == "task-1")


def test_an_accepted_stream_is_not_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its money is spent, and its own limit ends it."""
    begun, go = threading.Event(), threading.Event()

    def submit(report: Any) -> Update:
        report(Update(stage=Stage.SUBMITTED))
        begun.set()
        go.wait(10)
        return Update(stage=Stage.READY, video=VIDEO)

    job, finished, _ = hold_submit(bench, monkeypatch, submit)
    engine = Engine(bench.context, finished.append)
    engine.add(job)
    assert begun.wait(10)
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    stopping.join(0.3)
    assert stopping.is_alive()
    go.set()
    stopping.join(10)

    assert bench.ledger.find_job(job.record.id).state is State.READY


def hold_submit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, submit: Any = None
) -> tuple[ActiveJob, list[ActiveJob], threading.Event]:
    """Return a job whose paid request gets its response with the event, without any grace."""
    monkeypatch.setattr(response_wait, "GRACE_S", 0.05)
    monkeypatch.setattr(response_wait, "CHECK_S", 0.01)
    go = threading.Event()
    bench.set_script("submit", submit or (lambda _: (go.wait(10), ACCEPTED)[1]))
    use_real_clocks(bench)
    return bench.plan_job(), [], go


def test_a_response_after_the_deadline_is_read(
    bench: Bench, jobs: list[ActiveJob], provider: HeldPolls
) -> None:
    """What a poll that was sent in time brings counts, even when the wait has ended meanwhile."""
    job = jobs[0]
    job.deadline = time.monotonic() + 0.05
    threading.Timer(0.1, provider.release).start()
    take_step(bench.context, job)

    assert job.record.state is State.READY


def test_all_jobs_go_on_after_an_outage(
    bench: Bench, jobs: list[ActiveJob], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each poll that fails is repeated later, and each job ends with its video."""
    provider = ScriptedProvider()
    use_provider(bench, provider)
    bench.set_script("poll", *[BusyError("down", retry_after=0.05)] * 100, READY)
    bench.set_script("open", MP4_DATA)
    finished = start(jobs)
    wait_until(lambda: len(finished) == 40)

    assert {job.record.state for job in finished} == {State.DONE}
    assert provider.count_calls("poll") >= 140
