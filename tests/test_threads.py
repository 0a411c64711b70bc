"""Threads that do one kind of step, and when there is time for more of them."""

import threading
from typing import Any

import pytest

from veo.engine import threads as pool
from veo.engine.load import Load
from veo.engine.threads import Pool


def hands(name: str) -> list[threading.Thread]:
    """The living threads of a pool."""
    return [each for each in threading.enumerate() if each.name.startswith(f"veo-{name}-")]


def test_work_waits_for_a_thread_and_all_of_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put before there is a thread is done by the first one that comes."""
    monkeypatch.setattr(pool, "EAGER", 0)
    done: list[Any] = []
    three = threading.Semaphore(0)
    threads = Pool("work", 2, lambda work: (done.append(work), three.release())[0])
    for number in (1, 2, 3):
        threads.put(number)  # type: ignore[arg-type]
    assert threads.short
    threads.relieve()
    assert all(three.acquire(timeout=10) for _ in range(3))
    threads.close(wait=True)
    assert done == [1, 2, 3]
    assert not hands("work")


def test_the_first_threads_come_at_once() -> None:
    """Nobody has to ask for them."""
    done = threading.Semaphore(0)
    threads = Pool("eager", 2, lambda _: done.release())
    threads.put(1)  # type: ignore[arg-type]
    assert done.acquire(timeout=10)
    threads.close(wait=True)


def test_fewer_may_work_after_a_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who works goes on; who is done leaves what waits to the few that may work."""
    monkeypatch.setattr(pool, "FEW", 1)
    begun, held = threading.Semaphore(0), threading.Semaphore(0)
    done: list[Any] = []

    def work(piece: Any) -> None:
        begun.release()
        held.acquire()
        done.append(piece)

    threads = Pool("throttled", 2, work)
    for number in (1, 2, 3):
        threads.put(number)  # type: ignore[arg-type]
    assert all(begun.acquire(timeout=10) for _ in range(2))
    threads.throttle()
    held.release(3)
    assert begun.acquire(timeout=10)
    threads.close(wait=True)
    assert sorted(done) == [1, 2, 3]


def test_a_thread_without_work_ends_and_another_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Idle threads hold connections and memory; work that comes later is done all the same."""
    monkeypatch.setattr(pool, "IDLE_S", 0.01)
    done = threading.Semaphore(0)
    threads = Pool("brief", 1, lambda _: done.release())
    for number in (1, 2):
        threads.put(number)  # type: ignore[arg-type]
        while threads.short:
            threads.relieve()
        assert done.acquire(timeout=10)
        for hand in hands("brief"):
            hand.join(timeout=10)
        assert not hands("brief")
    threads.close(wait=True)


def test_a_process_that_takes_a_whole_core_has_no_time_to_spare() -> None:
    """It is looked at a while at a time; what is seen counts until the next look."""
    load = Load()
    seen = [load.light(*at) for at in ((10.0, 1.0), (10.06, 1.06), (10.07, 1.06), (10.2, 1.1))]

    assert seen == [True, False, False, True]
    assert load.light(10.3, 1.5) is False
