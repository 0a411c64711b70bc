"""What the library logs, on stderr: its warnings as one-liners; with ``--debug`` all of it."""

from __future__ import annotations

import logging

from veo_commands.output import out


class Lines(logging.Handler):
    """Tells log records as remarks of the command; tracebacks only with ``--debug``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        if out.show.debug:
            out.tell(self.format(record))
        elif record.levelno == logging.WARNING and record.name.startswith("veo"):
            out.warn(record.getMessage())


_lines = Lines()
_lines.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))


def listen() -> None:
    """Begin to tell, in place of Python's last resort, which prints tracebacks."""
    logging.getLogger().addHandler(_lines)
    logging.getLogger("veo").setLevel(logging.DEBUG if out.show.debug else logging.NOTSET)
