"""Handles on jobs: blocking calls, ``await``, iteration and callbacks."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from records import finish_job, make_done_record, make_job, make_record

from veo.errors import (
    DownloadError,
    ModeratedError,
    StillRunningError,
    UnknownOutcomeError,
    VeoError,
)
from veo.job import Job, Status, Video, as_completed, completed
from veo.ledger import State
from veo.problems import Remedy

FAILED = make_record(State.FAILED, error=ModeratedError("no violence", charged=False))


def run_later(action: Callable[[], object]) -> threading.Timer:
    """Run a function in another thread after a moment."""
    timer = threading.Timer(0.02, action)
    timer.start()
    return timer


def move_job(handle: Job, state: State, **changes: Any) -> None:
    """Change a job as the engine does."""
    work = handle.work
    work.record = replace(work.record, state=state)
    for name, value in changes.items():
        setattr(work, name, value)
    work.on_change(work)


class TestResult:
    """`job.result()`."""

    def test_returns_the_video(self) -> None:
        """It has the path, the content's size and hash, and the charge."""
        handle = make_job()
        finish_job(handle, make_done_record())
        video = handle.result()
        assert isinstance(video, Video)
        assert (video.path, video.bytes, video.sha256) == (Path("/videos/lion.mp4"), 40, "cafe")
        assert (video.charged, str(video.charged)) == (Decimal("0.15"), "0.15")
        assert video.sidecar == Path("/videos/lion.mp4.json")
        assert video.record is handle.record

    def test_waits_until_another_thread_finishes(self) -> None:
        """`result` blocks until the job has finished."""
        handle = make_job()
        timer = run_later(lambda: finish_job(handle, make_done_record()))
        assert handle.result().bytes == 40
        timer.join()

    def test_raises_the_error_of_the_engine(self) -> None:
        """Every call raises the same error object."""
        handle, error = make_job(), DownloadError("disk full")
        finish_job(handle, make_record(State.DOWNLOADING), error)
        for _ in range(2):
            with pytest.raises(DownloadError) as caught:
                handle.result()
            assert caught.value is error

    def test_raises_the_error_of_the_ledger(self) -> None:
        """An error that another process recorded has its own class."""
        handle = make_job()
        finish_job(handle, FAILED)
        with pytest.raises(ModeratedError, match="no violence"):
            handle.result()

    def test_a_job_without_video_and_error_raises(self) -> None:
        """A job that ended without a reason never returns a video."""
        handle = make_job()
        finish_job(handle, make_record(State.EXPIRED))
        with pytest.raises(VeoError, match="is expired"):
            handle.result()

    def test_a_timeout_does_not_end_the_job(self) -> None:
        """The error has a remedy, and `result` can be called again."""
        handle = make_job(State.RUNNING)
        with pytest.raises(StillRunningError, match=r"still running after 0\.01 s") as caught:
            handle.result(timeout=0.01)
        assert caught.value.remedies == (Remedy("resume", "abcdefghjk"),)
        assert not handle.done()
        finish_job(handle, make_done_record())
        assert handle.result(timeout=0).bytes == 40

    @pytest.mark.parametrize("timeout", [None, float("inf"), 1e300])
    def test_any_long_timeout_waits(self, timeout: float | None) -> None:
        """None, infinity and huge numbers wait without a limit."""
        handle = make_job()
        timer = run_later(lambda: finish_job(handle, make_done_record()))
        assert handle.result(timeout).bytes == 40
        timer.join()

    def test_waiting_adds_no_callbacks(self) -> None:
        """A loop that polls `result` does not make the job grow."""
        handle = make_job()
        for _ in range(3):
            with pytest.raises(StillRunningError):
                handle.result(timeout=0)
        assert not handle._callbacks


