"""The ledger: plans jobs and reserves their money, hands out leases, fences every change."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from veo.errors import UnknownJobError
from veo.ledger import reserve as planning
from veo.ledger import rows
from veo.ledger.budget import count_spent
from veo.ledger.database import Database
from veo.ledger.record import LIVE, Event, Record, State
from veo.ledger.schema import events, jobs
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from veo.errors import VeoError
    from veo.ledger.budget import Cap
    from veo.ledger.reserve import NewJob, PlanResult
    from veo.update import RemoteVideo

_ADOPTED_COLUMNS = ("state", "version", "task_id", "video", "error", "certain", *rows.AMOUNTS)


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

    def plan_jobs(
        self,
        new: Iterable[NewJob],
        caps: Sequence[Cap] = (),
        owner: str = "",
        *,
        all_or_nothing: bool = False,
    ) -> PlanResult:
        """Write jobs down and reserve their quotes in one transaction, as many as fit.

        Jobs are taken in order; the first that would pass a cap stops the rest. With an owner
        they are born with its lease. A job that is wanted ``once`` is left out when another
        stands for it; that is looked up in the same transaction.

        Args:
            new: The jobs.
            caps: The limits on money that hold for them.
            owner: The worker that will hold their lease.
            all_or_nothing: Plan every new job, or none.
        """
        new_jobs = list(new)
        with self.database.write() as connection:
            return planning.plan_jobs(
                connection, new_jobs, caps, owner, self._clock(), all_or_nothing=all_or_nothing
            )

    def find_existing(self, new: Iterable[NewJob]) -> dict[str, Record]:
        """For each new job the one that stands for it already, if one does; by the new id."""
        with self.database.read() as connection:
            return planning.find_existing(connection, new)

    def find_same_request(self, new: Iterable[NewJob]) -> dict[str, list[Record]]:
        """For each new job those that stand for the same request under any name; by the new id."""
        with self.database.read() as connection:
            return planning.find_same_request(connection, new)

    def plan_resubmit(
        self, record: Record, caps: Sequence[Cap] = (), owner: str = ""
    ) -> PlanResult:
        """Plan a job of unknown outcome once more; its first send goes on counting as doubtful.

        Raises:
            LeaseLostError: It changed meanwhile.
        """
        with self.database.write() as connection:
            return planning.plan_resubmit(connection, record, caps, owner, self._clock())

    def withdraw_jobs(self, records: Iterable[Record], reason: VeoError) -> list[Record]:
        """Give up planned jobs that were never accepted; those that changed are left alone.

        Returns:
            The jobs that are failed now, their money free again.
        """
        with self.database.write() as connection:
            return planning.withdraw_jobs(connection, records, reason.to_json(), self._clock())

    def count_spent(self, cap: Cap) -> int:
        """What counts against a cap now, millionths of a USD."""
        with self.database.read() as connection:
            return count_spent(connection, cap)

    def move_job(
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
        note = rows.EventNote(self._clock(), kind, message, data)
        with self.database.write() as connection:
            return rows.change_job(connection, record, state, note, **changes)

    def take_leases(self, candidates: Sequence[Record], owner: str) -> list[Record]:
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

    def release_leases(self, owner: str, ids: Collection[str] | None = None) -> None:
        """Give up the lease of some jobs, or of all that a worker holds."""
        with self.database.write() as connection:
            for some in rows.split_chunks(ids) if ids is not None else [None]:
                mine = jobs.c.owner == owner
                where = mine if some is None else mine & jobs.c.id.in_(some)
                values = {"owner": None, "version": jobs.c.version + 1}
                connection.execute(update(jobs).where(where).values(values))

    def adopt_late_response(self, job: str, task_id: str | None, video: RemoteVideo | None) -> bool:
        """Keep an answer that came after the lease was lost: an unknown job is known again.

        The answer to a paid request is never thrown away: it is in the history whatever the
        job's state. Returns whether the job was unknown and is now submitted or ready.
        """
        with self.database.write() as connection:
            record = rows.fetch_record(connection, select(jobs).where(jobs.c.id == job))
            adopted = _adopt_response(record, task_id, video)
            changes = {name: getattr(adopted, name) for name in _ADOPTED_COLUMNS}
            if adopted != record:
                connection.execute(update(jobs).where(jobs.c.id == job).values(changes))
            text = f"a late answer: task {task_id}"
            note = rows.EventNote(self._clock(), "late answer", text, {"task_id": task_id})
            line = rows.to_event_row(adopted, note) | rows.amount_changes(record, adopted)
            connection.execute(insert(events), line)
        return adopted != record

    def find_job(self, name: str) -> Record:
        """The job whose id is, or begins with, a name.

        Raises:
            UnknownJobError: None or several do.
        """
        with self.database.read() as connection:
            query = select(jobs).where(jobs.c.id.startswith(name, autoescape=True)).limit(9)
            found = rows.fetch_records(connection, query) if name else []
        exact = [record for record in found if record.id == name]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if not found:
            raise UnknownJobError(f"there is no job {name!r}", remedies=[Remedy("list_jobs")])
        several = ", ".join(record.id for record in found)
        raise UnknownJobError(f"{name!r} matches several jobs: {several}")

    def list_jobs(
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
                return rows.fetch_records(connection, query.limit(limit))
            parts = [query.where(jobs.c.id.in_(some)) for some in rows.split_chunks(ids)]
            return [record for part in parts for record in rows.fetch_records(connection, part)]

    def list_unfinished(self) -> list[Record]:
        """Jobs that can still be moved, without those that wait for a decision."""
        return self.list_jobs(states=LIVE)

    def read_history(self, job: str) -> list[Event]:
        """A job's events, the oldest first."""
        with self.database.read() as connection:
            found = connection.execute(select(events).where(events.c.job == job).order_by("id"))
            return [rows.to_event(row._asdict()) for row in found]

    def read_durations(self, provider: str, model: str, limit: int = 500) -> list[float]:
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


def _adopt_response(record: Record, task_id: str | None, video: RemoteVideo | None) -> Record:
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
