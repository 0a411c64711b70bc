"""Jobs in a ledger as if providers had made their videos."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from veo.ledger import NewJob, State
from veo.ledger.schema import events, jobs
from veo.money import quote
from veo.request import Request
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from pathlib import Path

    from veo.ledger import Ledger, Record
    from veo.model import Model


def make_submitted_job(
    ledger: Ledger, model: Model, output: Path, parent: str | None = None, **fields: Any
) -> Record:
    """Add a job that its provider has accepted."""
    request = Request(**{"prompt": "a lion", "model": model.name} | fields)
    new = NewJob(
        run="run",
        provider=model.provider,
        model=model.name,
        request=request,
        output=str(output),
        quote=quote(request, model),
        parent=parent,
    )
    (record,) = ledger.plan_jobs([new], owner="me").records
    record = ledger.move_job(record, State.SUBMITTING, submitted_at=record.created_at)
    return ledger.move_job(record, State.SUBMITTED, task_id=f"task-of-{record.id}")


def make_done_job(
    ledger: Ledger, model: Model, output: Path, video: RemoteVideo | None = None, **fields: Any
) -> Record:
    """Add a job whose video is at the provider, and on disk if ``output`` exists."""
    record = make_submitted_job(ledger, model, output, **fields)
    video = video or RemoteVideo(f"https://videos.example/{record.id}")
    record = ledger.move_job(
        record,
        State.READY,
        video=json.dumps(video.to_json()),
        ready_at=record.created_at + 60,
        bytes=output.stat().st_size if output.is_file() else None,
    )
    return ledger.move_job(ledger.move_job(record, State.DOWNLOADING), State.DONE, owner=None)


def find_untraced(ledger: Ledger) -> list[str]:
    """Return the ids of jobs whose amounts are not the sums of their events.

    There are none unless somebody edited the ledger by other means.
    """
    amounts = (jobs.c.reserved, jobs.c.charged, jobs.c.doubtful)
    sums = [func.coalesce(func.sum(events.c[amount.name]), 0) for amount in amounts]
    differs = [total != amount for total, amount in zip(sums, amounts, strict=True)]
    query = (
        select(jobs.c.id)
        .join(events, events.c.job == jobs.c.id, isouter=True)
        .group_by(jobs.c.id, *amounts)
        .having(differs[0] | differs[1] | differs[2])
    )
    with ledger.database.read() as connection:
        return list(connection.scalars(query))
