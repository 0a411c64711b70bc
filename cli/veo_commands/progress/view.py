"""How jobs on their way are shown: alive on a terminal, as lines in a log, or not at all."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from veo_commands.output import out, shorten_line

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


def progress_share(job: Job) -> float | None:
    """How much of the present step of a job is done, 0..1; None where nobody says."""
    status = job.status
    if status.state == "downloading":
        return status.received / status.total if status.total else None
    return status.progress if status.state in {"submitted", "running"} else None


def job_note(job: Job) -> str | None:
    """What was done to a picture, or until when a request waits; not what a provider tells."""
    status = job.status
    if status.state not in {"planned", "submitting"}:
        return None
    again = job.record.not_before
    if status.state == "planned" and again > time.time():
        return f"not accepted now, tried again at {time.strftime('%X', time.localtime(again))}"
    return shorten_line(status.message, 200) if status.message else None
