"""How jobs on their way are shown: alive on a terminal, as lines in a log, or not at all."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from veo_commands.output import out
from veo_commands.progress.job_status import job_note, progress_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from veo.job import Job


class View(Protocol):
    """What shows jobs."""

    def refresh(self) -> None:
        """Look at the jobs, and show what has changed."""

    def pause(self) -> AbstractContextManager[None]:
        """Leave the screen to somebody else for a while."""


@contextmanager
def open_view(jobs: Sequence[Job]) -> Iterator[View]:
    """The view that fits: quiet, a terminal, or a log."""
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
        """Nothing."""

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Always."""
        yield


class LogView(QuietView):
    """A line for each change of state, each tenth of the way, each remark about the request."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = list(jobs)
        self._said: dict[str, str] = {}
        self._step = 10 if len(self._jobs) == 1 else 50

    def refresh(self) -> None:
        """Print what has changed since the last look."""
        self._jobs = [job for job in self._jobs if not job.done()]
        for job in self._jobs:
            line = self._line(job)
            if self._said.get(job.id) != line:
                self._said[job.id] = line
                out.info(f"{job.id} {line}")

    def _line(self, job: Job) -> str:
        share, note = progress_share(job), job_note(job)
        percent = f" {int(share * 100) // self._step * self._step} %" if share is not None else ""
        return f"{job.state}{percent}{f': {note}' if note else ''}"
