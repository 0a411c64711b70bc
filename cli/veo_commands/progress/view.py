"""The progress of jobs: a live view on a terminal, lines in a log, or nothing when quiet."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from veo_commands.output import out
from veo_commands.progress.job_status import job_note, progress_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from veo.job import Job
    from veo_commands.progress.live import LiveView

# Steps of progress that get a line of their own; coarser for several jobs, to keep a log short.
_STEP_PERCENT = 10
_STEP_PERCENT_OF_MANY = 50


@contextmanager
def open_view(jobs: Sequence[Job]) -> Iterator[QuietView | LiveView]:
    """Yield the view for the output mode and for what stderr is."""
    if out.options.quiet:
        yield QuietView()
    elif sys.stderr.isatty():
        from veo_commands.progress.live import LiveView

        with LiveView(jobs) as live:
            yield live
    else:
        yield LogView(jobs)


class QuietView:
    """Shows nothing."""

    def refresh(self) -> None:
        """Show what has changed."""

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Clear the screen, so that the block can print."""
        yield


class LogView(QuietView):
    """Prints a line for each change of state, step of progress, or note."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = list(jobs)
        self._last_lines: dict[str, str] = {}
        self._step = _STEP_PERCENT if len(self._jobs) == 1 else _STEP_PERCENT_OF_MANY

    def refresh(self) -> None:
        self._jobs = [job for job in self._jobs if not job.done()]
        for job in self._jobs:
            line = self._status_line(job)
            if self._last_lines.get(job.id) != line:
                self._last_lines[job.id] = line
                out.info(f"{job.id} {line}")

    def _status_line(self, job: Job) -> str:
        share, note = progress_share(job), job_note(job)
        percent = f" {int(share * 100) // self._step * self._step} %" if share is not None else ""
        return f"{job.state}{percent}{f': {note}' if note else ''}"
