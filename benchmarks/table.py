"""What a measurement gives: rows to be printed, and targets that are met or missed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Target:
    """A number beside its limit.

    Attributes:
        what: What was measured, and against what.
        measured: The number.
        limit: What it may be at most, or at least.
        least: Whether the limit is a least.
    """

    what: str
    measured: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the number keeps the limit."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.least else "<="
        word = "met" if self.met else "MISSED"
        return f"{word:<7} {self.what}: {self.measured:.4g} ({sign} {self.limit:g})"


@dataclass
class Table:
    """One measurement.

    Attributes:
        title: What was done.
        columns: The heads; the first column names the row.
        rows: A name and a cell for each of the other columns.
        targets: What is asked of it.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str | float]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [list(self.columns), *([_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        body = [_line(lines[0], widths), _line(rule, widths)]
        body += [_line(line, widths) for line in lines[1:]]
        targets = [f"- {target}" for target in self.targets]
        return "\n".join([f"## {self.title}", "", *body, "", *targets])


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else f"{value:.3g}" if value < 1 else f"{value:.2f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"
