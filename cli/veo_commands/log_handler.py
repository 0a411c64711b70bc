"""Print the library's log records on stderr: warnings, or everything with ``--debug``."""

from __future__ import annotations

import logging

from veo_commands.output import out


class StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if out.options.debug:
            out.notice(self.format(record))
        elif record.levelno == logging.CRITICAL and record.name.startswith("veo"):
            out.notice(record.getMessage(), fg="red")  # a task that must not get lost
        elif record.levelno == logging.WARNING and record.name.startswith("veo"):
            out.warn(record.getMessage())  # errors reach the user as exceptions


_handler = StderrHandler()
_handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))


def attach_handler() -> None:
    """Replace Python's handler of last resort, which prints tracebacks without ``--debug``."""
    logging.getLogger().addHandler(_handler)  # adding it again has no effect
    logging.getLogger("veo").setLevel(logging.DEBUG if out.options.debug else logging.NOTSET)
