"""Which jobs of a process may ask the ledger for a slot; ``test_limits`` tests what it says."""

import threading
from collections import Counter

import pytest

from veo.engine.rate_limit import SLOT_RETRY_S, RateLimiter
from veo.ledger.limits import Admission, Limits

FULL = Admission(None, 10)
ADMITTED = Admission(0.0, 10)


def make_limiter(max_in_flight: int = 10) -> tuple[RateLimiter, list[str]]:
    """Return a limiter, and the list of the calls of its callback."""
    calls: list[str] = []
    limiter = RateLimiter(Limits(max_in_flight, 60), lambda: calls.append("capacity"))
    return limiter, calls


def admit(limiter: RateLimiter, *jobs: str) -> list[bool]:
    """Let jobs ask a ledger that admits all; return who could ask."""
    asked = [limiter.try_acquire(job) for job in jobs]
    for job in (job for job, has_asked in zip(jobs, asked, strict=True) if has_asked):
        limiter.on_admitted(job, Admission(0.0, limiter.limits.max_in_flight))
    return asked


class TestOwnJobs:
    """While all slots are taken by jobs of this process, none asks."""

    def test_a_job_in_flight_asks_again(self) -> None:
        """A job that is sent a second time counts once."""
        limiter, _ = make_limiter(1)
        assert admit(limiter, "a", "a", "b") == [True, True, False]

    def test_a_released_job_makes_room(self) -> None:
        """The callback is called, and the next job may ask."""
        limiter, calls = make_limiter(1)
        admit(limiter, "a")
        limiter.release("a")
        assert (calls, limiter.has_capacity(), admit(limiter, "b")) == (["capacity"], True, [True])

    def test_jobs_of_an_earlier_process_count(self) -> None:
        """Even if they exceed the limit."""
        limiter, _ = make_limiter(2)
        for job in "abc":
            limiter.restore(job)
        limiter.release("a")
        assert not limiter.try_acquire("d")
        limiter.release("b")
        assert limiter.try_acquire("d")

    def test_the_callback_may_use_the_limiter(self) -> None:
        """It is called without the lock."""
        limiter, _ = make_limiter(1)
        limiter.on_capacity = lambda: seen.append(limiter.has_capacity())
        seen: list[bool] = []
        admit(limiter, "a")
        limiter.release("a")
        assert seen == [True]

    @pytest.mark.parametrize("limit", [1, 3])
    def test_many_threads_share_a_limiter(self, limit: int) -> None:
        """The last slot is never taken twice."""
        limiter, _ = make_limiter(limit)
        in_flight, highest, lock = Counter[str](), [0], threading.Lock()

        def work(job: int) -> None:
            for _ in range(100):
                if limiter.try_acquire(job):
                    with lock:
                        in_flight["now"] += 1
                        highest[0] = max(highest[0], in_flight["now"])
                    with lock:
                        in_flight["now"] -= 1
                    limiter.release(job)

        threads = [threading.Thread(target=work, args=(job,)) for job in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= highest[0] <= limit


class TestRefused:
    """While the ledger refuses, one job asks for all."""

    def test_one_job_asks_again(self) -> None:
        """The first that is refused asks again after a while; no other does."""
        limiter, _ = make_limiter()
        assert limiter.try_acquire("a")
        assert limiter.try_acquire("b")
        assert limiter.on_refused("a", FULL) == SLOT_RETRY_S
        assert limiter.on_refused("b", FULL) is None
        assert [limiter.try_acquire("b"), limiter.try_acquire("c")] == [False, False]
        assert limiter.try_acquire("a")

    def test_it_asks_when_the_ledger_says(self) -> None:
        """For a minute that is full, or a provider that is busy, the time is known."""
        limiter, _ = make_limiter()
        limiter.try_acquire("a")
        assert limiter.on_refused("a", Admission(7.5, 10)) == 7.5

    def test_the_others_follow_when_it_is_admitted(self) -> None:
        """Each that is admitted wakes one more, as long as its own process has room."""
        limiter, calls = make_limiter(2)
        limiter.try_acquire("a")
        limiter.on_refused("a", FULL)
        admit(limiter, "b")
        limiter.try_acquire("a")
        limiter.on_admitted("a", Admission(0.0, 2))
        assert calls == ["capacity"]
        assert admit(limiter, "b") == [True]
        assert calls == ["capacity"]

    def test_a_release_of_the_same_process_ends_the_wait_for_a_slot(self) -> None:
        """The slot that became free is used at once."""
        limiter, calls = make_limiter()
        admit(limiter, "a")
        limiter.try_acquire("b")
        limiter.on_refused("b", FULL)
        limiter.release("a")
        assert (calls, limiter.try_acquire("c")) == (["capacity"], True)

    def test_a_release_does_not_end_the_wait_for_a_time(self) -> None:
        """A free slot is of no use while the minute is full."""
        limiter, _ = make_limiter()
        admit(limiter, "a")
        limiter.try_acquire("b")
        limiter.on_refused("b", Admission(7.5, 10))
        limiter.release("a")
        assert not limiter.try_acquire("c")

    def test_a_job_that_gives_up_lets_another_ask(self) -> None:
        """Else all would wait for a job that never comes back."""
        limiter, calls = make_limiter()
        limiter.try_acquire("a")
        limiter.on_refused("a", Admission(7.5, 10))
        limiter.release("a")
        assert (calls, limiter.try_acquire("b")) == (["capacity"], True)

    def test_the_capacity_is_that_of_the_ledger(self) -> None:
        """Fewer jobs of this process ask after a 429; more than before when it recovers."""
        limiter, calls = make_limiter(4)
        limiter.set_capacity(2)
        assert (limiter.is_slowed, admit(limiter, "a", "b")) == (True, [True, True])
        limiter.set_capacity(2)
        assert not admit(limiter, "c", "d", "e")[2]
        calls.clear()
        limiter.set_capacity(4)
        assert (calls, limiter.is_slowed, limiter.capacity) == (["capacity"], False, 4)
