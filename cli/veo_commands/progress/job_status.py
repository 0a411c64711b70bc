"""What the progress views show about one job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from veo_commands.output import shorten_line

if TYPE_CHECKING:
    from veo.job import Job

_MAX_NOTE_CHARS = 200


def progress_share(job: Job) -> float | None:
    """Return how much of the current step is done, 0 to 1, or None if it is not known."""
    status = job.status
    if status.state == "downloading":
        return status.received / status.total if status.total else None
    return status.progress if status.state in {"submitted", "running"} else None


def job_note(job: Job) -> str | None:
    """Return what happens before a request is accepted: an image is converted, or it must wait.

    Later messages come from the provider, and repeat the state and the progress.
    """
    status = job.status
    if status.state not in {"planned", "submitting"}:
        return None
    next_attempt = job.record.not_before
    if status.state == "planned" and next_attempt > time.time():
        local = time.strftime("%X", time.localtime(next_attempt))
        return f"not accepted yet, next attempt at {local}"
    return shorten_line(status.message, _MAX_NOTE_CHARS) if status.message else None
