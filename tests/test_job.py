"""A handle on a job: blocking, awaitable, iterable."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from records import done, end, job, record

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

FAILED = record(State.FAILED, error=ModeratedError("no violence", charged=False))


def later(action: Callable[[], object]) -> threading.Timer:
    """Something that another thread does in a moment."""
    timer = threading.Timer(0.02, action)
    timer.start()
    return timer


def moved(handle: Job, state: State, **known: Any) -> None:
    """What the engine does when a job moves on."""
    work = handle.work
    work.record = replace(work.record, state=state)
    for name, value in known.items():
        setattr(work, name, value)
    work.on_change(work)


class TestResult:
    """`job.result()`."""

    def test_a_video(self) -> None:
        """Where it is, what it is, what it cost."""
        handle = job()
        end(handle, done())
        video = handle.result()
        assert isinstance(video, Video)
        assert (video.path, video.bytes, video.sha256) == (Path("/videos/lion.mp4"), 40, "cafe")
        assert (video.charged, str(video.charged)) == (Decimal("0.15"), "0.15")
        assert video.sidecar == Path("/videos/lion.mp4.json")
        assert video.record is handle.record

    def test_it_is_waited_for(self) -> None:
        """Until another thread is done with it."""
        handle = job()
        timer = later(lambda: end(handle, done()))
        assert handle.result().bytes == 40
        timer.join()

    def test_no_video_is_an_error(self) -> None:
        """The very one that the engine met, every time it is asked for."""
        handle, error = job(), DownloadError("disk full")
        end(handle, record(State.DOWNLOADING), error)
        for _ in range(2):
            with pytest.raises(DownloadError) as caught:
                handle.result()
            assert caught.value is error

    def test_an_error_in_the_ledger_is_raised_as_what_it_was(self) -> None:
        """Also when another process met it."""
        handle = job()
        end(handle, FAILED)
        with pytest.raises(ModeratedError, match="no violence"):
            handle.result()

    def test_no_video_and_no_reason_is_an_error_too(self) -> None:
        """Never a video that is not there."""
        handle = job()
        end(handle, record(State.EXPIRED))
        with pytest.raises(VeoError, match="is expired"):
            handle.result()

    def test_the_waiting_can_end_before_the_job(self) -> None:
        """The error says how to go on; the job does, and can be waited for again."""
        handle = job(State.RUNNING)
        with pytest.raises(StillRunningError, match=r"still running after 0\.01 s") as caught:
            handle.result(timeout=0.01)
        assert caught.value.remedies == (Remedy("resume", "abcdefghjk"),)
        assert not handle.done()
        end(handle, done())
        assert handle.result(timeout=0).bytes == 40

    @pytest.mark.parametrize("timeout", [None, float("inf"), 1e300])
    def test_for_ever_is_a_time_as_well(self, timeout: float | None) -> None:
        """However it is said."""
        handle = job()
        timer = later(lambda: end(handle, done()))
        assert handle.result(timeout).bytes == 40
        timer.join()

    def test_waiting_leaves_nothing_behind(self) -> None:
        """A loop that looks every moment does not grow the job."""
        handle = job()
        for _ in range(3):
            with pytest.raises(StillRunningError):
                handle.result(timeout=0)
        assert not handle._callbacks


class TestAwait:
    """`await job`: the same from async code."""

    def test_a_video(self) -> None:
        """Awaited while another thread works."""

        async def wait() -> int:
            handle = job()
            timer = later(lambda: end(handle, done()))
            video = await handle
            timer.join()
            return video.bytes

        assert asyncio.run(wait()) == 40

    def test_one_that_is_over(self) -> None:
        """At once."""

        async def wait() -> int:
            handle = job()
            end(handle, done())
            return (await handle).bytes

        assert asyncio.run(wait()) == 40

    def test_no_video_is_an_error(self) -> None:
        """What `result` raises."""

        async def wait() -> None:
            handle = job()
            end(handle, FAILED)
            await handle

        with pytest.raises(ModeratedError):
            asyncio.run(wait())

    def test_many_may_wait(self) -> None:
        """For one and the same."""

        async def wait() -> list[Video]:
            handle = job()

            async def one() -> Video:
                return await handle

            timer = later(lambda: end(handle, done()))
            videos = await asyncio.gather(*(one() for _ in range(5)))
            timer.join()
            return videos

        assert [video.bytes for video in asyncio.run(wait())] == [40] * 5

    def test_giving_up_the_waiting_leaves_the_job_alone(self) -> None:
        """A time-out of asyncio's, then the end."""
        handle = job()

        async def wait() -> None:
            async with asyncio.timeout(0.01):
                await handle

        with pytest.raises(TimeoutError):
            asyncio.run(wait())
        end(handle, done())
        assert handle.result().bytes == 40


