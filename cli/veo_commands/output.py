"""The one place that prints: results to stdout, everything else to stderr.

Three ways: for a person, as JSON (one object a line on stdout), or quiet (results and errors).
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from veo_commands import exit_codes
from veo_commands.remedies import advice_lines, error_lines, veo_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.text import Text

    from veo.errors import VeoError

# What a provider's own words, in whatever language, are about.
_MEANINGS = {
    "AuthError": "the key was refused",
    "BalanceError": "the balance does not suffice",
    "BusyError": "the provider is busy",
    "GenerationError": "the provider could not make it",
    "ModelUnavailableError": "the model cannot be had",
    "ModeratedError": "a safety filter said no",
    "RefusedError": "the provider refused the request",
    "TooLargeError": "the pictures are too large",
}
_CONTROL = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)))
_WIDE = 10_000
_LEAST = 8


def strip_control(text: str) -> str:
    """Text from elsewhere made harmless for a terminal: no escape sequences."""
    return text.translate(_CONTROL)


def shorten_line(text: str, width: int) -> str:
    """Text on one line of at most so many characters."""
    text = " ".join(strip_control(text).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is printed, and how."""

    panel: ClassVar[str] = "General"

    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line on stdout, nothing else.")
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no remarks on stderr.")
    ] = False
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell what happens inside; tracebacks on errors.")
    ] = False


class Output:
    """Where a command puts what it has to say.

    Attributes:
        show: How; a command's options set it.
        sandbox: Whether the hints have to name the sandbox's ledger.
    """

    def __init__(self) -> None:
        self.options = OutputOptions()
        self.sandbox = False

    def set_mode(self, options: OutputOptions) -> None:
        """Print like this from now on."""
        self.options, self.sandbox = options, False

    def print_result(self, body: Mapping[str, Any], text: str | None) -> None:
        """One result: the object for a program, the text for a person (None: no text)."""
        if self.options.json:
            readable = (sys.stdout.encoding or "").lower() in {"utf-8", "utf8"}
            text = json.dumps(body, ensure_ascii=not readable, default=str)
        if text is not None:
            typer.echo(text, color=_colours())

    def print_table(self, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Rows for a person, the columns side by side; ``>`` before a title aligns it right.

        On a terminal that is too narrow the last columns are cut or left out.
        """
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        cells = [[_cell(value) for value in row] for row in rows]
        names = [Text(title.lstrip(">"), style="dim") for title in titles]
        wide = get_terminal_size().columns if sys.stdout.isatty() else _WIDE
        count = _columns([names, *cells], wide)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title, name in zip(titles[:count], names, strict=False):
            table.add_column(name, justify="right" if title.startswith(">") else "left")
        for row in cells:
            table.add_row(*row[:count])
        console = Console(file=sys.stdout, width=wide, highlight=False)
        with console.capture() as painted:
            console.print(table)
        typer.echo("\n".join(line.rstrip() for line in painted.get().splitlines()))
        if count < len(names):
            missing = ", ".join(str(name) for name in names[count:])
            self.info(f"The terminal is too narrow for: {missing}.", dim=True)

    @staticmethod
    def key_values(rows: Iterable[tuple[str, str]]) -> str:
        """Names and values, one pair a line, the values in one column."""
        known = list(rows)
        wide = max((len(name) for name, _ in known), default=0)
        return "\n".join(
            f"{name:<{wide}}  {strip_control(value)}".rstrip() for name, value in known
        )

    def info(self, text: str, **style: Any) -> None:
        """A remark, on stderr; nothing when quiet."""
        if not self.options.quiet:
            self.notice(text, **style)

    def notice(self, text: str, **style: Any) -> None:
        """A line on stderr, printed even when quiet; that nobody reads it is no reason to stop."""
        with suppress(OSError, ValueError):
            typer.secho(_fitted(strip_control(text)), err=True, color=_colours(), **style)

    @contextmanager
    def show_spinner(self, text: str) -> Iterator[None]:
        """Say on a terminal what is being done, for as long as it takes; nothing is left of it."""
        if self.options.quiet or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        with Console(stderr=True, highlight=False).status(strip_control(text)):
            yield

    def warn(self, text: str) -> None:
        """Something to know before or while it happens."""
        for line in text.splitlines():
            self.info(f"warning: {line}", fg="yellow")

    def hint(self, text: str) -> None:
        """What can be done next."""
        self.notice(f"  {text}", dim=True)

    def suggest(self, text: str) -> None:
        """A hint that nobody is lost without; nothing when quiet."""
        if not self.options.quiet:
            self.hint(text)

    def print_error(self, error: VeoError) -> None:
        """What went wrong, why, and what to do next; a line for each problem."""
        kind = type(error).__name__
        meaning = f"{_MEANINGS[kind]}: " if kind in _MEANINGS else ""
        for line in error_lines(error):
            self.notice(f"error: {meaning}{line}", fg="red")
        for line in self.advice(error):
            self.hint(line)

    def advice(self, error: VeoError) -> list[str]:
        """Return what can be done about an error, one sentence a line."""
        return advice_lines(error, sandbox=self.sandbox)

    def command(self, *words: str) -> str:
        """Return another ``veo`` command that works on the same ledger, in backquotes."""
        return veo_command(*words, sandbox=self.sandbox)

    def broken_pipe(self) -> int:
        """Nobody reads the results any more: the rest goes nowhere; returns the exit code."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.BROKEN_PIPE


out = Output()


def _cell(value: Any) -> Text:
    """A value as one line of a table."""
    from rich.text import Text

    cell = value if isinstance(value, Text) else Text(strip_control(str(value)))
    cell.no_wrap, cell.overflow = True, "ellipsis"
    return cell


def _columns(rows: Sequence[Sequence[Text]], wide: int) -> int:
    """How many columns fit whole, but for the last, which may be cut down to a little."""
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    count = len(widths)
    while count > 2 and sum(widths[: count - 1]) + 2 * count + _LEAST > wide:
        count -= 1
    return count


def _fitted(text: str) -> str:
    """Text wrapped between words where a terminal would break them; in a log it stays as it is."""
    if not sys.stderr.isatty():
        return text
    wide = get_terminal_size().columns - 1
    return "\n".join(
        fill(
            line,
            wide,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def _colours() -> bool | None:
    """False where nobody wants colours; None: as the stream is a terminal or not."""
    return False if os.environ.get("NO_COLOR") else None
