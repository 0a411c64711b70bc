"""The result of a benchmark: rows to print, and targets that are met or missed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Target:
    """A measured number and its limit.

    Attributes:
        description: What was measured, and in relation to what.
        measured: The measured number.
        limit: The maximum, or the minimum, that is acceptable.
        is_minimum: Whether ``limit`` is a minimum.
    """

    description: str
    measured: float
    limit: float
    is_minimum: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the number is within the limit."""
        return self.measured >= self.limit if self.is_minimum else self.measured <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.is_minimum else "<="
        word = "met" if self.is_met else "MISSED"
        return f"{word:<7} {self.description}: {self.measured:.4g} ({sign} {self.limit:g})"


@dataclass
class Table:
    """One benchmark's result.

    Attributes:
        title: What was measured.
        columns: The headings; the first column names the row.
        rows: A name and a cell for each of the other columns.
        targets: Limits that the numbers are compared with.
    """

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str | float]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [list(self.columns), *([_format_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        body = [_format_line(lines[0], widths), _format_line(rule, widths)]
        body += [_format_line(line, widths) for line in lines[1:]]
        targets = [f"- {target}" for target in self.targets]
        return "\n".join([f"## {self.title}", "", *body, "", *targets])


def _format_cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else f"{value:.3g}" if value < 1 else f"{value:.2f}"


def _format_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"
