"""What the dispatcher sleeps on: a bell that any thread can ring, and answers that are to come."""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from veo.engine.context import ActiveJob
    from veo.provider import Asked

TICK_S = 1.0
MOST = 640  # answers awaited; 300 are, where 2,000 polls a second take 150 ms each


class Listener:
    """Hundreds of polls under way, and no thread for any of them.

    Everything but ``ring`` is for one thread alone.
    """

    def __init__(self) -> None:
        self._awaited: dict[int, tuple[ActiveJob, Asked]] = {}
        self._looked = monotonic()
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._most = min(MOST, _room())

    @property
    def full(self) -> bool:
        """Whether as many answers are awaited as should be at a time."""
        return len(self._awaited) >= self._most

    def ring(self) -> None:
        """Wake up who sleeps, or will sleep next."""
        with suppress(OSError):  # rung a thousand times already, or closed
            self._rope.send(b".")

    def expect(self, work: ActiveJob, asked: Asked) -> bool:
        """Wait for the answer to its poll; False where there is nothing to wait on."""
        try:
            place = asked.socket
            if place is None:
                return False
            self._selector.register(place, selectors.EVENT_READ)
        except (OSError, ValueError, KeyError):
            return False
        self._awaited[place] = (work, asked)
        return True

    def sleep(self, seconds: float) -> list[tuple[ActiveJob, Asked]]:
        """Sleep that long at most; gives those whose answer is there, or did not come in time."""
        come = []
        for key, _ in self._selector.select(min(TICK_S, max(0.0, seconds))):
            if key.fd not in self._awaited:
                self._bell.recv(4096)
            elif _ready(self._awaited[key.fd][1]):
                come.append(self._forget(key.fd))
        return come + self._overdue()

    def close(self) -> None:
        """Stop listening. Polls are free: those under way are forgotten."""
        for work, _ in self._awaited.values():
            work.asked = None
        self._awaited.clear()
        self._selector.close()
        self._bell.close()
        self._rope.close()

    def _overdue(self) -> list[tuple[ActiveJob, Asked]]:
        now = monotonic()
        if now - self._looked < TICK_S:
            return []
        self._looked = now
        late = [place for place, (_, asked) in self._awaited.items() if asked.until < now]
        return [self._forget(place) for place in late]

    def _forget(self, place: int) -> tuple[ActiveJob, Asked]:
        self._selector.unregister(place)
        return self._awaited.pop(place)


def _room() -> int:
    """Half of the files that a process may have open: connections are such."""
    try:
        import resource  # noqa: PLC0415 - not everywhere
    except ImportError:
        return 256  # where there is none, select() takes 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft // 2


def _ready(asked: Asked) -> bool:
    try:
        return asked.ready()
    except Exception:  # noqa: BLE001 - whose bug it is shows when the answer is read
        return True
