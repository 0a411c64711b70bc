"""End a test that takes for ever, for readers that used to take hours for a small input."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def limited_time(seconds: float = 30.0) -> Iterator[None]:
    """Fail the test if the block takes more time of the processor: other programs do not count.

    The signal interrupts regular expressions too.
    """

    def fail(*_: object) -> NoReturn:
        pytest.fail(f"not finished after {seconds} s of the processor")

    previous = signal.signal(signal.SIGPROF, fail)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
