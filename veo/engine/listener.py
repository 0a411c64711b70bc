"""What the dispatcher sleeps on: a bell that any thread can ring, and answers that are to come."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from veo.engine.work import Work

TICK_S = 1.0


class Listener:
    """Hundreds of polls under way, and no thread for any of them.

    Everything but ``ring`` is for one thread alone.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._awaited: dict[int, Work] = {}
        self._looked = monotonic()

    def __len__(self) -> int:
        """How many answers are awaited."""
        return len(self._awaited)

    def ring(self) -> None:
        """Wake up who sleeps, or will sleep next."""
        with suppress(OSError):  # full: it will wake up, or closed
            self._rope.send(b".")

    def expect(self, work: Work) -> bool:
        """Wake up when the answer to its poll comes; False if there is nothing to listen on."""
        asked = work.asked
        if asked is None or asked.socket is None:
            return False
        try:
            self._selector.register(asked.socket, selectors.EVENT_READ)
        except (OSError, ValueError, KeyError):
            return False
        self._awaited[asked.socket] = work
        return True

    def sleep(self, seconds: float | None) -> list[Work]:
        """Sleep that long at most; gives those whose answer is there, or did not come in time."""
        seconds = TICK_S if seconds is None or seconds > TICK_S else max(0.0, seconds)
        come = []
        for key, _ in self._selector.select(seconds):
            work = self._awaited.get(key.fd)
            if work is None:
                self._bell.recv(4096)
            elif work.asked is None or work.asked.ready():
                come.append(self._forget(key.fd))
        now = monotonic()
        if now - self._looked >= TICK_S:
            self._looked = now
            late = [fd for fd, work in self._awaited.items() if work.asked and work.asked.until < now]
            come += [self._forget(fd) for fd in late]
        return come

    def close(self) -> None:
        """Stop listening; what was asked is forgotten."""
        for work in self._awaited.values():
            work.asked = None
        self._awaited.clear()
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def _forget(self, fd: int) -> Work:
        self._selector.unregister(fd)
        return self._awaited.pop(fd)
