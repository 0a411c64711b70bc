"""What is wrong with an item of a batch, and where it stands in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from veo.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from veo.errors import VeoError


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something stands in a batch.

    Attributes:
        index: Of the item, counted from 0; None for what is wrong with the batch as a whole.
        line: Of the file, counted from 1; None where an item is not a line of its own.
    """

    index: int | None
    line: int | None = None

    @property
    def order(self) -> tuple[int, int]:
        """By which spots are sorted; the batch as a whole comes first."""
        return (-1 if self.index is None else self.index, self.line or 0)

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line is not None else ""
        item = f"item[{self.index}]" if self.index is not None else ""
        return ", ".join(part for part in (item, line) if part)


@dataclass(frozen=True, slots=True)
class ItemProblem:
    """One thing that keeps an item from being sent.

    Attributes:
        spot: Where it is.
        message: What is wrong, in one line; begins with the key that it is about, if one is.
    """

    spot: Spot
    message: str

    def __str__(self) -> str:
        spot = str(self.spot)
        text = f"{spot}: {self.message}" if spot else self.message
        # JSON can escape halves of characters, which no terminal and no file takes.
        return text.encode("utf-8", "backslashreplace").decode()


def problems_of(spot: Spot, error: VeoError, key: str = "") -> Iterator[ItemProblem]:
    """An error as problems of an item; those of an invalid request one by one."""
    if isinstance(error, InvalidRequestError):
        for problem in error.problems:
            yield ItemProblem(spot, f"{problem.field}: {problem.told}")
        return
    text = f"{error.message} {error.hint or ''}".strip()
    yield ItemProblem(spot, f"{key}: {text}" if key else text)
