"""The ledger: plans jobs and reserves their money, hands out leases, fences every change."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from veo.errors import LeaseLostError, UnknownJobError
from veo.ledger.database import Database
from veo.ledger.record import ENDED, MOVES, Event, Record, State
from veo.ledger.schema import events, jobs
from veo.money import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Select

    from veo.money import Quote
    from veo.request import Request
    from veo.update import RemoteVideo

_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"
_MONEY = (jobs.c.reserved, jobs.c.charged, jobs.c.doubtful)
_AMOUNTS = ("reserved", "charged", "doubtful")
_ADOPTED = ("state", "version", "task_id", "video", "error", "certain", *_AMOUNTS)
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is to be planned; its request has been checked and its pictures kept."""

    run: str
    provider: str
    model: str
    request: Request
    output: str
    quote: Quote
    force: bool = False
    id: str = ""


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit on money: what is reserved, charged and doubtful together stays below it.

    Attributes:
        name: How the user knows it, for example ``--max-cost``.
        limit: Millionths of a USD.
        run: Count the jobs of this run; None counts all.
        since: Count jobs planned at or after this time, Unix seconds.
    """

    name: str
    limit: int
    run: str | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Planned:
    """What ``Ledger.plan`` did: the jobs that fitted, and the cap that stopped the rest."""

    records: list[Record]
    stopped_by: Cap | None = None
    spent: int = 0


def new_id() -> str:
    """A fresh job id: ten letters and digits that cannot be mistaken for one another."""
    return "".join(secrets.choice(_LETTERS) for _ in range(10))


class Ledger:
    """Every job of every process on this folder.

    Args:
        folder: Where the database is; made when missing.
        clock: Unix seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.database = Database(folder)
        self._clock = clock

    def plan(self, new: Iterable[NewJob], caps: Sequence[Cap] = (), owner: str = "") -> Planned:
        """Write jobs down and reserve their quotes in one transaction, as many as fit.

        Jobs are taken in order; the first that would pass a cap stops the rest. With an owner
        they are born with its lease.
        """
        records: list[Record] = []
        with self.database.write() as connection:
            spent = {cap: _spent(connection, cap) for cap in caps}
            stopped = None
            for job in new:
                cost = micros(job.quote.amount)
                stopped = next((cap for cap in caps if spent[cap] + cost > cap.limit), None)
                if stopped:
                    break
                spent = {cap: amount + cost for cap, amount in spent.items()}
                records.append(self._record(job, cost, owner or None))
            if records:
                connection.execute(insert(jobs), [asdict(record) for record in records])
                connection.execute(insert(events), [_planned(record) for record in records])
        return Planned(records, stopped, spent[stopped] if stopped else 0)

    def spent(self, cap: Cap) -> int:
        """What counts against a cap now, millionths of a USD."""
        with self.database.read() as connection:
            return _spent(connection, cap)

    def move(
        self,
        record: Record,
        state: State | None = None,
        *,
        kind: str | None = None,
        message: str | None = None,
        data: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Record:
        """Change a job, in one transaction with the line of its history that says so.

        Fenced: nothing changes unless the row is still at the record's version and owner.

        Args:
            record: The job as this worker knows it.
            state: The state it reaches; None keeps it.
            kind: The event's kind; the state's name by default.
            message: For a person.
            data: Details of the event.
            changes: Columns that change with it. Money columns take the new amounts.

        Returns:
            The job as it is now.

        Raises:
            LeaseLostError: Another worker has it, or had it meanwhile.
        """
        state = state or record.state
        if state != record.state and state not in MOVES[record.state]:
            raise AssertionError(f"a job cannot go from {record.state} to {state}")
        changed = replace(record, state=state, version=record.version + 1, **changes)
        columns = {"state": state, "version": changed.version, **changes}
        with self.database.write() as connection:
            found = connection.execute(
                update(jobs)
                .where(jobs.c.id == record.id, jobs.c.version == record.version)
                .where(jobs.c.owner.is_not_distinct_from(record.owner))
                .values(columns)
            )
            if found.rowcount != 1:
                raise LeaseLostError(f"job {record.id} is in the hands of another process")
            line = _event(changed, kind or str(state), self._clock(), message, data)
            connection.execute(insert(events), line | _differences(record, changed))
        return changed

    def lease(self, candidates: Sequence[Record], owner: str) -> list[Record]:
        """Take over jobs that nobody works on; those that changed meanwhile are left out."""
        taken = []
        with self.database.write() as connection:
            for record in candidates:
                mine = replace(record, owner=owner, version=record.version + 1)
                found = connection.execute(
                    update(jobs)
                    .where(jobs.c.id == record.id, jobs.c.version == record.version)
                    .values(owner=owner, version=mine.version)
                )
                if found.rowcount == 1:
                    taken.append(mine)
        return taken

    def release(self, owner: str, ids: Collection[str] | None = None) -> None:
        """Give up the lease of some jobs, or of all that a worker holds."""
        with self.database.write() as connection:
            for some in _chunks(list(ids)) if ids is not None else [None]:
                mine = jobs.c.owner == owner
                where = mine if some is None else mine & jobs.c.id.in_(some)
                values = {"owner": None, "version": jobs.c.version + 1}
                connection.execute(update(jobs).where(where).values(values))

    def adopt(self, job: str, task_id: str | None, video: RemoteVideo | None) -> bool:
        """Keep an answer that came after the lease was lost: an unknown job is known again.

        The answer to a paid request is never thrown away: it is in the history whatever the
        job's state. Returns whether the job was unknown and is now submitted or ready.
        """
        with self.database.write() as connection:
            record = _one(connection, select(jobs).where(jobs.c.id == job))
            adopted = _adopted(record, task_id, video)
            changes = {name: getattr(adopted, name) for name in _ADOPTED}
            if adopted != record:
                connection.execute(update(jobs).where(jobs.c.id == job).values(changes))
            text = f"a late answer: task {task_id}"
            line = _event(adopted, "late answer", self._clock(), text, {"task_id": task_id})
            connection.execute(insert(events), line | _differences(record, adopted))
        return adopted != record

    def job(self, name: str) -> Record:
        """The job whose id is, or begins with, a name.

        Raises:
            UnknownJobError: None or several do.
        """
        with self.database.read() as connection:
            query = select(jobs).where(jobs.c.id.startswith(name, autoescape=True)).limit(9)
            found = _records(connection, query) if name else []
        exact = [record for record in found if record.id == name]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if not found:
            raise UnknownJobError(f"there is no job {name!r}", hint="`veo jobs` lists them.")
        several = ", ".join(record.id for record in found)
        raise UnknownJobError(f"{name!r} fits several jobs: {several}")

    def jobs(
        self,
        *,
        ids: Collection[str] | None = None,
        states: Collection[State] | None = None,
        run: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Jobs, the newest first, filtered by any of these."""
        query = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id)
        if states is not None:
            query = query.where(jobs.c.state.in_(states))
        if run is not None:
            query = query.where(jobs.c.run == run)
        with self.database.read() as connection:
            if ids is None:
                return _records(connection, query.limit(limit))
            parts = [query.where(jobs.c.id.in_(some)) for some in _chunks(list(ids))]
            return [record for part in parts for record in _records(connection, part)]

    def unfinished(self) -> list[Record]:
        """Jobs that can still be moved, without those that wait for a decision."""
        waiting = [state for state in State if state not in ENDED | {State.UNKNOWN}]
        return self.jobs(states=waiting)

    def history(self, job: str) -> list[Event]:
        """A job's events, the oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(select(events).where(events.c.job == job).order_by("id"))
            return [_to_event(row._asdict()) for row in rows]

    def durations(self, provider: str, model: str, limit: int = 500) -> list[float]:
        """Seconds from submit to ready of the newest finished jobs of a model."""
        query = (
            select(jobs.c.ready_at - jobs.c.submitted_at)
            .where(jobs.c.provider == provider, jobs.c.model == model)
            .where(jobs.c.ready_at > jobs.c.submitted_at)
            .order_by(jobs.c.created_at.desc())
            .limit(limit)
        )
        with self.database.read() as connection:
            return list(connection.scalars(query))

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _record(self, job: NewJob, cost: int, owner: str | None) -> Record:
        return Record(
            id=job.id or new_id(),
            run=job.run,
            provider=job.provider,
            model=job.model,
            state=State.PLANNED,
            version=1,
            owner=owner,
            request=json.dumps(job.request.to_json(), ensure_ascii=False),
            fingerprint=job.request.fingerprint(),
            output=job.output,
            force=job.force,
            quote=json.dumps(job.quote.to_json()),
            reserved=cost,
            created_at=self._clock(),
        )


def _adopted(record: Record, task_id: str | None, video: RemoteVideo | None) -> Record:
    if record.state is not State.UNKNOWN or record.task_id:
        return record
    made = {"charged": record.charged + record.reserved, "reserved": 0} if video else {}
    return replace(
        record,
        state=State.READY if video else State.SUBMITTED,
        version=record.version + 1,
        task_id=task_id,
        video=json.dumps(video.to_json()) if video else None,
        error=None,
        certain=True,
        **made,  # type: ignore[arg-type]
    )


def _differences(before: Record, after: Record) -> dict[str, int]:
    return {name: getattr(after, name) - getattr(before, name) for name in _AMOUNTS}


def _spent(connection: Connection, cap: Cap) -> int:
    query = select(func.coalesce(func.sum(sum(_MONEY[1:], start=_MONEY[0])), 0))
    if cap.run is not None:
        query = query.where(jobs.c.run == cap.run)
    if cap.since:
        query = query.where(jobs.c.created_at >= cap.since)
    return int(connection.scalar(query) or 0)


def _planned(record: Record) -> dict[str, Any]:
    quoted = {"quote": json.loads(record.quote)}
    line = _event(record, "planned", record.created_at, None, quoted)
    return line | {"reserved": record.reserved}


def _event(
    record: Record, kind: str, at: float, message: str | None, data: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "job": record.id,
        "at": at,
        "owner": record.owner,
        "kind": kind,
        "state": record.state,
        "message": message,
        "reserved": 0,
        "charged": 0,
        "doubtful": 0,
        "data": json.dumps(data or {}, ensure_ascii=False, default=str),
    }


def _records(connection: Connection, query: Select[Any]) -> list[Record]:
    return [_to_record(row._asdict()) for row in connection.execute(query)]


def _one(connection: Connection, query: Select[Any]) -> Record:
    return _to_record(connection.execute(query).one()._asdict())


def _to_record(row: dict[str, Any]) -> Record:
    return Record(**{**row, "state": State(row["state"])})


def _to_event(row: dict[str, Any]) -> Event:
    return Event(**{**row, "state": State(row["state"]), "data": json.loads(row["data"])})


def _chunks(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
