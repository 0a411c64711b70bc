"""Jobs planned: looked for, then their money reserved, inside one transaction of the caller's."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from veo.errors import LeaseLostError
from veo.ledger import rows
from veo.ledger.budget import count_spent
from veo.ledger.record import LIVE, Record, State
from veo.ledger.schema import events, jobs
from veo.money import to_micros
from veo.paths import alternative_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from veo.ledger.budget import Cap
    from veo.money import Quote
    from veo.request import Request

_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"


def make_job_id() -> str:
    """A fresh job id: ten letters and digits that cannot be mistaken for one another."""
    return "".join(secrets.choice(_LETTERS) for _ in range(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is to be planned; its request has been checked and its pictures kept.

    Attributes:
        once: Whether it is left out when a job of the same provider, request and output stands.
        instead_of: The id of such a job that it may be planned beside all the same.
    """

    run: str
    provider: str
    model: str
    request: Request
    output: str
    quote: Quote
    force: bool = False
    once: bool = False
    instead_of: str | None = None
    id: str = field(default_factory=make_job_id)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", self.request.fingerprint())


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What ``Ledger.plan`` did.

    Attributes:
        records: The jobs that fitted, in order.
        found: Jobs that stand for others of the new ones already, by the new ones' ids.
        stopped_by: The cap that stopped the rest, or None.
        spent: What counts against that cap now, millionths of a USD.
    """

    records: list[Record]
    existing: dict[str, Record] = field(default_factory=dict)
    stopped_by: Cap | None = None
    spent: int = 0


def plan_jobs(
    connection: Connection,
    new: Sequence[NewJob],
    caps: Sequence[Cap],
    owner: str,
    at: float,
    *,
    all_or_nothing: bool,
) -> PlanResult:
    """Write down those jobs that nothing stands for and that fit under the caps."""
    found = find_existing(connection, [job for job in new if job.once])
    wanted = [job for job in new if job.id not in found or found[job.id].id == job.instead_of]
    counted = {cap: count_spent(connection, cap) for cap in caps}
    records: list[Record] = []
    stopped = None
    for job in wanted:
        cost = to_micros(job.quote.amount)
        stopped = next((cap for cap in caps if counted[cap] + cost > cap.limit), None)
        if stopped:
            break
        counted = {cap: amount + cost for cap, amount in counted.items()}
        records.append(_make_record(job, cost, owner or None, at))
    if stopped and all_or_nothing:
        records = []
    _insert_jobs(connection, records)
    for job in wanted:
        found.pop(job.id, None)
    return PlanResult(records, found, stopped, count_spent(connection, stopped) if stopped else 0)


def find_existing(connection: Connection, new: Iterable[NewJob]) -> dict[str, Record]:
    """For each new job the one that stands for it: a live one, else the newest; by new id."""
    wanted = list(new)
    same = find_same_request(connection, wanted)
    found = {}
    for job in wanted:
        fitting = [record for record in same[job.id] if _writes_to(record, job.output)]
        if fitting:
            live = [record for record in fitting if record.state in LIVE]
            found[job.id] = (live or fitting)[-1]
    return found


def find_same_request(connection: Connection, new: Iterable[NewJob]) -> dict[str, list[Record]]:
    """For each new job those that stand for the same request, wherever their videos went."""
    wanted = list(new)
    same: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for some in rows.split_chunks({job.fingerprint for job in wanted}):
        query = select(jobs).where(jobs.c.fingerprint.in_(some)).order_by(jobs.c.created_at)
        for record in rows.fetch_records(connection, query):
            if record.covers_request:
                same[record.provider, record.fingerprint].append(record)
    return {job.id: same[job.provider, job.fingerprint] for job in wanted}


def plan_resubmit(
    connection: Connection, record: Record, caps: Sequence[Cap], owner: str, at: float
) -> PlanResult:
    """Plan a job of unknown outcome again; what was held for it becomes doubtful.

    Raises:
        LeaseLostError: It changed meanwhile.
    """
    cost = to_micros(record.parse_quote().amount)
    for cap in caps:
        counted = count_spent(connection, cap)
        if counted + cost > cap.limit:
            return PlanResult([], stopped_by=cap, spent=counted)
    text = "sent again on request; the first may have been paid for too"
    planned = rows.change_job(
        connection,
        record,
        State.PLANNED,
        rows.EventNote(at, "resubmit", text),
        owner=owner,
        doubtful=record.doubtful + record.reserved,
        reserved=cost,
        error=None,
        certain=True,
    )
    return PlanResult([planned])


def withdraw_jobs(
    connection: Connection, records: Iterable[Record], error: dict[str, Any], at: float
) -> list[Record]:
    """Give up planned jobs that were never accepted, and their money; others are left alone."""
    given_up = {"owner": None, "reserved": 0, "ended_at": at, "error": json.dumps(error)}
    note = rows.EventNote(at, "withdrawn", error["message"])
    gone = []
    for record in records:
        if record.state is State.PLANNED and not record.doubtful:
            with contextlib.suppress(LeaseLostError):
                gone.append(rows.change_job(connection, record, State.FAILED, note, **given_up))
    return gone


def _writes_to(record: Record, output: str) -> bool:
    """Whether a job's video goes to that file, renamed or not because another had the name."""
    return record.output in {output, str(alternative_path(Path(output), record.id))}


def _make_record(job: NewJob, cost: int, owner: str | None, at: float) -> Record:
    return Record(
        id=job.id,
        run=job.run,
        provider=job.provider,
        model=job.model,
        state=State.PLANNED,
        version=1,
        owner=owner,
        request=json.dumps(job.request.to_json(), ensure_ascii=False),
        fingerprint=job.fingerprint,
        output=job.output,
        force=job.force,
        quote=_quote_json(job.quote),
        reserved=cost,
        created_at=at,
    )


@lru_cache(maxsize=64)
def _quote_json(quote: Quote) -> str:
    """A quote as JSON; the jobs of a batch share a few texts."""
    return json.dumps(quote.to_json())


def _insert_jobs(connection: Connection, records: Sequence[Record]) -> None:
    for some in rows.split_chunks(records):  # ten thousand at once take four times their own memory
        connection.execute(insert(jobs), [rows.to_row(record) for record in some])
        connection.execute(insert(events), [_planned_event(record) for record in some])


def _planned_event(record: Record) -> dict[str, Any]:
    quoted = {"quote": json.loads(record.quote)}
    note = rows.EventNote(record.created_at, data=quoted)
    return rows.to_event_row(record, note) | {"reserved": record.reserved}