class TestAwait:
    """`await job` in asynchronous code."""

    def test_returns_the_video(self) -> None:
        """The job is awaited while another thread works."""

        async def wait() -> int:
            handle = make_job()
            timer = run_later(lambda: finish_job(handle, make_done_record()))
            video = await handle
            timer.join()
            return video.bytes

        assert asyncio.run(wait()) == 40

    def test_a_finished_job_returns_at_once(self) -> None:
        """Nothing is awaited for a job that has finished."""

        async def wait() -> int:
            handle = make_job()
            finish_job(handle, make_done_record())
            return (await handle).bytes

        assert asyncio.run(wait()) == 40

    def test_raises_what_result_raises(self) -> None:
        """The error is that of `result`."""

        async def wait() -> None:
            handle = make_job()
            finish_job(handle, FAILED)
            await handle

        with pytest.raises(ModeratedError):
            asyncio.run(wait())

    def test_many_tasks_can_await_one_job(self) -> None:
        """All of them get the video."""

        async def wait() -> list[Video]:
            handle = make_job()

            async def one() -> Video:
                return await handle

            timer = run_later(lambda: finish_job(handle, make_done_record()))
            videos = await asyncio.gather(*(one() for _ in range(5)))
            timer.join()
            return videos

        assert [video.bytes for video in asyncio.run(wait())] == [40] * 5

    def test_cancelling_does_not_end_the_job(self) -> None:
        """A timeout of asyncio cancels only the waiting."""
        handle = make_job()

        async def wait() -> None:
            async with asyncio.timeout(0.01):
                await handle

        with pytest.raises(TimeoutError):
            asyncio.run(wait())
        finish_job(handle, make_done_record())
        assert handle.result().bytes == 40


class TestUpdates:
    """`job.updates()`."""

    def test_yields_every_change(self) -> None:
        """The present status comes first, the final one last."""
        handle = make_job(State.SUBMITTED)
        changes = handle.updates()
        seen = [next(changes)]
        move_job(handle, State.RUNNING, progress=0.5, message="half")
        move_job(handle, State.DOWNLOADING, received=10, total=40)
        finish_job(handle, make_done_record())
        seen += changes
        assert seen == [
            Status(State.SUBMITTED, None, None, 0, None),
            Status(State.RUNNING, 0.5, "half", 0, None),
            Status(State.DOWNLOADING, 0.5, "half", 10, 40),
            Status(State.DONE, 0.5, "half", 10, 40),
        ]

    def test_a_finished_job_yields_one_status(self) -> None:
        """The iterator ends after the final status."""
        handle = make_job()
        finish_job(handle, make_done_record())
        assert [status.state for status in handle.updates()] == [State.DONE]

    def test_two_iterators_are_independent(self) -> None:
        """Each of them yields every change."""
        handle = make_job()
        one, other = handle.updates(), handle.updates()
        first = [next(one).state, next(other).state]
        move_job(handle, State.SUBMITTING)
        finish_job(handle, make_done_record())
        rest = [[status.state for status in changes] for changes in (one, other)]
        assert (first, rest) == (
            [State.PLANNED] * 2,
            [[State.SUBMITTING, State.DONE]] * 2,
        )

    def test_no_change_is_lost_between_threads(self) -> None:
        """Changes of another thread arrive completely and in order."""
        handle = make_job(State.RUNNING)

        def work() -> None:
            for count in range(200):
                move_job(handle, State.DOWNLOADING, received=count)
            finish_job(handle, make_done_record())

        changes = handle.updates()
        next(changes)
        thread = threading.Thread(target=work)
        thread.start()
        seen = [status.received for status in changes]
        thread.join()
        assert seen == [*range(200), 199]


