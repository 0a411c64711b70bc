"""The limits of a provider: jobs in flight, and paid requests a minute."""

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.engine.rate_limit import MINUTE_S, RateLimiter

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["acquire", "acquire", "acquire", "release", "back_off", "recover", "wait"]
        ),
        st.integers(0, 12),
    ),
    max_size=80,
)


@given(st.integers(1, 5), st.integers(1, 8), STEPS)
def test_never_more_than_allowed(limit: int, minute: int, steps: list[tuple[str, int]]) -> None:
    """Neither jobs in flight nor requests in any 60 seconds exceed the limits, in any order."""
    limiter, now = RateLimiter(limit, minute), 0.0
    in_flight: set[int] = set()
    sent: list[float] = []
    for action, number in steps:
        if action == "acquire" and limiter.try_acquire(number, now) == 0.0:
            in_flight.add(number)
            sent.append(now)
        elif action == "release":
            in_flight.discard(number)
            limiter.release(number)
        elif action == "back_off":
            limiter.back_off(now, float(number))
        elif action == "recover":
            limiter.recover()
        elif action == "wait":
            now += 2.5 * number
        assert len(in_flight) <= limit
        assert 1 <= limiter.capacity <= limit
        assert len([at for at in sent if at > now - MINUTE_S]) <= minute


@given(st.integers(1, 5), st.integers(1, 8), STEPS)
def test_a_wait_is_long_enough(limit: int, minute: int, steps: list[tuple[str, int]]) -> None:
    """A job that waits for the returned seconds is admitted, unless there is no room."""
    limiter, now = RateLimiter(limit, minute), 0.0
    for action, number in steps:
        if action == "back_off":
            limiter.back_off(now, float(number))
        wait = limiter.try_acquire(number, now)
        while wait:
            now += wait
            wait = limiter.try_acquire(number, now)
        if wait is None:
            assert not limiter.has_capacity()
            for other in range(13):
                limiter.release(other)
            assert limiter.try_acquire(number, now) is not None


class TestCapacity:
    """Jobs in flight."""

    def test_a_job_in_flight_is_admitted_again(self) -> None:
        """A job that is sent a second time counts once."""
        limiter = RateLimiter(1, 60)
        assert [
            limiter.try_acquire("a", 0.0),
            limiter.try_acquire("a", 1.0),
            limiter.try_acquire("b", 2.0),
        ] == [
            0.0,
            0.0,
            None,
        ]

    def test_a_released_job_makes_room(self) -> None:
        """The callback is called, and the next job is admitted."""
        calls: list[str] = []
        limiter = RateLimiter(1, 60, on_capacity=lambda: calls.append("capacity"))
        limiter.try_acquire("a", 0.0)
        limiter.release("a")
        assert (calls, limiter.has_capacity(), limiter.try_acquire("b", 1.0)) == (
            ["capacity"],
            True,
            0.0,
        )

    def test_jobs_of_an_earlier_process_count(self) -> None:
        """Even if they exceed the limit."""
        limiter = RateLimiter(2, 60)
        for job in "abc":
            limiter.restore(job)
        limiter.release("a")
        assert limiter.try_acquire("d", 0.0) is None
        limiter.release("b")
        assert limiter.try_acquire("d", 0.0) == 0.0

    def test_the_callback_may_use_the_limiter(self) -> None:
        """It is called without the lock."""
        limiter = RateLimiter(1, 60)
        limiter.on_capacity = lambda: seen.append(limiter.has_capacity())
        seen: list[bool] = []
        limiter.try_acquire("a", 0.0)
        limiter.release("a")
        assert seen == [True]


class TestBackOff:
    """After the provider asked to slow down."""

    def fill_limiter(self) -> RateLimiter:
        """Return a limiter with eight jobs in flight of eight."""
        limiter = RateLimiter(8, 1000)
        for job in range(8):
            limiter.try_acquire(job, 0.0)
        return limiter

    def test_no_job_is_admitted_for_a_while(self) -> None:
        """For as long as the provider asked."""
        limiter = RateLimiter(8, 60)
        limiter.back_off(0.0, 30.0)
        assert [
            limiter.try_acquire("a", 0.0),
            limiter.try_acquire("a", 29.0),
            limiter.try_acquire("a", 30.0),
        ] == [
            30.0,
            1.0,
            0.0,
        ]

    def test_the_capacity_is_halved(self) -> None:
        """Half of the jobs in flight may remain."""
        limiter = self.fill_limiter()
        limiter.back_off(0.0, 30.0)
        assert limiter.capacity == 4

    def test_one_burst_of_refusals_counts_once(self) -> None:
        """All requests that were under way are refused for the same reason."""
        limiter = self.fill_limiter()
        for second in range(8):
            limiter.back_off(float(second), 30.0)
        assert limiter.capacity == 4
        limiter.back_off(100.0, 30.0)
        assert limiter.capacity == 2

    def test_the_capacity_recovers_step_by_step(self) -> None:
        """With accepted requests, up to the limit; each new slot calls the callback."""
        calls: list[str] = []
        limiter = self.fill_limiter()
        limiter.back_off(0.0, 30.0)
        limiter.on_capacity = lambda: calls.append("capacity")
        capacities = []
        for _ in range(40):
            limiter.recover()
            capacities.append(limiter.capacity)
        assert (capacities[3], capacities[4], capacities[-1], len(calls)) == (4, 5, 8, 4)


@pytest.mark.parametrize("limit", [1, 3])
def test_many_threads_share_a_limiter(limit: int) -> None:
    """The last slot is never taken twice."""
    limiter, in_flight, highest, lock = (
        RateLimiter(limit, 10**6),
        Counter[str](),
        [0],
        threading.Lock(),
    )

    def work(job: int) -> None:
        for _ in range(100):
            if limiter.try_acquire(job, 0.0) == 0.0:
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
