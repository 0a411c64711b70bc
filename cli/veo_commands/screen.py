"""A live view that leaves no lines behind when the terminal is made narrower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment

if TYPE_CHECKING:
    from rich.console import (
        Console,
        ConsoleOptions,
        ConsoleRenderable,
        RenderableType,
        RenderResult,
    )


class ReflowingLive(Live):
    """A view that erases itself completely, whatever the width of the terminal has become.

    rich goes up as many lines as it has drawn. Almost all terminals wrap their lines again when
    they are made narrower, so that each of them may be several by then.
    """

    _on_screen: _MeasuredLines | None = None

    def get_renderable(self) -> RenderableType:
        self._next = _MeasuredLines(super().get_renderable())
        return self._next

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Erase the lines that were added by wrapping, before rich erases those it knows of."""
        widths = self._on_screen.widths if self._on_screen else []
        added = sum(max(0, cells - 1) // max(1, self.console.width) for cells in widths)
        self._on_screen = self._next
        line_up = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        return [Control(*line_up * added), *super().process_renderables(renderables)]


class _MeasuredLines:
    """Renders what it is given, and keeps the width of each line, in cells."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable
        self.widths: list[int] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._renderable, options, pad=False)
        self.widths = [Segment.get_line_length(line) for line in lines]
        for line in lines:
            yield from line
            yield Segment.line()
