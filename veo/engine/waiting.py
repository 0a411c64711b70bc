"""Waits of any length that Ctrl-C can end.

On Windows it takes effect only between two waits. Elsewhere it ends a wait, but not one that begins
just after the signal: the interpreter has noted it, and the wait does not look.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
SLICE_S = 0.5


def time_slices(timeout: float | None) -> Iterator[float]:
    """Yield how long to wait next, in seconds, until the timeout is over; at least once."""
    deadline = None if timeout is None else monotonic() + timeout
    while True:
        left = SLICE_S if deadline is None else min(SLICE_S, deadline - monotonic())
        yield max(0.0, left)
        if deadline is not None and monotonic() >= deadline:
            return


def take_next(queue: SimpleQueue[T], timeout: float | None) -> T:
    """Return the next value of a queue; raise ``Empty`` if there is none in time."""
    for seconds in time_slices(timeout):
        with suppress(Empty):
            return queue.get(timeout=seconds)
    raise Empty
