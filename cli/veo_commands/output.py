"""Everything that commands print: results on stdout, messages on stderr.

There are three modes: text, ``--json`` (one JSON object per line on stdout) and ``--quiet``
(results and errors only).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, ClassVar, NamedTuple, TextIO, TypeVar, dataclass_transform

import typer

from veo.errors import VeoError
from veo.key import redact_known
from veo.problems import Problem
from veo_commands import exit_codes
from veo_commands.remedies import advice_lines, describe_problem, error_lines, veo_command

Group = TypeVar("Group")
# C0 controls except tab and newline, DEL, and C1 controls: all that can start an escape sequence.
# Then the characters that change the direction of text, which make it look like another one.
_CONTROL_CODES = (*range(9), *range(11, 32), *range(127, 160))
_BIDI_CODES = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROL_CHARACTERS = dict.fromkeys((*_CONTROL_CODES, *_BIDI_CODES))
# In JSON they stand as escapes; the encoder does that only for C0 controls.
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(127, 160), *_BIDI_CODES)}
# For terminals whose encoding does not have them.
_PLAIN_SIGNS = str.maketrans({"…": "...", "·": "|", "×": "x"})  # noqa: RUF001 - the sign itself
_UNLIMITED_WIDTH = 10_000  # of a file or pipe
_MIN_COLUMN_WIDTH = 24
_COLUMN_GAP = 2
_REST_INDENT = "    "
_EMPTY_CELLS = {"", "-"}


def strip_control(text: str) -> str:
    """Remove control characters, so that text from a server cannot control the terminal."""
    return text.translate(_CONTROL_CHARACTERS)


def shorten_line(text: str, width: int) -> str:
    """Return text on one line, cut to at most ``width`` characters."""
    text = " ".join(strip_control(text).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


class Cell(NamedTuple):
    """A text in a table, on one line."""

    text: str
    style: str | None = None  # a color, or "dim"

    @property
    def width(self) -> int:
        from rich.cells import cell_len

        return cell_len(self.text)

    def align(self, width: int, *, to_right: bool) -> str:
        """Return the text in a column; one that does not fit ends with an ellipsis."""
        from rich.cells import cell_len, set_cell_size

        fits = self.width <= width
        text = self.text if fits else f"{set_cell_size(self.text, width - 1).rstrip()}…"
        space = " " * (width - cell_len(text))
        style: dict[str, Any] = {"dim": True} if self.style == "dim" else {"fg": self.style}
        styled = typer.style(text, **style) if self.style else text
        return f"{space}{styled}" if to_right else f"{styled}{space}"


@dataclass_transform(kw_only_default=True, frozen_default=True)
def option_group(group: type[Group]) -> type[Group]:
    """Make a dataclass of a group of options, without methods that none needs and all must load."""
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(group)


@option_group
class OutputOptions:
    """Options for what is printed, and how. Every command has them."""

    panel: ClassVar[str] = "General"

    json: bool = typer.Option(False, help="Print one JSON object per line on stdout.")
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print results and errors only.")
    debug: bool = typer.Option(False, help="Print debug logs and tracebacks.")


class Output:
    """Prints the results and messages of a command."""

    def __init__(self) -> None:
        self.options = OutputOptions(json=False, quiet=False, debug=False)
        # Whether the command works on the sandbox's ledger, as commands in its hints must do then.
        self.sandbox = False

    def print_result(self, body: Mapping[str, Any], text: str | None) -> None:
        """Print ``body`` with ``--json``, else ``text``. None prints nothing."""
        if self.options.json:
            text = json.dumps(body, ensure_ascii=not _is_utf8(sys.stdout), default=str)
            text = text.translate(_JSON_ESCAPES)
        if text is not None:
            typer.echo(text, color=_color_setting())

    @staticmethod
    def stdout_width() -> int:
        """Return the columns of the terminal; a file or a pipe has as many as it is given."""
        return get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED_WIDTH

    def print_table(self, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print rows as text, in columns. A title that starts with ``>`` is aligned right.

        Columns that do not fit the terminal become a line of their own below each row.
        """
        cells = [[_make_cell(value) for value in row] for row in rows]
        lines = [[Cell(title.lstrip(">"), "dim") for title in titles], *cells]
        width = self.stdout_width()
        columns = [max(cell.width for cell in column) for column in zip(*lines, strict=True)]
        count = _count_fitting_columns(columns, width)
        taken = sum(columns[: count - 1]) + _COLUMN_GAP * (count - 1)
        columns[count - 1] = min(columns[count - 1], max(_MIN_COLUMN_WIDTH, width - taken))
        for number, row in enumerate(lines):
            parts = zip(row[:count], columns, titles, strict=False)
            line = (" " * _COLUMN_GAP).join(
                cell.align(room, to_right=title.startswith(">")) for cell, room, title in parts
            )
            line = line if _is_utf8(sys.stdout) else line.translate(_PLAIN_SIGNS)
            typer.echo(line.rstrip(), color=_color_setting())
            if number and count < len(titles):
                rest = zip(titles[count:], row[count:], strict=True)
                typer.echo(_format_rest(rest, width), nl=False)

    def print_comparison(self, titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a table whose columns are alike, as several tables where they do not fit.

        Each of them begins with the first column, which names the rows.
        """
        columns = zip(titles, *rows, strict=True)
        widths = [max(len(str(cell)) for cell in column) + _COLUMN_GAP for column in columns]
        room = self.stdout_width() - widths[0] + _COLUMN_GAP
        begin = 1
        while begin < len(titles):
            end = begin + 1
            while end < len(titles) and sum(widths[begin : end + 1]) <= room:
                end += 1
            chosen = [0, *range(begin, end)]
            if begin > 1:
                typer.echo()
            self.print_table(
                [titles[n] for n in chosen], [[row[n] for n in chosen] for row in rows]
            )
            begin = end

    @staticmethod
    def key_values(rows: Iterable[tuple[str, str]]) -> str:
        """Return names and values as text, one pair per line, with the values aligned."""
        pairs = list(rows)
        width = max((len(name) for name, _ in pairs), default=0)
        indent = f"\n{'':{width + 2}}"
        room = Output.stdout_width() - width - 2
        return "\n".join(
            f"{name:<{width}}  {indent.join(wrap_words(strip_control(value), room))}".rstrip()
            for name, value in pairs
        )

    @property
    def play_money_note(self) -> str:
        """What follows the price of a plan in the sandbox; empty elsewhere."""
        return "; play money in the sandbox" if self.sandbox else ""

    @property
    def is_utf8(self) -> bool:
        """Whether messages may contain more than the characters of an old code page."""
        return _is_utf8(sys.stderr)

    def fit_encoding(self, text: str) -> str:
        """Replace signs of this program that the terminal's encoding does not have."""
        return text if self.is_utf8 else text.translate(_PLAIN_SIGNS)

    @property
    def can_redraw(self) -> bool:
        """Whether messages go to a terminal that can erase and color them."""
        return sys.stderr.isatty() and not _is_dumb_terminal()

    def info(self, text: str, **style: Any) -> None:
        """Print a message on stderr, except with ``--quiet``."""
        if not self.options.quiet:
            self.notice(text, **style)

    def notice(self, text: str, **style: Any) -> None:
        """Print a message on stderr, even with ``--quiet``."""
        with suppress(OSError, ValueError):  # a closed stderr must not stop a job
            message = _wrap_for_terminal(strip_control(redact_known(text)))
            message = self.fit_encoding(message)
            typer.secho(message, err=True, color=_color_setting(), **style)

    @contextmanager
    def show_spinner(self, text: str) -> Iterator[None]:
        """Show a message on a terminal until the block ends, then erase it."""
        if self.options.quiet or not self.can_redraw:
            yield
            return
        from rich.console import Console
        from rich.spinner import Spinner

        from veo_commands.screen import ReflowingLive

        spinner = Spinner("dots" if self.is_utf8 else "line", strip_control(text), style="cyan")
        console = Console(stderr=True, highlight=False)
        with ReflowingLive(spinner, console=console, transient=True):
            yield

    def warn(self, text: str) -> None:
        """Print each line of ``text`` as a warning, except with ``--quiet``."""
        for line in text.splitlines():
            self.info(f"warning: {line}", fg="yellow")

    def warn_of(self, problems: Iterable[Problem]) -> None:
        """Print problems that do not stop a request."""
        for problem in problems:
            self.warn(describe_problem(problem))

    def hint(self, text: str) -> None:
        """Print what the user can do next, even with ``--quiet``."""
        self.notice(f"  {text}", dim=True)

    def print_error(self, error: VeoError) -> None:
        for line in error_lines(error):
            self.notice(f"error: {line}", fg="red")
        for line in self.advice(error):
            self.hint(line)

    def advice(self, error: VeoError) -> list[str]:
        """Return what can be done about an error, one sentence a line."""
        return advice_lines(error, sandbox=self.sandbox)

    def command(self, *words: str) -> str:
        """Return another ``veo`` command that works on the same ledger, in backquotes."""
        return veo_command(*words, sandbox=self.sandbox)

    def broken_pipe(self) -> int:
        """Discard further results because the reader has closed the pipe; return the exit code."""
        discard_rest(sys.stdout)
        return exit_codes.BROKEN_PIPE


out = Output()


def discard_rest(stream: TextIO) -> None:
    """Discard what a stream could not write; the interpreter would try again, and exit with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _make_cell(value: Any) -> Cell:
    return value if isinstance(value, Cell) else Cell(strip_control(str(value)))


def _format_rest(pairs: Iterable[tuple[str, Cell]], width: int) -> str:
    """Return the cells that do not fit beside each other, each with its title, as lines."""
    parts = [
        f"{title.lstrip('>').lower()} {cell.text}"
        for title, cell in pairs
        if cell.text not in _EMPTY_CELLS
    ]
    lines = wrap_words(" · ".join(parts), width - len(_REST_INDENT)) if parts else []
    return "".join(f"{_REST_INDENT}{line}\n" for line in lines)


def _count_fitting_columns(columns: Sequence[int], width: int) -> int:
    """Return how many columns fit. The last of all may be cut to ``_MIN_COLUMN_WIDTH``."""
    widths = [*columns[:-1], min(columns[-1], _MIN_COLUMN_WIDTH)]
    count = len(widths)
    while count > 1 and sum(widths[:count]) + _COLUMN_GAP * (count - 1) > width:
        count -= 1
    return count


def wrap_words(text: str, width: int, indent: str = "") -> list[str]:
    """Return text as lines of at most ``width`` characters, broken between words only."""
    return wrap(
        text,
        max(_MIN_COLUMN_WIDTH, width),
        subsequent_indent=indent,
        # Paths, URLs and options stay in one piece, so that they can be copied.
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _wrap_for_terminal(text: str) -> str:
    """Wrap text between words if stderr is a terminal; a log keeps its long lines."""
    if not sys.stderr.isatty():
        return text
    width = get_terminal_size().columns - 1
    lines = text.splitlines()
    return "\n".join(
        part
        for line in lines
        for part in wrap_words(line, width, " " * (len(line) - len(line.lstrip()) + 2))
    )


def _color_setting() -> bool | None:
    """Return False without colors; else None, for colors on a terminal only."""
    return False if os.environ.get("NO_COLOR") or _is_dumb_terminal() else None


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def _is_dumb_terminal() -> bool:
    return os.environ.get("TERM") in {"dumb", "unknown"}
