"""Threads that do one kind of step; as many as there is work for, up to a limit."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.engine.work import Work


class Pool:
    """Pieces of work, and the threads that do them.

    The thread that was busy last gets the next piece: its connections are warm, and no more
    connections are kept than are needed. New threads come one by one, when ``relieve`` is called:
    a hundred at once would only take the interpreter from one another.

    Args:
        name: Of its threads.
        limit: Threads, at most.
        run: What is done with each piece of work; must not raise.
    """

    def __init__(self, name: str, limit: int, run: Callable[[Work], None]) -> None:
        self._name = name
        self._limit = limit
        self._run = run
        self._lock = threading.Lock()
        self._waiting: deque[Work] = deque()
        self._idle: list[_Hand] = []
        self._hands: list[_Hand] = []
        self._closed = False

    @property
    def short(self) -> bool:
        """Whether work waits for a thread, and there may be one more."""
        return bool(self._waiting) and len(self._hands) < self._limit

    def put(self, work: Work) -> None:
        """Have a piece of work done, as soon as a thread is free."""
        with self._lock:
            if not self._idle:
                self._waiting.append(work)
                return
            hand = self._idle.pop()
        hand.give(work)

    def relieve(self) -> None:
        """Add a thread, if work waits for one."""
        if self.short:
            hand = _Hand(self._run, self._next, f"veo-{self._name}-{len(self._hands)}")
            self._hands.append(hand)
            hand.start()

    def close(self, *, wait: bool) -> None:
        """Begin nothing more; with ``wait`` return when what was begun is finished."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            idle, self._idle = self._idle, []
        for hand in idle:
            hand.give(None)
        for hand in self._hands if wait else ():
            hand.join()

    def _next(self, hand: _Hand) -> Work | None:
        """More work for a thread that has done its piece; None when it has to wait."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                hand.give(None)
            else:
                self._idle.append(hand)
        return None


class _Hand(threading.Thread):
    """A thread that waits, without a clock or a queue, for the next piece of work."""

    def __init__(
        self, run: Callable[[Work], None], more: Callable[[_Hand], Work | None], name: str
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._do = run
        self._more = more
        self._given: Work | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def give(self, work: Work | None) -> None:
        """Wake it up for a piece of work, or to end."""
        self._given = work
        self._gate.release()

    def run(self) -> None:
        """Work until told to end."""
        while True:
            work = self._more(self)
            if work is None:
                self._gate.acquire()
                work = self._given
            if work is None:
                return
            self._do(work)
            self._given = work = None
