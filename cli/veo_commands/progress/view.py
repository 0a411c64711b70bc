"""How jobs on their way are shown: alive on a terminal, as lines in a log, or not at all."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from veo_commands.output import one_line, out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from veo.job import Job


class View(Protocol):
    """What shows jobs."""

    def look(self) -> None:
        """Look at the jobs, and show what has changed."""

    def at_rest(self) -> AbstractContextManager[None]:
        """Leave the screen to somebody else for a while."""


@contextmanager
def view(jobs: Sequence[Job]) -> Iterator[View]:
    """The view that fits: quiet, a terminal, or a log."""
    if out.show.quiet:
        yield Nothing()
    elif sys.stderr.isatty():
        from veo_commands.progress.live import Live

        with Live(jobs) as live:
            yield live
    else:
        yield Lines(jobs)


class Nothing:
    """Shows nothing."""

    def look(self) -> None:
        """Nothing."""

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Always."""
        yield


class Lines(Nothing):
    """A line for each change of state, each tenth of the way, each remark about the request."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = list(jobs)
        self._said: dict[str, str] = {}
        self._step = 10 if len(self._jobs) == 1 else 50

    def look(self) -> None:
        """Print what has changed since the last look."""
        self._jobs = [job for job in self._jobs if not job.done()]
        for job in self._jobs:
            line = self._line(job)
            if self._said.get(job.id) != line:
                self._said[job.id] = line
                out.say(f"{job.id} {line}")

    def _line(self, job: Job) -> str:
        share, note = done_share(job), remark(job)
        percent = f" {int(share * 100) // self._step * self._step} %" if share is not None else ""
        return f"{job.state}{percent}{f': {note}' if note else ''}"


def done_share(job: Job) -> float | None:
    """How much of the present step of a job is done, 0..1; None where nobody says."""
    status = job.status
    if status.state == "downloading":
        return status.received / status.total if status.total else None
    return status.progress if status.state in {"submitted", "running"} else None


def remark(job: Job) -> str | None:
    """What was done to a picture, or until when a request waits; not what a provider tells."""
    status = job.status
    if status.state not in {"planned", "submitting"}:
        return None
    again = job.record.not_before
    if status.state == "planned" and again > time.time():
        return f"not accepted now, tried again at {time.strftime('%X', time.localtime(again))}"
    return one_line(status.message, 200) if status.message else None
