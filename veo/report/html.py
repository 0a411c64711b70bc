"""Build HTML pages from plain values. A page is one file that needs no network.

The page's content security policy forbids all requests, so it looks the same opened from a disk.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from veo.errors import OutputError, os_errors
from veo.files.atomic import open_atomic

_FOOT = "Every amount can be traced to the events of its job in the ledger."
PLAY_ALL_SCRIPT = """
document.getElementById("together").addEventListener("click", () => {
  for (const video of document.querySelectorAll("video")) {
    video.currentTime = 0;
    video.play();
  }
});
"""


def build_page(title: str, parts: Iterable[str], *, script: str = "") -> str:
    """Return a complete page from HTML parts; ``script`` is the only one that the page may run."""
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return Template(_read_resource("page.html")).substitute(
        title=escape(title),
        style=_read_resource("page.css"),
        body="\n".join(parts),
        foot=escape(f"{_FOOT} Created by veo on {date}."),
        script=f"<script>{script}</script>\n" if script else "",
        scripts=_script_hash(script) if script else "'none'",
    )


def write_page(file: Path, text: str) -> None:
    """Write a page; a file that exists is replaced only if the write succeeds."""
    with os_errors(OutputError, file), open_atomic(file) as page:
        page.write(text.encode())


def check_report_file(file: Path) -> None:
    """Raise an error before any money is spent if a page cannot be drawn or written."""
    from veo.report.plots import check_installed  # noqa: PLC0415 - plots does not depend on html

    check_installed()
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise OutputError(f"{file}: cannot write a file there")


def render_section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def render_grid(parts: Iterable[str], kind: str = "") -> str:
    """Return parts that stand side by side if the page is wide enough."""
    return (
        f'<div class="grid {kind}">\n'
        + "\n".join(f"<div>{part}</div>" for part in parts)
        + "\n</div>"
    )


def render_text(words: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def render_numbers(values: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f"<div><b>{escape(value)}</b><span class='soft'>{escape(name)}</span></div>"
        for name, value in values
    )
    return f'<div class="numbers">{cells}</div>'


def render_figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def render_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[object]],
    total: Sequence[object] | None = None,
    *,
    prose: Sequence[int] = (),
) -> str:
    """Return a table of plain values; the columns ``prose`` hold text and are aligned left."""
    head = "".join(
        f"<th scope='col'{_class_attribute(index, prose)}>{escape(title)}</th>"
        for index, title in enumerate(titles)
    )
    body = "\n".join(f"<tr>{_render_cells(row, prose)}</tr>" for row in rows)
    last = f"\n<tr class='total'>{_render_cells(total, prose)}</tr>" if total else ""
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}{last}</tbody></table></div>"
    )


def to_data_uri(mime: str, content: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _render_cells(row: Sequence[object], prose: Sequence[int]) -> str:
    return "".join(
        f"<td{_class_attribute(index, prose)}>{escape(str(value))}</td>"
        for index, value in enumerate(row)
    )


def _class_attribute(index: int, prose: Sequence[int]) -> str:
    return " class='text'" if index in prose else ""


def _script_hash(script: str) -> str:
    """Return the source expression of a content security policy that allows one script."""
    # A hash allows this one script, and no other that a prompt or a file name could inject.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _read_resource(name: str) -> str:
    return resources.files("veo.report").joinpath(name).read_text("utf-8")
