"""Records and handles of jobs, made without a ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripted import make_model

from veo.engine.context import ActiveJob
from veo.job import Job
from veo.ledger import Record, State
from veo.money import quote, to_micros
from veo.request import Request

if TYPE_CHECKING:
    from veo.errors import VeoError


def make_record(
    state: State = State.PLANNED, *, error: VeoError | None = None, **columns: Any
) -> Record:
    """Return the record of a job that costs $0.15."""
    request = Request(prompt="a lion", model="m-1")
    price = quote(request, make_model())
    row: dict[str, Any] = {
        "id": "abcdefghjk",
        "run": "abcdefghjk",
        "provider": "scripted",
        "model": "m-1",
        "version": 1,
        "owner": "me",
        "request": json.dumps(request.to_json()),
        "fingerprint": request.fingerprint(),
        "output": "/videos/lion.mp4",
        "force": False,
        "quote": json.dumps(price.to_json()),
        "reserved": to_micros(price.amount),
        "created_at": 1000.0,
        "error": json.dumps(error.to_json()) if error else None,
    }
    return Record(state=state, **row | columns)


def make_done_record(**columns: Any) -> Record:
    """Return the record of a job whose video is on disk."""
    row: dict[str, Any] = {
        "task_id": "task-1",
        "reserved": 0,
        "charged": 150_000,
        "submitted_at": 1002.5,
        "ready_at": 1100.0,
        "ended_at": 1103.25,
        "bytes": 40,
        "sha256": "cafe",
        "polls": 9,
    }
    return make_record(State.DONE, **row | columns)


def make_job(state: State = State.PLANNED, **columns: Any) -> Job:
    """Return a handle on a job."""
    return Job(ActiveJob(make_record(state, **columns)))


def finish_job(handle: Job, row: Record, error: VeoError | None = None) -> None:
    """Finish a job as the engine does."""
    handle.work.record = row
    handle.work.error = error
    handle.work.on_change(handle.work)
    handle.finish()
