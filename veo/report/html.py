"""The frame of a page and its parts: HTML out of plain values. Everything a page needs is in it.

The page's own policy forbids every request, so that it opens from a disk without a network.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from veo.errors import OutputError
from veo.files.atomic import open_atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

TOGETHER = """
document.getElementById("together").addEventListener("click", () => {
  for (const video of document.querySelectorAll("video")) {
    video.currentTime = 0;
    video.play();
  }
});
"""


def page(title: str, parts: Iterable[str], foot: str, *, script: str = "") -> str:
    """A whole page.

    Args:
        title: Plain text.
        parts: HTML, in order.
        foot: Plain text at the end.
        script: The one script that may run, or none.
    """
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return Template(_own("page.html")).substitute(
        title=escape(title),
        style=_own("page.css"),
        body="\n".join(parts),
        foot=escape(f"{foot} Made by veo on {made}."),
        script=f"<script>{script}</script>\n" if script else "",
        scripts=_allowed(script) if script else "'none'",
    )


def write(file: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        with open_atomic(file) as page:
            page.write(text.encode())
    except OSError as error:
        raise OutputError(f"{file}: {error.strerror or error}") from error


def check_place(file: Path) -> None:
    """Make sure that a page can be made and written, before anything is spent on it.

    Raises:
        ConfigError: What draws the plots is not installed.
        OutputError: The file cannot be written.
    """
    from veo.report.plots import check_installed  # noqa: PLC0415 - the plots need no page

    check_installed()
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise OutputError(f"{file}: no file can be written there")


def section(title: str, *parts: str) -> str:
    """A card with a heading."""
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def grid(parts: Iterable[str], kind: str = "") -> str:
    """Parts side by side where there is room."""
    return (
        f'<div class="grid {kind}">\n'
        + "\n".join(f"<div>{part}</div>" for part in parts)
        + "\n</div>"
    )


def text(words: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def numbers(values: Iterable[tuple[str, str]]) -> str:
    """Figures in large type, each with what it is."""
    cells = "".join(
        f"<div><b>{escape(value)}</b><span class='soft'>{escape(name)}</span></div>"
        for name, value in values
    )
    return f'<div class="numbers">{cells}</div>'


def figure(svg: str, caption: str) -> str:
    """A plot and what it shows."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[object]],
    total: Sequence[object] | None = None,
    *,
    prose: Sequence[int] = (),
) -> str:
    """A table of plain values; the last row may be a total.

    Args:
        titles: Of the columns.
        rows: Values, in their order.
        total: The last row.
        prose: The columns that hold words rather than numbers.
    """
    head = "".join(
        f"<th scope='col'{_kind(index, prose)}>{escape(title)}</th>"
        for index, title in enumerate(titles)
    )
    body = "\n".join(f"<tr>{_cells(row, prose)}</tr>" for row in rows)
    last = f"\n<tr class='total'>{_cells(total, prose)}</tr>" if total else ""
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}{last}</tbody></table></div>"
    )


def data_uri(mime: str, content: bytes) -> str:
    """Bytes as a URI that holds them."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _cells(row: Sequence[object], prose: Sequence[int]) -> str:
    return "".join(
        f"<td{_kind(index, prose)}>{escape(str(value))}</td>" for index, value in enumerate(row)
    )


def _kind(index: int, prose: Sequence[int]) -> str:
    return " class='text'" if index in prose else ""


def _allowed(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _own(name: str) -> str:
    return resources.files("veo.report").joinpath(name).read_text("utf-8")
