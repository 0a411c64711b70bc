"""Which video was made from which: jobs found by a file, a video, or what they extend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, select

from veo.ledger import rows
from veo.ledger.schema import jobs

if TYPE_CHECKING:
    from veo.ledger.ledger import Ledger
    from veo.ledger.record import Record
    from veo.update import RemoteVideo


def jobs_by_file(ledger: Ledger, sha256: str) -> list[Record]:
    """Return the jobs that made a file of this content, the newest first."""
    return _find_jobs(ledger, jobs.c.sha256 == sha256)


def extensions_of(ledger: Ledger, video: RemoteVideo) -> list[Record]:
    """Return the jobs that extend a provider's video, the newest first."""
    address = json.dumps(video.uri, ensure_ascii=False)  # as requests are stored
    # The text search narrows the rows down; the address may also occur elsewhere in a request.
    records = _find_jobs(ledger, jobs.c.request.contains(address, autoescape=True))
    return [record for record in records if _is_same_video(record.parse_request().extend, video)]


def extension_chain(ledger: Ledger, record: Record) -> list[Record]:
    """Return a job, the job whose video it extends, and so on, as far as the ledger knows them."""
    chain = [record]
    while (source := chain[-1].parse_request().extend) and (job := _job_of_video(ledger, source)):
        if job in chain:  # a server that reuses addresses must not cause an endless loop
            break
        chain.append(job)
    return chain


def _job_of_video(ledger: Ledger, video: RemoteVideo) -> Record | None:
    records = _find_jobs(ledger, jobs.c.video.contains(json.dumps(video.uri), autoescape=True))
    return next((each for each in records if _is_same_video(each.remote_video(), video)), None)


def _is_same_video(one: RemoteVideo | None, other: RemoteVideo) -> bool:
    return one is not None and one.uri == other.uri


def _find_jobs(ledger: Ledger, condition: ColumnElement[bool]) -> list[Record]:
    query = select(jobs).where(condition).order_by(jobs.c.created_at.desc(), jobs.c.id)
    with ledger.database.read() as connection:
        return rows.fetch_records(connection, query)
