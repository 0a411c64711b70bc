"""Threads for the steps that block: paid requests, downloads, and writes to the ledger."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

MAX_SUBMITS = 256  # a route that makes the video within the call holds a thread for minutes
MAX_DOWNLOADS = 8
MAX_WRITES = 32  # writes at the same time share one commit
IDLE_S = 15.0  # an idle thread holds connections and memory
# Short calls need few threads. Hundreds of threads that start together only compete for the
# interpreter lock, and the memory that they allocate is not returned.
EAGER_THREADS = 16
GROWTH_PAUSE_S = 0.01  # between the start of two more threads
BUSY_LOAD = 0.8  # of a core: more threads would only wait for the interpreter lock

T = TypeVar("T")
_Call = tuple[Future[Any], "Callable[[], Any]"]


class ThreadPool:
    """Run blocking calls in threads that start when they are needed and end when they are idle.

    From ``EAGER_THREADS`` on the pool grows only while the processor has time for more.

    ``ThreadPoolExecutor`` does not fit: the interpreter waits at exit for its threads, and a
    download may take minutes; and it keeps every thread that it ever started.

    Args:
        name: Part of the names of its threads.
        limit: Threads at most.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.limit = limit
        self._name = name
        self._numbers = count()
        self._calls: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._running: dict[Future[Any], threading.Thread] = {}
        self._idle_count = 0
        self._is_growing = False
        self._closings = 0  # threads that started before the last one end when they are idle

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a thread, and return what it returns.

        If the awaiting task is cancelled, a call that has not begun is dropped; one that has begun
        continues.
        """
        return await asyncio.wrap_future(self.start(function, *args))

    def start(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Start a call in a thread."""
        future: Future[T] = Future()
        with self._changed:
            self._calls.append((future, lambda: function(*args)))
            if len(self._calls) <= self._idle_count:
                self._changed.notify()
            elif len(self._threads) < min(self.limit, EAGER_THREADS):
                self._start_thread(0.0)
            elif not self._is_growing:
                self._grow(self._closings)
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Do not wait for a call any more, nor count its thread, which may never end."""
        with self._changed:
            thread = self._running.get(future)
            if thread:
                self._threads.discard(thread)

    def close(self, *, wait: bool) -> None:
        """End the threads; with ``wait`` return when all calls are finished."""
        with self._changed:
            self._closings += 1
            if not wait:
                self._calls.clear()
            self._changed.notify_all()
            threads = self._threads - {threading.current_thread()}
        for thread in threads if wait else ():
            thread.join()

    def _grow(self, closings: int) -> None:
        """Start one more thread, which continues to grow the pool while calls wait."""
        has_work = bool(self._calls) and closings == self._closings
        self._is_growing = has_work and len(self._threads) < self.limit
        if self._is_growing:
            self._start_thread(GROWTH_PAUSE_S)

    def _start_thread(self, pause_s: float) -> None:
        name = f"veo-{self._name}-{next(self._numbers)}"
        args = (pause_s, self._closings)
        thread = threading.Thread(target=self._work, args=args, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self, pause_s: float, closings: int) -> None:
        if pause_s:
            while _measure_load(pause_s) > BUSY_LOAD and self._calls:
                pass
            with self._changed:
                self._grow(closings)
        while call := self._next_call(closings):
            future, function = call
            if future.set_running_or_notify_cancel():
                _complete(future, function)
            self._running.pop(future, None)
            del call, future, function  # an idle thread must not keep the last job alive

    def _next_call(self, closings: int) -> _Call | None:
        """Wait for a call; None when the thread must end."""
        thread = threading.current_thread()
        with self._changed:
            if thread not in self._threads:  # its last call was abandoned
                return None
            while not self._calls:
                self._idle_count += 1
                is_notified = closings == self._closings and self._changed.wait(IDLE_S)
                self._idle_count -= 1
                if not self._calls and (closings != self._closings or not is_notified):
                    self._threads.discard(thread)
                    return None
            call = self._calls.popleft()
            self._running[call[0]] = thread
            return call


def _measure_load(seconds: float) -> float:
    """Sleep, and return the share of a core that this process used meanwhile."""
    begun, cpu = time.monotonic(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu) / (time.monotonic() - begun)


def _complete(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - the caller that awaits it handles it
        future.set_exception(error)
    else:
        future.set_result(result)


@dataclass(slots=True)
class ThreadPools:
    """The pools that the steps of a job's life share."""

    submit: ThreadPool = field(default_factory=lambda: ThreadPool("submit", MAX_SUBMITS))
    download: ThreadPool = field(default_factory=lambda: ThreadPool("download", MAX_DOWNLOADS))
    write: ThreadPool = field(default_factory=lambda: ThreadPool("write", MAX_WRITES))

    def close(self) -> None:
        """Return when paid requests and writes are finished; abandon downloads."""
        self.download.close(wait=False)
        self.submit.close(wait=True)
        self.write.close(wait=True)
