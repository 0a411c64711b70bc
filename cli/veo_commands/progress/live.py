"""The live view: a line for every job that moves, and one that sums up when there are many."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from veo_commands.format import describe_charge, format_bytes, format_clock, format_usd
from veo_commands.output import shorten_line
from veo_commands.progress.job_status import job_note, progress_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from veo.job import Job

MAX_ROWS = 12
_MOVING = ("downloading", "ready", "running", "submitted", "submitting", "planned")
_PER_SECOND = 8
_MANY_PER_SECOND = 2


class LiveView:
    """Shows jobs on a terminal, on stderr, and erases itself in the end.

    It reads the jobs each time it paints; nobody has to tell it anything.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = list(jobs)
        self._spinner = Spinner("dots", style="cyan")
        self._noted: set[tuple[str, str]] = set()
        self._console = Console(stderr=True, highlight=False)
        self._live: RichLive | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Erase everything until the block is over."""
        self._stop()
        yield
        if self.is_active():
            self._start()

    def is_active(self) -> bool:
        """Whether there is still something to show."""
        return not all(job.done() for job in self._jobs)

    def refresh(self) -> None:
        """Print remarks above the live lines, each once."""
        for job in self._jobs:
            note = job_note(job)
            if note and (job.id, note) not in self._noted:
                self._noted.add((job.id, note))
                self._console.print(Text(note, style="dim"))

    def _start(self) -> None:
        # A new one each time: a used one remembers its height, and erases what came after it.
        self._live = RichLive(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=_PER_SECOND if len(self._jobs) <= MAX_ROWS else _MANY_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def render(self) -> RenderableType:
        """What is on the screen now."""
        rows = self.job_table([job for job in self._jobs if not job.done()])
        return rows if len(self._jobs) == 1 else Group(self._summary_line(), rows)

    def job_table(self, jobs: list[Job]) -> RenderableType:
        """A line for each of the jobs that are nearest to their end."""
        jobs.sort(key=lambda job: _MOVING.index(job.state) if job.state in _MOVING else 99)
        rows = Table.grid(padding=(0, 1))
        for job in jobs[:MAX_ROWS]:
            rows.add_row(*self._job_cells(job))
        return rows

    def _job_cells(self, job: Job) -> list[RenderableType]:
        share = progress_share(job)
        record, status = job.record, job.status
        since = record.submitted_at or record.created_at
        told = format_bytes(status.received) if status.state == "downloading" else ""
        return [
            Text(" ") if status.state == "planned" else self._spinner,
            Text(str(status.state), style="cyan"),
            ProgressBar(total=1.0, completed=share, width=24) if share is not None else Text(""),
            Text(f"{share:4.0%}" if share is not None else ""),
            Text(format_clock(time.time() - since), style="bold"),
            Text(describe_charge(record)),
            Text(
                told or shorten_line(record.parse_request().prompt, 60), style="dim", no_wrap=True
            ),
        ]

    def _summary_line(self) -> RenderableType:
        states = Counter(str(job.state) for job in self._jobs)
        over = sum(job.done() for job in self._jobs)
        charged = sum(job.record.charged for job in self._jobs)
        reserved = sum(job.record.reserved for job in self._jobs)
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text(f"{over}/{len(self._jobs)}", style="bold"),
            ProgressBar(total=len(self._jobs), completed=over, width=24),
            Text(counts),
            Text(f"charged {format_usd(charged)}, reserved {format_usd(reserved)}", style="dim"),
        )
        return line
