"""What a progress view tells about one job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from veo_commands.output import shorten_line

if TYPE_CHECKING:
    from veo.job import Job


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