class TestCallbacks:
    """`job.add_done_callback()`."""

    def test_called_once_when_the_job_finishes(self) -> None:
        """The argument is the job."""
        handle, seen = make_job(), list[Job]()
        handle.add_done_callback(seen.append)
        move_job(handle, State.RUNNING)
        assert seen == []
        finish_job(handle, make_done_record())
        assert seen == [handle]

    def test_called_at_once_for_a_finished_job(self) -> None:
        """The caller need not check first."""
        handle, seen = make_job(), list[Job]()
        finish_job(handle, make_done_record())
        handle.add_done_callback(seen.append)
        assert seen == [handle]

    def test_an_error_in_a_callback_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """The other callbacks are called, and the engine continues."""
        handle, seen = make_job(), list[Job]()
        handle.add_done_callback(lambda _: 1 / 0)
        handle.add_done_callback(seen.append)
        with caplog.at_level(logging.ERROR):
            finish_job(handle, make_done_record())
            handle.add_done_callback(lambda _: 1 / 0)
        assert seen == [handle]
        assert [item.exc_info is not None for item in caplog.records] == [True, True]

    def test_an_error_in_a_watcher_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """A report within a paid response calls watchers: the response must be read to its end."""
        handle, seen = make_job(), list[Status | None]()
        handle.watch(lambda status: status and status.state is State.READY and 1 / 0)
        handle.watch(seen.append)
        move_job(handle, State.READY)

        assert [status and status.state for status in seen] == [State.PLANNED, State.READY]
        assert [item.exc_info is not None for item in caplog.records] == [True]

    def test_a_callback_may_use_the_job(self) -> None:
        """The job has finished by then, and no lock is held."""
        handle, seen = make_job(), list[tuple[bool, int]]()
        handle.add_done_callback(lambda job: seen.append((job.done(), job.result(0).bytes)))
        finish_job(handle, make_done_record())
        assert seen == [(True, 40)]


class TestMany:
    """`as_completed` and `completed`."""

    def test_in_the_order_in_which_jobs_finish(self) -> None:
        """Failed jobs, and jobs that had finished before, are included."""
        jobs = [make_job(id=name) for name in "abc"]
        finish_job(jobs[2], make_done_record(id="c"))
        finished = as_completed(jobs)
        names = [next(finished).id]
        finish_job(jobs[1], FAILED)
        finish_job(jobs[0], make_done_record(id="a"))
        assert [*names, *(one.record.id for one in finished)] == ["c", FAILED.id, "a"]

    def test_the_timeout_is_for_all_jobs(self) -> None:
        """The error tells how many have not finished."""
        jobs = [make_job(id=name) for name in "abc"]
        finish_job(jobs[0], make_done_record(id="a"))
        finished = as_completed(jobs, timeout=0.01)
        assert next(finished).id == "a"
        with pytest.raises(StillRunningError, match="2 of 3"):
            next(finished)

    def test_no_jobs(self) -> None:
        """An empty list yields nothing."""
        assert list(as_completed([])) == []

    @pytest.mark.parametrize("timeout", [float("inf"), 1e300])
    def test_any_long_timeout_waits(self, timeout: float) -> None:
        """Infinity and huge numbers wait without a limit."""
        handle = make_job()
        timer = run_later(lambda: finish_job(handle, make_done_record()))
        assert list(as_completed([handle], timeout)) == [handle]
        timer.join()

    def test_completed_is_asynchronous(self) -> None:
        """`async for job in completed(jobs)` has the same order."""

        async def collect() -> list[str]:
            jobs = [make_job(id=name) for name in "ab"]
            finish_job(jobs[1], make_done_record(id="b"))
            timer = run_later(lambda: finish_job(jobs[0], make_done_record(id="a")))
            names = [one.id async for one in completed(jobs)]
            timer.join()
            return names

        assert asyncio.run(collect()) == ["b", "a"]

    def test_a_closed_loop_is_ignored(self) -> None:
        """A job may finish after the event loop was closed."""
        handle = make_job()

        async def peek() -> None:
            waiting = asyncio.ensure_future(anext(completed([handle])))
            await asyncio.sleep(0)
            waiting.cancel()

        asyncio.run(peek())
        finish_job(handle, make_done_record())
        assert handle.done()


def test_the_state_is_that_of_the_record() -> None:
    """It is the one that this process last wrote or read."""
    handle = make_job(State.RUNNING)
    assert (handle.id, handle.state, handle.error, handle.done()) == (
        "abcdefghjk",
        State.RUNNING,
        None,
        False,
    )
    assert repr(handle) == "<Job abcdefghjk running>"


def test_an_unknown_outcome_raises() -> None:
    """Its charge is unknown."""
    handle = make_job()
    finish_job(handle, make_record(State.UNKNOWN, error=UnknownOutcomeError("abcdefghjk", "lost")))
    with pytest.raises(UnknownOutcomeError) as caught:
        handle.result()
    assert caught.value.charged is None
