"""Threads that do one kind of step; as many as there is work for, up to a limit."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.engine.context import ActiveJob

IDLE_S = 15.0
FEW = 16
EAGER = 6  # threads that come at once


class Pool:
    """Pieces of work, and the threads that do them.

    The thread that was busy last gets the next piece: its connections are warm, and no more
    connections are kept than are needed. After the first few, new threads come one by one, when
    ``relieve`` is called: a hundred at once would only take the interpreter from one another. One
    that has had nothing to do for a while ends. There is no lock: who loses the interpreter while
    holding one keeps hundreds waiting, each of whom then wants the interpreter for nothing.

    Args:
        name: Of its threads.
        limit: Threads, at most.
        run: What is done with each piece of work; must not raise.
    """

    def __init__(self, name: str, limit: int, run: Callable[[ActiveJob], None]) -> None:
        self._name = name
        self._limit = limit
        self.run = run
        self._numbers = count()
        self._waiting: deque[ActiveJob] = deque()
        self._idle: list[_Hand] = []
        self._hands: list[_Hand] = []
        self._allowed = FEW
        self._closed = False

    @property
    def short(self) -> bool:
        """Whether work waits for a thread, and there may be one more."""
        return bool(self._waiting) and self._busy < self._limit

    @property
    def _busy(self) -> int:
        return len(self._hands) - len(self._idle)

    def put(self, work: ActiveJob) -> None:
        """Have a piece of work done, as soon as a thread is free."""
        self._waiting.append(work)
        self._match()
        if self._waiting and len(self._hands) < EAGER:
            self.relieve()

    def relieve(self) -> None:
        """Let one more thread work, if work waits for one."""
        if not self.short:
            return
        if self._busy >= self._allowed:
            self._allowed += 1
        self._match()
        if self._waiting and self._busy < self._allowed:
            hand = _Hand(self, f"veo-{self._name}-{next(self._numbers)}")
            self._hands.append(hand)
            hand.start()

    def throttle(self) -> None:
        """Let fewer threads work at a time: they only keep one another from it."""
        self._allowed = max(FEW, int(0.9 * min(self._allowed, self._busy)))

    def close(self, *, wait: bool) -> None:
        """Begin nothing more; with ``wait`` return when what was begun is finished."""
        self._closed = True
        self._waiting.clear()
        hands = list(self._hands)
        self._dismiss()
        for hand in hands if wait else ():
            hand.join()

    def next(self, hand: _Hand) -> ActiveJob | None:
        """More work for a thread that has done its piece; None when it has to wait."""
        if self._busy <= self._allowed:
            with suppress(IndexError):
                return self._waiting.popleft()
        self._idle.append(hand)
        if self._closed:
            self._dismiss()
        else:
            self._match()  # what came in between
        return None

    def retire(self, hand: _Hand) -> bool:
        """Let a thread end that waited in vain; False when it is just being given work."""
        try:
            self._idle.remove(hand)
        except ValueError:
            return False
        self._hands.remove(hand)
        return True

    def _match(self) -> None:
        """Give what waits to threads that wait."""
        while self._waiting and self._idle and self._busy < self._allowed:
            with suppress(IndexError):  # somebody else was faster
                hand = self._idle.pop()
                try:
                    hand.give(self._waiting.popleft())
                except IndexError:
                    self._idle.append(hand)

    def _dismiss(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().give(None)


class _Hand(threading.Thread):
    """A thread that waits, without a queue, for the next piece of work."""

    def __init__(self, pool: Pool, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._pool = pool
        self._given: ActiveJob | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def give(self, work: ActiveJob | None) -> None:
        """Wake it up for a piece of work, or to end."""
        self._given = work
        self._gate.release()

    def run(self) -> None:
        """Work until told to end, or until there was nothing to do for long."""
        while work := self._pool.next(self) or self._wait():
            self._pool.run(work)
            self._given = work = None

    def _wait(self) -> ActiveJob | None:
        """The next piece of work; None to end."""
        if not self._gate.acquire(timeout=IDLE_S):
            if self._pool.retire(self):
                return None
            self._gate.acquire()
        return self._given
