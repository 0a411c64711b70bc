"""The live view on a terminal whose width changes."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from veo_commands.screen import ReflowingLive

LINE_UP = "\x1b[1A"
SEVERAL_LINES = "a line of exactly thirty chars\nshort"


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=40, legacy_windows=False)


@pytest.mark.parametrize(("width", "lines_up"), [(60, 1), (40, 1), (30, 1), (15, 2), (10, 3)])
def test_a_narrower_terminal(console: Console, width: int, lines_up: int) -> None:
    """The next frame goes up over all lines that the last one takes in the new width."""
    view = ReflowingLive(Text(SEVERAL_LINES), console=console, auto_refresh=False)
    with view:
        view.refresh()
        length = len(console.file.getvalue())  # type: ignore[attr-defined]
        console.width = width
        view.update(Text("ended"), refresh=True)
        frame = console.file.getvalue()[length:]  # type: ignore[attr-defined]

    assert frame.count(LINE_UP) == lines_up


def test_the_frame_after_that(console: Console) -> None:
    """A frame of the new width has as many lines as rich knows of."""
    view = ReflowingLive(Text(SEVERAL_LINES), console=console, auto_refresh=False)
    with view:
        view.refresh()
        console.width = 15
        view.update(Text("one line"), refresh=True)
        length = len(console.file.getvalue())  # type: ignore[attr-defined]
        view.refresh()
        frame = console.file.getvalue()[length:]  # type: ignore[attr-defined]

    assert LINE_UP not in frame
