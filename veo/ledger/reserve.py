"""Plan jobs: find those that exist already, enforce the caps, and reserve money.

Everything happens inside the caller's transaction. ``budget`` says what counts against a cap.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select

from veo.bucket import parse_path
from veo.errors import LeaseLostError
from veo.ledger import rows
from veo.ledger.budget import Cap, count_spent
from veo.ledger.record import LIVE, Record, State
from veo.ledger.schema import events, jobs
from veo.money import Quote, to_micros
from veo.paths import alternative_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from veo.request import Request

LOCK = "reserve"  # see ``locks.lock``; sums of money and the inserts that follow belong together
# Without letters and digits that are easily mistaken for each other: i, l, o, u, 0, 1.
_ID_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"
_random = SystemRandom()


def make_job_id() -> str:
    return "".join(_random.choices(_ID_LETTERS, k=10))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is to be planned; its request is checked and its images are stored."""

    run: str  # the run or batch that plans it
    provider: str
    model: str
    request: Request
    output: str  # absolute path
    quote: Quote
    force: bool = False  # replace an existing file
    # Leave it out if a job of the same provider, request and output exists.
    skip_if_exists: bool = False
    # The existing job that it replaces, and for which it is not left out.
    replaced_id: str | None = None
    parent: str | None = None  # the job whose video this one extends or edits
    tags: tuple[str, ...] = ()  # words to find it again
    columns: Mapping[str, Any] = field(default_factory=dict)  # free values of the user, by name
    id: str = field(default_factory=make_job_id)
    fingerprint: str = field(init=False)  # hash of the request's content

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", self.request.fingerprint())

    def to_record(self, amount: int = 0, owner: str | None = None, at: float = 0.0) -> Record:
        """Return the planned job; ``amount`` is reserved for it, millionths of a USD."""
        return Record(
            id=self.id,
            run=self.run,
            provider=self.provider,
            model=self.model,
            state=State.PLANNED,
            version=1,
            owner=owner,
            request=json.dumps(self.request.to_json(), ensure_ascii=False),
            fingerprint=self.fingerprint,
            output=self.output,
            force=self.force,
            quote=_quote_json(self.quote),
            reserved=amount,
            created_at=at,
            parent=self.parent,
            tags=json.dumps(self.tags, ensure_ascii=False) if self.tags else None,
            columns=json.dumps(self.columns, ensure_ascii=False) if self.columns else None,
        )


@dataclass(frozen=True, slots=True)
class PlanResult:
    records: list[Record]  # the planned jobs, in order
    # Jobs that made some of the new jobs unnecessary, by the id of the new job.
    existing: dict[str, Record] = field(default_factory=dict)
    stopped_by: Cap | None = None  # the cap that stopped the rest
    spent: int = 0  # what counts against that cap now, millionths of a USD


def plan_jobs(
    connection: Connection,
    new: Sequence[NewJob],
    caps: Sequence[Cap],
    owner: str,
    at: float,
    *,
    all_or_nothing: bool,
) -> PlanResult:
    existing = find_existing(connection, [job for job in new if job.skip_if_exists])
    for job in new:
        if job.id in existing and existing[job.id].id == job.replaced_id:
            del existing[job.id]
    records: list[Record] = []
    stopped_by = None
    # The lock is held, so no other process spends anything between the sum and the insert.
    spent = {cap: count_spent(connection, cap) for cap in caps}
    for job in new:
        if job.id in existing:
            continue
        amount = to_micros(job.quote.amount)
        stopped_by = _find_exceeded(spent, amount)
        if stopped_by:
            break
        spent = {cap: count + amount for cap, count in spent.items()}
        records.append(job.to_record(amount, owner or None, at))
    if stopped_by and all_or_nothing:
        records = []
    _insert_jobs(connection, records)
    now_spent = count_spent(connection, stopped_by) if stopped_by else 0
    return PlanResult(records, existing, stopped_by, now_spent)


