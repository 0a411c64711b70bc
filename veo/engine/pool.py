"""Threads that do one kind of step; as many as there is work for, up to a limit."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.engine.work import Work


class Pool:
    """A queue and the threads that empty it.

    Args:
        name: Of its threads.
        limit: Threads, at most; they are started as they are needed.
        run: What is done with each piece of work; must not raise.
    """

    def __init__(self, name: str, limit: int, run: Callable[[Work], None]) -> None:
        self._name = name
        self._limit = limit
        self._run = run
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._lock = threading.Lock()

    def put(self, work: Work) -> None:
        """Have a piece of work done, as soon as a thread is free."""
        with self._lock:
            self._busy += 1
            short = self._busy > len(self._threads) < self._limit
        self._queue.put(work)
        if short:
            self._grow()

    def close(self, *, wait: bool) -> None:
        """Take no more work; with ``wait`` return when what was begun is finished."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _grow(self) -> None:
        name = f"veo-{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                self._run(work)
            finally:
                with self._lock:
                    self._busy -= 1
