"""Which video was made from which: jobs found by a file, a video, or their parents."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, select

from veo.ledger import rows
from veo.ledger.schema import jobs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from veo.ledger.ledger import Ledger
    from veo.ledger.record import Record
    from veo.update import RemoteVideo


def jobs_by_file(ledger: Ledger, sha256: str) -> list[Record]:
    """Return the jobs that made a file of this content, the newest first."""
    return _find_jobs(ledger, jobs.c.sha256 == sha256)


def jobs_by_output(ledger: Ledger, output: str) -> list[Record]:
    """Return the jobs that write to this path, the newest first."""
    return _find_jobs(ledger, jobs.c.output == output)


def find_maker(ledger: Ledger, video: RemoteVideo) -> Record | None:
    """Return the newest job that made a provider's video, or None."""
    # The text search narrows the rows down; the address may also be a part of another one.
    records = _find_jobs(ledger, jobs.c.video.contains(json.dumps(video.uri), autoescape=True))
    return next((each for each in records if _has_video(each, video)), None)


def find_ancestors(ledger: Ledger, record: Record) -> list[Record]:
    """Return the job whose video a job extends or edits, the one before, and so on."""
    found: dict[str, Record] = {}
    while record.parent and record.parent not in found:  # an edited ledger may have a loop
        parents = _find_jobs(ledger, jobs.c.id == record.parent)
        if not parents:
            break
        record = parents[0]
        found[record.id] = record
    return list(found.values())


def find_children(ledger: Ledger, parents: Iterable[str]) -> list[Record]:
    """Return the jobs that extend or edit the videos of some jobs, the oldest first."""
    chunks = rows.split_chunks(parents)
    found = [each for some in chunks for each in _find_jobs(ledger, jobs.c.parent.in_(some))]
    return sorted(found, key=lambda record: record.created_at)


def find_descendants(ledger: Ledger, record: Record) -> list[Record]:
    """Return the jobs that extend or edit a job's video, then those of their videos, and so on."""
    found: dict[str, Record] = {}
    generation = [record]
    while generation:
        children = find_children(ledger, [each.id for each in generation])
        generation = [each for each in children if each.id not in found and each.id != record.id]
        found |= {each.id: each for each in generation}
    return list(found.values())


def find_chain(ledger: Ledger, record: Record) -> list[tuple[int, Record]]:
    """Return a job with its ancestors before it and its descendants after it, and their depths.

    The first one has depth 0. A job is followed by what was made of its video.
    """
    ancestors = find_ancestors(ledger, record)[::-1]
    children: dict[str | None, list[Record]] = defaultdict(list)
    for each in find_descendants(ledger, record):
        children[each.parent].append(each)
    chain = list(enumerate(ancestors))
    pending = [(len(ancestors), record)]
    while pending:
        depth, each = pending.pop()
        chain.append((depth, each))
        pending += [(depth + 1, child) for child in reversed(children.pop(each.id, []))]
    return chain


def _has_video(record: Record, video: RemoteVideo) -> bool:
    own = record.remote_video()
    return own is not None and own.uri == video.uri


def _find_jobs(ledger: Ledger, condition: ColumnElement[bool]) -> list[Record]:
    query = select(jobs).where(condition).order_by(jobs.c.created_at.desc(), jobs.c.id)
    with ledger.database.read() as connection:
        return rows.fetch_records(connection, query)
