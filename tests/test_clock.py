"""The wall clock is set while jobs wait: nothing stalls, and nothing ends early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scripted import ACCEPTED, MP4_DATA, READY, RUNNING, Bench, take_step

from veo.engine.context import ActiveJob
from veo.engine.download import LATE_S
from veo.errors import BusyError, DownloadError, StillRunningError, TaskNotFoundError
from veo.ledger import State
from veo.provider import ByteStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 86_400.0
SHIFTS = pytest.mark.parametrize("shift", [-DAY_S, DAY_S], ids=["back", "forward"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench whose jobs succeed."""
    made = Bench(tmp_path)
    made.script_success()
    return made


@SHIFTS
def test_a_job_waits_as_long_as_without_it(bench: Bench, shift: float) -> None:
    """The polls come at the same times, and the wait has the same end."""
    bench.set_script("poll", RUNNING)
    polls: list[list[float]] = []
    for error in (0.0, shift):
        bench.clock_error = 0.0
        job, began = bench.plan_job(f"lion {error}"), bench.now
        job.record = bench.ledger.find_job(job.record.id)
        take_step(bench.context, job)
        bench.clock_error = error
        times = []
        while (when := take_step(bench.context, job)) is not None:
            times.append(when - began)
            bench.now = when
        assert isinstance(job.error, StillRunningError)
        polls.append(times)

    assert polls[0] == pytest.approx(polls[1])
    assert polls[0][-1] == pytest.approx(600.0)


@SHIFTS
def test_a_refused_request_is_sent_again_in_time(bench: Bench, shift: float) -> None:
    """The pause after a 429 is counted by the clock that nobody sets."""
    bench.set_script("submit", BusyError("slow down", retry_after=30.0), ACCEPTED)
    job, began = bench.plan_job(), bench.now
    bench.now = take_step(bench.context, job) or 0.0
    bench.clock_error = shift
    bench.run_job(job)

    assert job.record.state is State.DONE
    assert bench.provider.count_calls("submit") == 2
    assert bench.now - began < 600.0


def test_a_pause_that_another_process_stored(bench: Bench) -> None:
    """The clock was set back since: the pause would last a day."""
    job = bench.plan_job()
    job.record = bench.ledger.move_job(job.record, not_before=bench.now + DAY_S)
    bench.run_job(job)

    assert job.record.state is State.DONE
    assert bench.now - 1_000_000 < 600.0


def test_a_pause_that_another_process_stored_is_respected(bench: Bench) -> None:
    """It is a time of the wall clock."""
    job = bench.plan_job()
    job.record = bench.ledger.move_job(job.record, not_before=bench.now + 60.0)

    assert take_step(bench.context, job) == pytest.approx(bench.now + 60.0)
    assert bench.provider.count_calls("submit") == 0


@SHIFTS
def test_a_task_that_is_too_new_to_be_known(bench: Bench, shift: float) -> None:
    """The clock does not make it older."""
    bench.set_script("poll", *[TaskNotFoundError("who?")] * 5, READY)
    job = bench.plan_job()
    take_step(bench.context, job)
    bench.clock_error = shift
    bench.run_job(job)

    assert job.record.state is State.DONE


@SHIFTS
def test_the_schedule_learns_nothing_from_it(bench: Bench, shift: float) -> None:
    """A video of two minutes did not take a day."""
    job = bench.plan_job()
    take_step(bench.context, job)
    bench.clock_error = shift
    bench.run_job(job)

    assert bench.ledger.read_durations("scripted", "m-1") == []


@SHIFTS
def test_the_time_of_another_process(bench: Bench, shift: float) -> None:
    """A job that is resumed after the clock was set is polled at once and ends."""
    job = bench.plan_job()
    take_step(bench.context, job)
    bench.clock_error = shift
    (taken,) = bench.ledger.take_leases([job.record], "other")
    bench.run_job(ActiveJob(taken, wait_s=600.0))

    assert bench.ledger.find_job(job.record.id).state is State.DONE


def test_the_requests_of_the_last_minute(tmp_path: Path) -> None:
    """Requests that were counted before the clock was set back do not stop the next ones."""
    bench = Bench(tmp_path, submits_per_minute=2)
    bench.script_success()
    for number in range(2):
        bench.run_job(bench.plan_job(f"lion {number}"))
    bench.clock_error, began = -DAY_S, bench.now
    job = bench.run_job(bench.plan_job("lion 3"))

    assert job.record.state is State.DONE
    assert bench.now - began < 600.0


@pytest.mark.parametrize("ahead", [3000.0, DAY_S], ids=["an hour", "a day"])
def test_the_pauses_after_a_429(bench: Bench, ahead: float) -> None:
    """The clock was ahead when they were stored, for the provider and for the job."""
    bench.set_script("submit", BusyError("slow down", retry_after=30.0), ACCEPTED)
    bench.clock_error = ahead
    job = bench.plan_job()
    take_step(bench.context, job)
    bench.clock_error, began = 0.0, bench.now
    for each in (
        bench.plan_job("lion 2"),
        ActiveJob(bench.ledger.find_job(job.record.id), wait_s=600.0),
    ):
        assert bench.run_job(each).record.state is State.DONE
    assert bench.now - began < 120.0


def test_a_download_after_the_end_of_the_wait(bench: Bench) -> None:
    """It continues while it is fast; a slow one ends, and can be resumed."""
    bench.set_script("poll", READY)

    def drip(_: Any = None) -> Iterator[bytes]:
        yield MP4_DATA[:10]
        for _ in range(20):
            bench.now += LATE_S / 2
            yield b"."

    bench.set_script("open", ByteStream(drip(), 0, 1000, "tag"))
    job = bench.plan_job()
    job.wait_s = 1.0
    bench.run_job(job)

    assert isinstance(job.error, DownloadError)
    assert job.error.charged is True
    assert bench.ledger.find_job(job.record.id).state is State.DOWNLOADING
    assert bench.now - 1_000_000 < 60.0
    assert bench.provider.count_calls("open") == 1


def test_a_fast_download_after_the_end_of_the_wait(bench: Bench) -> None:
    """The first try is not cut off, however long the file is."""
    bench.set_script("poll", READY)
    data = MP4_DATA + (1 << 22).to_bytes(4, "big") + b"free" + bytes((1 << 22) - 8)

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(data), 1 << 18):
            bench.now += LATE_S
            yield data[start : start + (1 << 18)]

    bench.set_script("open", ByteStream(chunks(), 0, len(data), "tag"))
    job = bench.plan_job()
    job.wait_s = 1.0
    bench.run_job(job)

    assert job.record.state is State.DONE
