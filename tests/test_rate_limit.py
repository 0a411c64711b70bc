"""How hard a provider may be driven."""

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.engine.rate_limit import MINUTE_S, RateLimiter

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "enter", "leave", "slow", "eased", "wait"]),
        st.integers(0, 12),
    ),
    max_size=80,
)


@given(st.integers(1, 5), st.integers(1, 8), STEPS)
def test_never_more_than_allowed(most: int, minute: int, steps: list[tuple[str, int]]) -> None:
    """Inside at once, and in any sixty seconds, whatever happens in which order."""
    gate, now = RateLimiter(most, minute), 0.0
    inside: set[int] = set()
    sent: list[float] = []
    for what, number in steps:
        if what == "enter" and gate.try_acquire(number, now) == 0.0:
            inside.add(number)
            sent.append(now)
        elif what == "leave":
            inside.discard(number)
            gate.release(number)
        elif what == "slow":
            gate.back_off(now, float(number))
        elif what == "eased":
            gate.recover()
        elif what == "wait":
            now += 2.5 * number
        assert len(inside) <= most
        assert 1 <= gate.capacity <= most
        assert len([at for at in sent if at > now - MINUTE_S]) <= minute


@given(st.integers(1, 5), st.integers(1, 8), STEPS)
def test_a_wait_is_long_enough(most: int, minute: int, steps: list[tuple[str, int]]) -> None:
    """Who comes back after the seconds that were named is in, unless others took the room."""
    gate, now = RateLimiter(most, minute), 0.0
    for what, number in steps:
        if what == "slow":
            gate.back_off(now, float(number))
        wait = gate.try_acquire(number, now)
        while wait:
            now += wait
            wait = gate.try_acquire(number, now)
        if wait is None:
            assert not gate.has_room()
            for other in range(13):
                gate.release(other)
            assert gate.try_acquire(number, now) is not None


class TestRoom:
    """Jobs in flight."""

    def test_who_is_inside_may_come_again(self) -> None:
        """A job that is sent a second time takes no second place."""
        gate = RateLimiter(1, 60)
        assert [
            gate.try_acquire("a", 0.0),
            gate.try_acquire("a", 1.0),
            gate.try_acquire("b", 2.0),
        ] == [
            0.0,
            0.0,
            None,
        ]

    def test_a_place_is_free_when_somebody_leaves(self) -> None:
        """And those who wait are told."""
        calls: list[str] = []
        gate = RateLimiter(1, 60, on_capacity=lambda: calls.append("opened"))
        gate.try_acquire("a", 0.0)
        gate.release("a")
        assert (calls, gate.has_room(), gate.try_acquire("b", 1.0)) == (["opened"], True, 0.0)

    def test_jobs_of_an_earlier_process_take_places(self) -> None:
        """Even when that is more than there are."""
        gate = RateLimiter(2, 60)
        for job in "abc":
            gate.restore(job)
        gate.release("a")
        assert gate.try_acquire("d", 0.0) is None
        gate.release("b")
        assert gate.try_acquire("d", 0.0) == 0.0

    def test_who_is_told_may_ask(self) -> None:
        """The call comes without the lock."""
        gate = RateLimiter(1, 60)
        gate.on_capacity = lambda: seen.append(gate.has_room())
        seen: list[bool] = []
        gate.try_acquire("a", 0.0)
        gate.release("a")
        assert seen == [True]


class TestSlowing:
    """When the provider asks for it."""

    def full(self) -> RateLimiter:
        """Eight inside of eight."""
        gate = RateLimiter(8, 1000)
        for job in range(8):
            gate.try_acquire(job, 0.0)
        return gate

    def test_nobody_enters_for_a_while(self) -> None:
        """As long as was asked for."""
        gate = RateLimiter(8, 60)
        gate.back_off(0.0, 30.0)
        assert [
            gate.try_acquire("a", 0.0),
            gate.try_acquire("a", 29.0),
            gate.try_acquire("a", 30.0),
        ] == [
            30.0,
            1.0,
            0.0,
        ]

    def test_then_half_as_many(self) -> None:
        """Of those who were inside."""
        gate = self.full()
        gate.back_off(0.0, 30.0)
        assert gate.capacity == 4

    def test_one_burst_of_refusals_counts_once(self) -> None:
        """All that were under way are answered the same."""
        gate = self.full()
        for second in range(8):
            gate.back_off(float(second), 30.0)
        assert gate.capacity == 4
        gate.back_off(100.0, 30.0)
        assert gate.capacity == 2

    def test_room_comes_back_step_by_step(self) -> None:
        """With submits that go well, up to the limit and no further; who waits is told."""
        calls: list[str] = []
        gate = self.full()
        gate.back_off(0.0, 30.0)
        gate.on_capacity = lambda: calls.append("opened")
        rooms = []
        for _ in range(40):
            gate.recover()
            rooms.append(gate.capacity)
        assert (rooms[3], rooms[4], rooms[-1], len(calls)) == (4, 5, 8, 4)


@pytest.mark.parametrize("most", [1, 3])
def test_many_threads_at_one_gate(most: int) -> None:
    """No two of them take the last place."""
    gate, inside, worst, lock = RateLimiter(most, 10**6), Counter[str](), [0], threading.Lock()

    def work(job: int) -> None:
        for _ in range(100):
            if gate.try_acquire(job, 0.0) == 0.0:
                with lock:
                    inside["now"] += 1
                    worst[0] = max(worst[0], inside["now"])
                with lock:
                    inside["now"] -= 1
                gate.release(job)

    threads = [threading.Thread(target=work, args=(job,)) for job in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= worst[0] <= most
