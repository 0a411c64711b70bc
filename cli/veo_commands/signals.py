"""Ctrl-C, and the signals that end a command likewise: jobs stay resumable."""

from __future__ import annotations

import os
import signal

# Windows has no SIGHUP, and only Windows has SIGBREAK, which a closing window sends.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
# Only the defaults are replaced: `nohup` starts a process with SIGHUP ignored.
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
_EXIT_CODE = 130  # exit_codes.INTERRUPTED; its import takes most of the time that this is for


def exit_on_interrupt() -> None:
    """End the process without a message; a command that has not begun leaves nothing behind.

    An exception would print a traceback, or be lost: the import system ignores those that are
    raised in its callbacks, and the command would go on.
    """
    for number in _numbers():
        if signal.getsignal(number) in _DEFAULTS:
            signal.signal(number, _exit)


def raise_interrupts() -> None:
    """Raise a ``KeyboardInterrupt`` from now on."""
    for number in _numbers():
        if signal.getsignal(number) is _exit:
            signal.signal(number, signal.default_int_handler)


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def _exit(*_: object) -> None:
    os._exit(_EXIT_CODE)
