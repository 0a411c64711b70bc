"""Jobs made by hand, without a ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scripted import model

from veo.engine.context import ActiveJob
from veo.job import Job
from veo.ledger import Record, State
from veo.money import quote, to_micros
from veo.request import Request

if TYPE_CHECKING:
    from veo.errors import VeoError


def record(
    state: State = State.PLANNED, *, error: VeoError | None = None, **columns: Any
) -> Record:
    """A row for one video at $0.15."""
    request = Request(prompt="a lion", model="m-1")
    price = quote(request, model())
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


def done(**columns: Any) -> Record:
    """The row of a video that is on disk."""
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
    return record(State.DONE, **row | columns)


def job(state: State = State.PLANNED, **columns: Any) -> Job:
    """A handle on such a job."""
    return Job(ActiveJob(record(state, **columns)))


def end(handle: Job, row: Record, error: VeoError | None = None) -> None:
    """What the engine does at the end of a job."""
    handle.work.record = row
    handle.work.error = error
    handle.work.on_change(handle.work)
    handle.finish()
