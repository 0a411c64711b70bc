"""Threads for steps that block: as many as are needed, up to a limit."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from veo.engine import threads
from veo.engine.threads import ThreadPool


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    """A pool of two threads."""
    pool = ThreadPool("test", 2)
    yield pool
    pool.close(wait=True)


def live_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("veo-test-")]


def test_calls_wait_for_a_thread_and_all_are_made(pool: ThreadPool) -> None:
    """There are never more threads than the limit."""
    go = threading.Event()
    futures = [pool.start(lambda n=n: (go.wait(10), n)[1]) for n in range(5)]
    busy = len(live_threads())
    go.set()

    assert [future.result(10) for future in futures] == list(range(5))
    assert busy == 2


def test_threads_above_the_first_few_come_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as calls wait for them, and until the limit."""
    monkeypatch.setattr(threads, "EAGER_THREADS", 1)
    pool = ThreadPool("test", 3)
    go = threading.Event()
    futures = [pool.start(go.wait, 10) for _ in range(5)]
    assert len(live_threads()) == 2
    while len(live_threads()) < 3:
        threading.Event().wait(0.001)
    threading.Event().wait(0.05)
    assert len(live_threads()) == 3
    go.set()
    assert all(future.result(10) for future in futures)
    pool.close(wait=True)


def test_no_thread_is_added_while_the_processor_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool grows again as soon as it is not."""
    measured = threading.Event()
    load = 1.0

    def measure_load(_: float) -> float:
        measured.set()
        threading.Event().wait(0.001)
        return load

    monkeypatch.setattr(threads, "EAGER_THREADS", 1)
    monkeypatch.setattr(threads, "_measure_load", measure_load)
    pool = ThreadPool("test", 4)
    go = threading.Event()
    futures = [pool.start(go.wait, 10) for _ in range(5)]
    for _ in range(5):
        measured.clear()
        assert measured.wait(10)
    assert len(live_threads()) == 2
    load = 0.0
    while len(live_threads()) < 4:
        threading.Event().wait(0.001)
    go.set()
    assert all(future.result(10) for future in futures)
    pool.close(wait=True)


def test_an_error_reaches_the_caller(pool: ThreadPool) -> None:
    """The thread goes on with the next call."""

    async def divide() -> float:
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)
        return await pool.run(lambda: 1 / 2)

    assert asyncio.run(divide()) == 0.5


def test_an_idle_thread_is_used_again(pool: ThreadPool) -> None:
    """One call after the other needs one thread."""
    for number in range(5):
        assert pool.start(lambda n=number: n).result(10) == number
        wait_until_idle(pool)

    assert len(live_threads()) == 1


def wait_until_idle(pool: ThreadPool) -> None:
    while pool._idle_count < len(pool._threads):
        threading.Event().wait(0.001)


def test_a_thread_without_calls_ends_and_another_takes_its_place(
    pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle threads hold connections and memory; calls that come later are made all the same."""
    monkeypatch.setattr(threads, "IDLE_S", 0.01)
    for number in range(2):
        assert pool.start(lambda n=number: n).result(10) == number
        for thread in live_threads():
            thread.join(10)
        assert not live_threads()


def test_idle_threads_end_with_the_pool(pool: ThreadPool) -> None:
    """Not seconds later: each keeps the connections and the objects of a closed client."""
    for future in [pool.start(int) for _ in range(2)]:
        future.result(10)
    wait_until_idle(pool)
    idle = live_threads()
    pool.close(wait=False)
    for thread in idle:
        thread.join(5)
    assert not live_threads()
    assert pool.start(int).result(10) == 0


def test_a_cancelled_call_is_not_made(pool: ThreadPool) -> None:
    """One that waits for a thread is dropped; one that has begun goes on."""
    begun, go = threading.Semaphore(0), threading.Event()
    calls: list[str] = []

    def call(name: str) -> None:
        begun.release()
        go.wait(10)
        calls.append(name)

    async def cancel() -> None:
        tasks = [asyncio.create_task(pool.run(call, name)) for name in ("a", "b", "c")]
        await asyncio.to_thread(lambda: [begun.acquire(timeout=10) for _ in range(2)])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(cancel())
    go.set()
    pool.close(wait=True)
    assert sorted(calls) == ["a", "b"]


def test_close_waits_for_all_calls_or_for_none() -> None:
    """Paid requests have to be finished, downloads need not be."""
    pool = ThreadPool("test", 1)
    go, calls = threading.Event(), []
    futures = [pool.start(lambda n=n: calls.append(n)) for n in range(3)]
    pool.close(wait=True)
    assert all(future.done() for future in futures)
    assert calls == [0, 1, 2]

    begun = threading.Event()
    blocked = pool.start(lambda: (begun.set(), go.wait(10)))
    assert begun.wait(10)
    dropped = pool.start(calls.append, 3)
    pool.close(wait=False)
    assert not blocked.done()
    go.set()
    assert blocked.result(10)
    pool.close(wait=True)
    assert not dropped.done()
