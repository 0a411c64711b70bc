"""The live view on a terminal: one line per running job, and a summary line for several jobs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from veo.job import Job, as_completed
from veo.money import format_micros
from veo_commands.format import describe_charge, format_bytes, format_clock
from veo_commands.output import out, shorten_line
from veo_commands.progress.view import job_note, progress_share, remaining_text
from veo_commands.screen import ReflowingLive

if TYPE_CHECKING:
    from veo.session import Session

MAX_ROWS = 12  # fits a terminal of 24 lines beside what was printed before
_ROW_ORDER = ("downloading", "ready", "running", "submitted", "submitting", "planned")
_BAR_WIDTH = 24
_PROMPT_WIDTH = 60
# Columns of the terminal below which a cell is left out, so that a job stays one line.
_LEAST_WIDTHS = {"price": 90, "bar": 70, "left": 48}
_FRAMES_PER_SECOND = 8
_FRAMES_PER_SECOND_OF_MANY = 2  # reading many jobs takes CPU from the engine


def make_bar(completed: float, total: float, width: int) -> ProgressBar:
    """Return a bar in a calm color: rich's own, a red, looks like a failure."""
    return ProgressBar(
        total=total, completed=completed, width=width, complete_style="cyan", finished_style="green"
    )


class LiveView:
    """Shows jobs on stderr, and erases itself at the end. It reads the jobs for each frame."""

    def __init__(self, jobs: Sequence[Job], session: Session) -> None:
        self._jobs = list(jobs)
        self._session = session
        self._spinner = Spinner("dots" if out.is_utf8 else "line", style="cyan")
        # Which of several providers a line is about says more than its prompt.
        self._has_providers = len({job.record.provider for job in self._jobs}) > 1
        self._printed_notes: set[tuple[str, str]] = set()
        self._console = Console(stderr=True, highlight=False)
        self._live: ReflowingLive | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Erase the view until the block ends."""
        self._stop()
        yield
        if self.is_active():
            self._start()

    def is_active(self) -> bool:
        return not all(job.done() for job in self._jobs)

    def refresh(self) -> None:
        """Print notes above the view, each of them once."""
        for job in self._jobs:
            note = job_note(job)
            if note and (job.id, note) not in self._printed_notes:
                self._printed_notes.add((job.id, note))
                self._console.print(Text(out.fit_encoding(note), style="dim"))

    def _start(self) -> None:
        # A stopped view cannot start again: it would erase lines that were printed since.
        is_small = len(self._jobs) <= MAX_ROWS
        rate = _FRAMES_PER_SECOND if is_small else _FRAMES_PER_SECOND_OF_MANY
        self._live = ReflowingLive(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=rate,
            transient=True,
            redirect_stdout=False,  # ``pause`` is used to print
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def render(self) -> RenderableType:
        rows = self.job_table([job for job in self._jobs if not job.done()])
        return rows if len(self._jobs) == 1 else Group(self._summary_line(), rows)

    def job_table(self, jobs: list[Job]) -> RenderableType:
        """Return lines for the jobs that are closest to their end."""
        ranks = {state: rank for rank, state in enumerate(_ROW_ORDER)}
        jobs.sort(key=lambda job: ranks.get(job.state, len(ranks)))
        hidden = {name for name, least in _LEAST_WIDTHS.items() if self.width < least}
        cells = [self._job_cells(job) for job in jobs[:MAX_ROWS]]
        names = [name for name in (cells[0] if cells else ()) if name not in hidden]
        rows = Table.grid(padding=(0, 1))
        for name in names:
            rows.add_column(no_wrap=name != "details")  # which is what becomes shorter
        for row in cells:
            rows.add_row(*(row[name] for name in names))
        return rows

    @property
    def width(self) -> int:
        """Columns of the terminal, as it is now."""
        return self._console.width

    def _job_cells(self, job: Job) -> dict[str, RenderableType]:
        share = progress_share(job)
        record, status = job.record, job.status
        since = record.submitted_at or record.created_at
        is_downloading = status.state == "downloading"
        prompt = shorten_line(record.parse_request().prompt, _PROMPT_WIDTH)
        details = format_bytes(status.received) if is_downloading else prompt
        if self._has_providers:
            details = f"{record.provider}  {details}"
        return {
            "spinner": Text(" ") if status.state == "planned" else self._spinner,
            "state": Text(str(status.state), style="cyan"),
            "bar": make_bar(share, 1.0, _BAR_WIDTH) if share is not None else Text(""),
            "share": Text(f"{share:4.0%}" if share is not None else ""),
            "time": Text(format_clock(time.time() - since), style="bold"),
            "left": Text(remaining_text(job, self._session), style="cyan"),
            "price": Text(describe_charge(record)),
            "details": Text(
                out.fit_encoding(details),
                style="dim",
                no_wrap=True,
                overflow="ellipsis" if out.is_utf8 else "crop",
            ),
        }

    def _summary_line(self) -> RenderableType:
        states = Counter(str(job.state) for job in self._jobs)
        ended = sum(job.done() for job in self._jobs)
        charged = sum(job.record.charged for job in self._jobs)
        reserved = sum(job.record.held_amount for job in self._jobs)
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text(f"{ended}/{len(self._jobs)}", style="bold"),
            make_bar(ended, len(self._jobs), min(_BAR_WIDTH, self.width // 4)),
            Text(counts),
        )
        money = f"charged {format_micros(charged)}, reserved {format_micros(reserved)}"
        return Group(line, Text(money, style="dim"))


def track_jobs(jobs: Sequence[Job]) -> None:
    """Wait for jobs with one bar for all of them; it has no use for a job's own line."""
    ended = 0

    def render_bar() -> RenderableType:
        line = Table.grid(padding=(0, 1))
        line.add_row(make_bar(ended, len(jobs), _BAR_WIDTH), Text(f"{ended}/{len(jobs)}"))
        return line

    console = Console(stderr=True, highlight=False)
    with ReflowingLive(get_renderable=render_bar, console=console, transient=True):
        for _ in as_completed(jobs):
            ended += 1
