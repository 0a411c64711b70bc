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

from veo_commands import format as words
from veo_commands.output import one_line
from veo_commands.progress.view import done_share, remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from veo.job import Job

ROWS = 12
_MOVING = ("downloading", "ready", "running", "submitted", "submitting", "planned")
_PER_SECOND = 8
_MANY_PER_SECOND = 2


class Live:
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
    def at_rest(self) -> Iterator[None]:
        """Erase everything until the block is over."""
        self._stop()
        yield
        if self.goes_on():
            self._start()

    def goes_on(self) -> bool:
        """Whether there is still something to show."""
        return not all(job.done() for job in self._jobs)

    def look(self) -> None:
        """Print remarks above the live lines, each once."""
        for job in self._jobs:
            note = remark(job)
            if note and (job.id, note) not in self._noted:
                self._noted.add((job.id, note))
                self._console.print(Text(note, style="dim"))

    def _start(self) -> None:
        # A new one each time: a used one remembers its height, and erases what came after it.
        self._live = RichLive(
            get_renderable=self.paint,
            console=self._console,
            refresh_per_second=_PER_SECOND if len(self._jobs) <= ROWS else _MANY_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()

    def paint(self) -> RenderableType:
        """What is on the screen now."""
        rows = self.rows([job for job in self._jobs if not job.done()])
        return rows if len(self._jobs) == 1 else Group(self._sum(), rows)

    def rows(self, jobs: list[Job]) -> RenderableType:
        """A line for each of the jobs that are nearest to their end."""
        jobs.sort(key=lambda job: _MOVING.index(job.state) if job.state in _MOVING else 99)
        rows = Table.grid(padding=(0, 1))
        for job in jobs[:ROWS]:
            rows.add_row(*self._row(job))
        return rows

    def _row(self, job: Job) -> list[RenderableType]:
        share = done_share(job)
        record, status = job.record, job.status
        since = record.submitted_at or record.created_at
        told = words.size(status.received) if status.state == "downloading" else ""
        return [
            Text(" ") if status.state == "planned" else self._spinner,
            Text(str(status.state), style="cyan"),
            ProgressBar(total=1.0, completed=share, width=24) if share is not None else Text(""),
            Text(f"{share:4.0%}" if share is not None else ""),
            Text(words.clock(time.time() - since), style="bold"),
            Text(words.charge(record)),
            Text(told or one_line(record.asked().prompt, 60), style="dim", no_wrap=True),
        ]

    def _sum(self) -> RenderableType:
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
            Text(f"charged {words.money(charged)}, reserved {words.money(reserved)}", style="dim"),
        )
        return line
