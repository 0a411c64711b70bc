"""What is shown about jobs in progress, and the views for a log and for ``--quiet``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from veo.runtime.remaining import estimate_job_s
from veo_commands.format import format_remaining
from veo_commands.output import out, shorten_line

if TYPE_CHECKING:
    from veo.job import Job
    from veo.session import Session

_MAX_NOTE_CHARS = 200
# Steps of progress that get a line of their own; coarser for several jobs, to keep a log short.
_STEP_PERCENT = 10
_STEP_PERCENT_OF_MANY = 50


def progress_share(job: Job) -> float | None:
    """Return how much of the current step is done, 0 to 1, or None if it is not known."""
    status = job.status
    if status.state == "downloading":
        return status.received / status.total if status.total else None
    return status.progress if status.state in {"submitted", "running"} else None


def remaining_text(job: Job, session: Session) -> str:
    """Return ``about 1:20 left`` for a job whose video is being made, by what is usual."""
    record, status = job.record, job.status
    if status.state not in {"submitted", "running"} or record.submitted_at is None:
        return ""
    usual = session.runner.median_s(record.provider, record.model)
    age = time.time() - record.submitted_at
    return format_remaining(estimate_job_s(age, usual, status.progress))


def job_note(job: Job) -> str | None:
    """Return why the job must wait, or what was done before a request is accepted, if anything.

    Other messages come from the provider, and repeat the state and the progress.
    """
    status, work = job.status, job.work
    next_attempt = max(work.retry_at, job.record.not_before if status.state == "planned" else 0)
    # A request that was refused is `submitting` until the refusal is stored.
    if next_attempt > time.time() and status.state != "submitting":
        local = time.strftime("%X", time.localtime(next_attempt))
        reason = shorten_line(work.retry_reason or "not accepted yet", _MAX_NOTE_CHARS)
        return f"{reason}; next attempt at {local}"
    if status.state not in {"planned", "submitting"}:
        return None
    return shorten_line(status.message, _MAX_NOTE_CHARS) if status.message else None


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

    def __init__(self, jobs: Sequence[Job], session: Session) -> None:
        self._jobs = list(jobs)
        self._session = session
        self._last_lines: dict[str, str] = {}
        self._step = _STEP_PERCENT if len(self._jobs) == 1 else _STEP_PERCENT_OF_MANY

    def refresh(self) -> None:
        self._jobs = [job for job in self._jobs if not job.done()]
        for job in self._jobs:
            line = self._status_line(job)
            if self._last_lines.get(job.id) != line:
                self._last_lines[job.id] = line
                left = remaining_text(job, self._session)
                out.info(f"{job.id} {line}{f', {left}' if left else ''}")

    def _status_line(self, job: Job) -> str:
        share, note = progress_share(job), job_note(job)
        percent = f" {int(share * 100) // self._step * self._step} %" if share is not None else ""
        return f"{job.state}{percent}{f': {note}' if note else ''}"