class TestUpdates:
    """`job.updates()`."""

    def test_every_change_to_the_end(self) -> None:
        """From the present state on."""
        handle = job(State.SUBMITTED)
        changes = handle.updates()
        seen = [next(changes)]
        moved(handle, State.RUNNING, progress=0.5, message="half")
        moved(handle, State.DOWNLOADING, received=10, total=40)
        end(handle, done())
        seen += changes
        assert seen == [
            Status(State.SUBMITTED, None, None, 0, None),
            Status(State.RUNNING, 0.5, "half", 0, None),
            Status(State.DOWNLOADING, 0.5, "half", 10, 40),
            Status(State.DONE, 0.5, "half", 10, 40),
        ]

    def test_of_a_job_that_is_over(self) -> None:
        """Its state, and an end."""
        handle = job()
        end(handle, done())
        assert [status.state for status in handle.updates()] == [State.DONE]

    def test_two_watchers_see_the_same(self) -> None:
        """None takes a change away from the other."""
        handle = job()
        one, other = handle.updates(), handle.updates()
        first = [next(one).state, next(other).state]
        moved(handle, State.SUBMITTING)
        end(handle, done())
        rest = [[status.state for status in changes] for changes in (one, other)]
        assert (first, rest) == (
            [State.PLANNED] * 2,
            [[State.SUBMITTING, State.DONE]] * 2,
        )

    def test_none_is_lost_while_another_thread_works(self) -> None:
        """However the two interleave."""
        handle = job(State.RUNNING)

        def work() -> None:
            for count in range(200):
                moved(handle, State.DOWNLOADING, received=count)
            end(handle, done())

        changes = handle.updates()
        next(changes)
        thread = threading.Thread(target=work)
        thread.start()
        seen = [status.received for status in changes]
        thread.join()
        assert seen == [*range(200), 199]


class TestCallbacks:
    """`job.add_done_callback()`."""

    def test_called_once_when_it_is_over(self) -> None:
        """With the job."""
        handle, seen = job(), list[Job]()
        handle.add_done_callback(seen.append)
        moved(handle, State.RUNNING)
        assert seen == []
        end(handle, done())
        assert seen == [handle]

    def test_called_at_once_when_it_is_over_already(self) -> None:
        """Nobody has to ask first."""
        handle, seen = job(), list[Job]()
        end(handle, done())
        handle.add_done_callback(seen.append)
        assert seen == [handle]

    def test_one_that_breaks_harms_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        """The others are called, the engine goes on, and a log tells."""
        handle, seen = job(), list[Job]()
        handle.add_done_callback(lambda _: 1 / 0)
        handle.add_done_callback(seen.append)
        with caplog.at_level(logging.ERROR):
            end(handle, done())
            handle.add_done_callback(lambda _: 1 / 0)
        assert seen == [handle]
        assert [item.exc_info is not None for item in caplog.records] == [True, True]

    def test_one_may_look_at_the_job(self) -> None:
        """It is over by then, and no lock is held."""
        handle, seen = job(), list[tuple[bool, int]]()
        handle.add_done_callback(lambda job: seen.append((job.done(), job.result(0).bytes)))
        end(handle, done())
        assert seen == [(True, 40)]


class TestMany:
    """`as_completed` and `completed`."""

    def test_in_the_order_they_end(self) -> None:
        """With and without a video, those that were over before included."""
        jobs = [job(id=name) for name in "abc"]
        end(jobs[2], done(id="c"))
        over = as_completed(jobs)
        names = [next(over).id]
        end(jobs[1], FAILED)
        end(jobs[0], done(id="a"))
        assert [*names, *(one.record.id for one in over)] == ["c", FAILED.id, "a"]

    def test_a_time_for_all_of_them(self) -> None:
        """The error counts those that are missing; those that are over were given."""
        jobs = [job(id=name) for name in "abc"]
        end(jobs[0], done(id="a"))
        over = as_completed(jobs, timeout=0.01)
        assert next(over).id == "a"
        with pytest.raises(StillRunningError, match="2 of 3"):
            next(over)

    def test_none(self) -> None:
        """There is nothing to wait for."""
        assert list(as_completed([])) == []

    @pytest.mark.parametrize("timeout", [float("inf"), 1e300])
    def test_for_ever(self, timeout: float) -> None:
        """However it is said."""
        handle = job()
        timer = later(lambda: end(handle, done()))
        assert list(as_completed([handle], timeout)) == [handle]
        timer.join()

    def test_the_same_for_async_code(self) -> None:
        """`async for job in completed(jobs)`."""

        async def collect() -> list[str]:
            jobs = [job(id=name) for name in "ab"]
            end(jobs[1], done(id="b"))
            timer = later(lambda: end(jobs[0], done(id="a")))
            names = [one.id async for one in completed(jobs)]
            timer.join()
            return names

        assert asyncio.run(collect()) == ["b", "a"]

    def test_a_loop_that_was_left_is_nobodys_problem(self) -> None:
        """The job ends after the asking program has gone on."""
        handle = job()

        async def peek() -> None:
            waiting = asyncio.ensure_future(anext(completed([handle])))
            await asyncio.sleep(0)
            waiting.cancel()

        asyncio.run(peek())
        end(handle, done())
        assert handle.done()


def test_the_state_is_that_of_the_ledger() -> None:
    """As this process last wrote or read it."""
    handle = job(State.RUNNING)
    assert (handle.id, handle.state, handle.error, handle.done()) == (
        "abcdefghjk",
        State.RUNNING,
        None,
        False,
    )
    assert repr(handle) == "<Job abcdefghjk running>"


def test_an_unknown_outcome_is_an_error_that_says_so() -> None:
    """It may have been paid for."""
    handle = job()
    end(handle, record(State.UNKNOWN, error=UnknownOutcomeError("abcdefghjk", "lost")))
    with pytest.raises(UnknownOutcomeError) as caught:
        handle.result()
    assert caught.value.charged is None
