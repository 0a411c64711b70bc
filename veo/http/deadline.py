"""Time limits of whole exchanges.

The timeout of a socket limits one pause, so a server that sends a byte now and then would hold a
thread for ever. One thread watches all exchanges that block. It shuts down the connection of one
whose time is over, so that whatever waits for it returns.
"""

from __future__ import annotations

import heapq
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from veo.errors import ResponseLostError

MAX_CLOSED = 100  # deadlines that stay in the heap although closed; ten thousand take 5 MB
IDLE_S = 15.0  # without anything to watch, after which the thread that watches ends
_NEVER = float("inf")


class Deadline:
    """The time at which an exchange is cut off. Safe to use from any thread.

    Args:
        seconds: From now on.
        message: What the error says, for example ``the response took longer than 60 s``.
    """

    __slots__ = ("_lock", "_sockets", "_wakes_at", "ends_at", "is_over", "message")

    def __init__(self, seconds: float = _NEVER, message: str = "") -> None:
        self.is_over = False
        self._wakes_at = _NEVER  # when the watching thread looks at it next
        self._sockets: list[Any] = []
        self._lock = threading.Lock()
        self.restart(seconds, message)

    def restart(self, seconds: float, message: str) -> None:
        """Count anew from now on, for the next part of the exchange."""
        self.message = message
        self.ends_at = time.monotonic() + seconds
        # Nearly always a later time, which the thread notices when it wakes: that costs nothing.
        if self.ends_at < self._wakes_at:
            self._wakes_at = self.ends_at
            _watch.add(self, self.ends_at)

    def add_socket(self, sock: Any) -> None:
        """Have a socket shut down when the time is over."""
        with self._lock:
            self._sockets.append(sock)
            is_over = self.is_over
        if is_over:
            _shut_down(sock)

    def look(self, now: float) -> float:
        """Cut the exchange off if its time is over. Return when to look again."""
        if self.ends_at > now:
            self._wakes_at = self.ends_at
            return self.ends_at
        with self._lock:
            self.is_over = True
            sockets = list(self._sockets)
        for sock in sockets:
            _shut_down(sock)
        return _NEVER

    def check(self) -> None:
        """Raise a ResponseLostError if the time is over: then the end of the data proves nothing.

        A connection that was shut down looks like one that the server has closed.
        """
        if self.is_over:
            raise ResponseLostError(self.message)

    def close(self) -> None:
        """Stop the watch: the exchange is over, and another one may use its connection."""
        with self._lock:
            self.ends_at = self._wakes_at = _NEVER
            self._sockets.clear()
        _watch.forget_closed()

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Have the connections that this thread opens or uses in the block cut off in time."""
        _current.deadline = self
        try:
            yield
        finally:
            _current.deadline = None


class WatchedConnection:
    """Mixed into a connection of urllib3: the current deadline of its thread learns its socket."""

    sock: Any

    def _new_conn(self) -> Any:
        sock = super()._new_conn()  # type: ignore[misc]
        _add_to_current(sock)  # a proxy may be slow in letting the connection through
        return sock

    def connect(self, *args: Any) -> None:
        super().connect(*args)  # type: ignore[misc]
        _add_to_current(self.sock)  # TLS replaces the socket

    def getresponse(self, *args: Any, **options: Any) -> Any:
        _add_to_current(self.sock)  # a kept connection does not connect
        return super().getresponse(*args, **options)  # type: ignore[misc]


class _Current(threading.local):
    deadline: Deadline | None = None


class _Watch:
    """The thread that looks at deadlines when their time has come."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = itertools.count()  # deadlines have no order
        self._closed_count = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline, when: float) -> None:
        if when == _NEVER:
            return
        with self._changed:
            heapq.heappush(self._heap, (when, next(self._numbers), deadline))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="veo-deadlines", daemon=True)
                self._thread.start()
            elif self._heap[0][2] is deadline:
                self._changed.notify()

    def forget_closed(self) -> None:
        """Count one more closed deadline, and remove all of them when they are many."""
        with self._changed:
            self._closed_count += 1
            if self._closed_count > max(MAX_CLOSED, len(self._heap) // 2):
                self._closed_count = 0
                self._heap = [each for each in self._heap if each[2].ends_at != _NEVER]
                heapq.heapify(self._heap)

    def _run(self) -> None:
        while due := self._wait_for_due():
            for deadline in due:
                self.add(deadline, deadline.look(time.monotonic()))

    def _wait_for_due(self) -> list[Deadline]:
        """Wait for deadlines whose time has come; return none when the thread must end."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = []
                while self._heap and self._heap[0][0] <= now:
                    due.append(heapq.heappop(self._heap)[2])
                if due:
                    return due
                pause = self._heap[0][0] - now if self._heap else IDLE_S
                is_notified = self._changed.wait(min(pause, threading.TIMEOUT_MAX))
                if not self._heap and not is_notified:
                    self._thread = None
                    return []


def _add_to_current(sock: Any) -> None:
    if _current.deadline and sock is not None:
        _current.deadline.add_socket(sock)


def _shut_down(sock: Any) -> None:
    # TLS within TLS has no socket of its own. The method of the base class leaves the state of TLS
    # alone, which another thread uses at this moment.
    plain = getattr(sock, "socket", sock)
    if isinstance(plain, socket.socket):
        with suppress(OSError):  # it is closed already
            socket.socket.shutdown(plain, socket.SHUT_RDWR)


_current = _Current()
_watch = _Watch()
