"""What the library logs, on stderr: its warnings as one-liners; with ``--debug`` all of it."""

from __future__ import annotations

import logging

from veo_commands.output import out


class StderrHandler(logging.Handler):
    """Tells log records as remarks of the command; tracebacks only with ``--debug``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        if out.options.debug:
            out.notice(self.format(record))
        elif record.levelno == logging.WARNING and record.name.startswith("veo"):
            out.warn(record.getMessage())


_lines = StderrHandler()
_lines.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))


def attach_handler() -> None:
    """Begin to tell, in place of Python's last resort, which prints tracebacks."""
    logging.getLogger().addHandler(_lines)
    logging.getLogger("veo").setLevel(logging.DEBUG if out.options.debug else logging.NOTSET)