def find_existing(connection: Connection, new: Iterable[NewJob]) -> dict[str, Record]:
    """Return the existing job with the same request and file, by the id of the new job.

    Of several, a live one is preferred to a finished one, and a newer one to an older one.
    """
    new_jobs = list(new)
    # By file as well: many items of a batch may have the same request.
    by_file: dict[tuple[str, str], list[Record]] = defaultdict(list)
    renamed: dict[str, list[Record]] = defaultdict(list)  # beside a file that had their name
    for record in _find_by_fingerprint(connection, new_jobs):
        key = f"{record.provider} {record.fingerprint}"
        by_file[key, record.output].append(record)
        if record.id in record.path.name:
            renamed[key].append(record)
    existing = {}
    for job in new_jobs:
        key = f"{job.provider} {job.fingerprint}"
        alternatives = [each for each in renamed[key] if _is_alternative(each, job.output)]
        records = by_file.get((key, job.output), []) + alternatives
        if records:
            records.sort(key=attrgetter("created_at"))
            live = [record for record in records if record.state in LIVE]
            existing[job.id] = (live or records)[-1]
    return existing


def find_same_request(connection: Connection, new: Iterable[NewJob]) -> dict[str, list[Record]]:
    new_jobs = list(new)
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in _find_by_fingerprint(connection, new_jobs):
        found[record.provider, record.fingerprint].append(record)
    return {job.id: found[job.provider, job.fingerprint] for job in new_jobs}


def _find_by_fingerprint(connection: Connection, new: Sequence[NewJob]) -> Iterator[Record]:
    """Yield the jobs that cover the requests of new ones, the oldest of a request first."""
    for some in rows.split_chunks({job.fingerprint for job in new}):
        query = select(jobs).where(jobs.c.fingerprint.in_(some)).order_by(jobs.c.created_at)
        found = rows.fetch_records(connection, query)
        yield from (record for record in found if record.covers_request)


def plan_resubmit(
    connection: Connection, record: Record, caps: Sequence[Cap], owner: str, at: float
) -> PlanResult:
    amount = to_micros(record.parse_quote().amount)
    spent = {cap: count_spent(connection, cap) for cap in caps}
    if exceeded := _find_exceeded(spent, amount):
        return PlanResult([], stopped_by=exceeded, spent=spent[exceeded])
    planned = rows.change_job(
        connection,
        record,
        State.PLANNED,
        rows.EventNote(at, "resubmit", "sent again on request; the first send may be charged too"),
        owner=owner,
        doubtful=record.doubtful + record.reserved,
        reserved=amount,
        error=None,
        certain=True,
    )
    return PlanResult([planned])


def withdraw_jobs(
    connection: Connection, records: Iterable[Record], error: dict[str, Any], at: float
) -> list[Record]:
    changes = {"owner": None, "reserved": 0, "ended_at": at, "error": json.dumps(error)}
    note = rows.EventNote(at, "withdrawn", error["message"])
    withdrawn = []
    for record in records:
        # A planned job with doubtful money was sent before, and its outcome is not known yet.
        if record.state is State.PLANNED and not record.doubtful:
            with contextlib.suppress(LeaseLostError):
                withdrawn.append(rows.change_job(connection, record, State.FAILED, note, **changes))
    return withdrawn


def _find_exceeded(spent: Mapping[Cap, int], amount: int) -> Cap | None:
    return next((cap for cap, count in spent.items() if count + amount > cap.limit), None)


def _is_alternative(record: Record, output: str) -> bool:
    """Whether a job's video is beside a file because another file had its name."""
    return record.output == str(alternative_path(parse_path(output), record.id))


@lru_cache(maxsize=64)
def _quote_json(quote: Quote) -> str:
    """Return a quote as JSON; cached, because the jobs of a batch have a few quotes only."""
    return json.dumps(quote.to_json())


def _insert_jobs(connection: Connection, records: Sequence[Record]) -> None:
    # In chunks, because ten thousand rows at once take four times the memory of the records.
    for some in rows.split_chunks(records):
        connection.execute(insert(jobs), [rows.to_row(record) for record in some])
        connection.execute(insert(events), [_planned_event(record) for record in some])


def _planned_event(record: Record) -> dict[str, Any]:
    note = rows.EventNote(record.created_at, data={"quote": json.loads(record.quote)})
    return rows.to_event_row(None, record, note)
