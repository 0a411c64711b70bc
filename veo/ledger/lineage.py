"""Which video was made from which: jobs found by their file, their video, or what they continue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import select

from veo.ledger import rows
from veo.ledger.schema import jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement

    from veo.ledger.ledger import Ledger
    from veo.ledger.record import Record
    from veo.update import RemoteVideo


def jobs_by_file(ledger: Ledger, sha256: str) -> list[Record]:
    """The jobs that made a file of this content, the newest first."""
    return _find_jobs(ledger, jobs.c.sha256 == sha256)


def extensions_of(ledger: Ledger, video: RemoteVideo) -> list[Record]:
    """The jobs that were asked to continue a provider's video, the newest first."""
    address = json.dumps(video.uri, ensure_ascii=False)
    found = _find_jobs(ledger, jobs.c.request.contains(address, autoescape=True))
    return [record for record in found if _is_same_video(video)(record.parse_request().extend)]


def extension_chain(ledger: Ledger, record: Record) -> list[Record]:
    """A job, the one whose video it continues, and so on, as far as this ledger knows them."""
    links = [record]
    while (earlier := links[-1].parse_request().extend) and (
        parent := _job_of_video(ledger, earlier)
    ):
        if parent in links:
            break
        links.append(parent)
    return links


def _job_of_video(ledger: Ledger, video: RemoteVideo) -> Record | None:
    """The job that a provider's video came from."""
    found = _find_jobs(ledger, jobs.c.video.contains(json.dumps(video.uri), autoescape=True))
    return next((record for record in found if _is_same_video(video)(record.remote_video())), None)


def _is_same_video(video: RemoteVideo) -> Callable[[RemoteVideo | None], bool]:
    return lambda other: other is not None and other.uri == video.uri


def _find_jobs(ledger: Ledger, where: ColumnElement[bool]) -> list[Record]:
    query = select(jobs).where(where).order_by(jobs.c.created_at.desc(), jobs.c.id)
    with ledger.database.read() as connection:
        return rows.fetch_records(connection, query)
