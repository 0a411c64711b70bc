"""The ledger of all jobs: plan them, reserve their money, lease them, change and find them."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from veo.errors import LedgerError, UnknownJobError, VeoError
from veo.ledger import limits, reserve, rows, spill
from veo.ledger.budget import Cap, count_spent
from veo.ledger.database import PATIENCE_S, Database, query_prepared
from veo.ledger.locks import lock
from veo.ledger.parse import read_row, to_record
from veo.ledger.record import IN_FLIGHT, LIVE, Event, Record, State
from veo.ledger.schema import events, jobs
from veo.problems import Remedy
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from veo.config.ledger_url import LedgerUrl
    from veo.ledger.limits import Admission, Limits
    from veo.ledger.postgres import PostgresDatabase
    from veo.ledger.reserve import NewJob, PlanResult

# A key in the data of the event of a video that may have been ready long before.
SEEN_LATE = "seen_late"
# A paid request was sent, and its task may not have been stored.
_SENT = IN_FLIGHT | {State.UNKNOWN}
_JOB = select(jobs).where(jobs.c.id == bindparam("is_job"))
_COLUMNS = [column.name for column in jobs.columns]
_ATTACHED_COLUMNS = (
    *("state", "version", "owner", "task_id", "video", "error", "certain"),
    *rows.AMOUNTS,
)


class Ledger:
    """The jobs of all processes on one database. Safe to use from any thread.

    Args:
        folder: Holds the database, and the locks by which this machine's processes are seen to
            be alive.
        clock: Returns Unix seconds; by default the clock of the database's machine.
        url: A Postgres database, in place of the one in the folder.
        patience_s: Seconds for which its server is waited for when it accepts no connections.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] | None = None,
        url: LedgerUrl | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.folder = folder
        self.database = open_database(folder, url, patience_s)
        self._clock = clock
        # If the disk is still full, or the file was edited, the tasks stay where they are.
        with suppress(LedgerError, TypeError):
            spill.take_in(folder, self._take_in_task)

    def clock(self) -> float:
        """Return the time, Unix seconds; all processes on the ledger agree on it."""
        return self._clock() if self._clock else time.time() + self.database.clock_offset_s

    def moment(self) -> limits.Moment:
        """Return the time, and since when a heartbeat shows that a process is alive."""
        now = self.clock()
        return limits.Moment(now, now - self.database.lease_s)

    def plan_jobs(
        self,
        new: Iterable[NewJob],
        caps: Sequence[Cap] = (),
        owner: str = "",
        *,
        all_or_nothing: bool = False,
    ) -> PlanResult:
        """Insert jobs and reserve their quotes in one transaction, as many as fit under the caps.

        Jobs are taken in order; the first that exceeds a cap stops the rest. A job with
        ``skip_if_exists`` is left out if another job covers its request, which is looked up in the
        same transaction.
        The worker ``owner`` holds the leases from the start.
        """
        new_jobs = list(new)
        with self.database.write() as connection:
            lock(connection, reserve.LOCK)
            return reserve.plan_jobs(
                connection, new_jobs, caps, owner, self.clock(), all_or_nothing=all_or_nothing
            )

    def find_existing(self, new: Iterable[NewJob]) -> dict[str, Record]:
        """Return the job that covers the same request and file already, by the new job's id."""
        with self.database.read() as connection:
            return reserve.find_existing(connection, new)

    def find_same_request(self, new: Iterable[NewJob]) -> dict[str, list[Record]]:
        """Return the jobs that cover the same request with any file, by the new job's id."""
        with self.database.read() as connection:
            return reserve.find_same_request(connection, new)

    def plan_resubmit(
        self, record: Record, caps: Sequence[Cap] = (), owner: str = ""
    ) -> PlanResult:
        """Plan a job of unknown outcome again; the price of its earlier send stays in doubt."""
        with self.database.write() as connection:
            lock(connection, reserve.LOCK)
            return reserve.plan_resubmit(connection, record, caps, owner, self.clock())

    def withdraw_jobs(self, records: Iterable[Record], reason: VeoError) -> list[Record]:
        """Fail planned jobs that nobody sent or changed; release their money, and return them."""
        with self.database.write() as connection:
            return reserve.withdraw_jobs(connection, records, reason.to_json(), self.clock())

    def count_spent(self, cap: Cap) -> int:
        """Return what counts against a cap now, millionths of a USD."""
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
        """Change a job and write the event of the change, in one transaction; return the job.

        The change is fenced: it happens only if the row has the record's version and owner.
        Without a ``kind`` the event has the name of the state. ``changes`` are columns with their
        new values, amounts of money included.

        Raises:
            LeaseLostError: Another worker has the job, or changed it.
        """
        note = rows.EventNote(self.clock(), kind, message, data)
        with self.database.write() as connection:
            return rows.change_job(connection, record, state, note, **changes)

    def begin_submit(
        self, record: Record, bounds: Limits, **changes: Any
    ) -> tuple[Record, Admission]:
        """Move a planned job to ``submitting`` if the limits of its provider allow it.

        The limits hold for all processes on this ledger; see ``limits``. The change is fenced, as
        in ``move_job``. A refused job is returned as it was.

        Raises:
            LeaseLostError: Another worker has the job, or changed it.
        """
        with self.database.turn, self.database.write() as connection:
            # Before the time is read: many requests may wait for the lock.
            limits.lock_provider(connection, record.provider)
            moment = self.moment()
            admission = limits.admit(connection, record.provider, record.owner, bounds, moment)
            if admission.wait_s == 0.0:
                note = rows.EventNote(moment.now)
                record = rows.change_job(connection, record, State.SUBMITTING, note, **changes)
        return record, admission

    def back_off(self, provider: str, bounds: Limits, wait_s: float, in_flight: int) -> int:
        """Slow a provider down for all processes, because it is busy; return the capacity."""
        with self.database.turn, self.database.write() as connection:
            return limits.back_off(connection, provider, bounds, self.moment(), wait_s, in_flight)

    def recover(self, provider: str, bounds: Limits) -> int:
        """Raise a provider's capacity after an accepted request; return the capacity."""
        with self.database.turn, self.database.write() as connection:
            return limits.recover(connection, provider, bounds)

    def reopen_job(self, record: Record, owner: str | None, message: str, **changes: Any) -> Record:
        """Continue a job that ended, because its video may be fetched again free of charge.

        Args:
            record: A job that is done or expired and ``can_reopen``, or that failed and has the
                address of a video all the same.
            owner: The worker that holds its lease from now on.
            message: Why, for the history.
            changes: More columns with their new values.

        Raises:
            LeaseLostError: Another worker has the job, or changed it.
        """
        state = State.READY if record.video else State.RUNNING
        # The job continues, without its end and without the ETag of an earlier file.
        changes = {"owner": owner, "ended_at": None, "etag": None, "error": None} | changes
        return self.move_job(record, state, kind="fetch", message=message, **changes)

    def take_leases(self, candidates: Sequence[Record], owner: str) -> list[Record]:
        """Lease jobs that nobody works on; return those that no other process changed first."""
        taken = []
        with self.database.write() as connection:
            for record in candidates:
                # The version is the fence: of two processes that see a free job, one gets it.
                leased = replace(record, owner=owner, version=record.version + 1)
                result = connection.execute(
                    update(jobs)
                    .where(jobs.c.id == record.id, jobs.c.version == record.version)
                    .values(owner=owner, version=leased.version)
                )
                if result.rowcount == 1:
                    taken.append(leased)
        return taken

    def release_leases(self, owner: str, ids: Collection[str] | None = None) -> None:
        """Release the leases of some jobs, or all that a worker holds."""
        with self.database.write() as connection:
            # The version rises, so that a write of the former owner fails at the fence.
            values = {"owner": None, "version": jobs.c.version + 1}
            release = update(jobs).where(jobs.c.owner == owner).values(values)
            if ids is None:
                connection.execute(release)
                return
            for some in rows.split_chunks(ids):
                connection.execute(release.where(jobs.c.id.in_(some)))

    def attach_task(
        self,
        job: str,
        task_id: str | None,
        video: RemoteVideo | None = None,
        *,
        is_late_response: bool = False,
    ) -> bool:
        """Attach the provider's task to a job of unknown outcome, which then continues.

        The change does not depend on the job's version or owner, because without the task id
        nobody can find a video that was paid for. A late response, one that arrived after the
        lease was lost, is written to the history even if the job cannot continue with it.

        Returns:
            Whether the task was attached: the job is now submitted or ready.
        """
        with self.database.write() as connection:
            query = select(jobs).where(jobs.c.id == job).with_for_update()
            record = to_record(connection.execute(query).one()._asdict())
            attached = _attach_to_record(record, task_id, video)
            is_attached = attached != record
            if is_attached or is_late_response:
                kind = "late response" if is_late_response else "task attached"
                text = f"{kind}: {f'task {task_id}' if task_id else 'video'}"
                note = rows.EventNote(self.clock(), kind, text, {"task_id": task_id})
                _write_attached(connection, record, attached, note)
        return is_attached

    def keep_task(self, job: str, task_id: str | None, video: RemoteVideo | None) -> Path | None:
        """Keep a task beside the ledger, which cannot be written; return where, or None."""
        entry = {"job": job, "task_id": task_id, "video": video.to_json() if video else None}
        try:
            return spill.save(self.folder, entry)
        except OSError:
            return None

    def _take_in_task(self, entry: dict[str, Any]) -> None:
        """Attach a task that was kept beside the ledger, unless its job has one."""
        video = RemoteVideo(**entry["video"]) if entry.get("video") else None
        with self.database.write() as connection:
            query = select(jobs).where(jobs.c.id == entry.get("job")).with_for_update()
            for record in rows.fetch_records(connection, query):
                if record.state not in _SENT or record.task_id:
                    continue
                # The process that sent it gave up, whatever state it could still store.
                unknown = replace(record, state=State.UNKNOWN, owner=None)
                attached = _attach_to_record(unknown, entry.get("task_id"), video)
                text = f"task {attached.task_id}, which was kept beside the ledger"
                note = rows.EventNote(self.clock(), "task attached", text)
                _write_attached(connection, record, attached, note)

    def find_job(self, name: str) -> Record:
        """Return the job whose id is a name, or else the only one whose id begins with it.

        Raises:
            UnknownJobError: There is no such job, or there are several.
        """
        with self.database.read() as connection:
            # More than nine ids would not fit into the message about an ambiguous name.
            query = select(jobs).where(jobs.c.id.startswith(name, autoescape=True)).limit(9)
            found = rows.fetch_records(connection, query) if name else []
        exact = [record for record in found if record.id == name]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if not found:
            raise UnknownJobError(f"there is no job {name!r}", remedies=[Remedy("list_jobs")])
        several = ", ".join(record.id for record in found)
        raise UnknownJobError(f"{name!r} matches several jobs: {several}")

    def read_job(self, job: str) -> Record | None:
        """Return the job of an id; a worker reads it before every step."""
        with self.database.read_once() as connection:
            row = query_prepared(connection, _JOB, {"is_job": job})
        return read_row(dict(zip(_COLUMNS, row, strict=True))) if row else None

    def list_jobs(
        self,
        *,
        ids: Collection[str] | None = None,
        states: Collection[State] | None = None,
        run: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Return the jobs that meet all given conditions, the newest first."""
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
        """Return the live jobs; those of unknown outcome wait for a decision of the user."""
        return self.list_jobs(states=LIVE)

    def read_history(self, job: str) -> list[Event]:
        """Return a job's events, the oldest first."""
        with self.database.read() as connection:
            result = connection.execute(select(events).where(events.c.job == job).order_by("id"))
            return [rows.to_event(row._asdict()) for row in result]

    def read_durations(self, provider: str, model: str, limit: int = 500) -> list[float]:
        """Return the seconds from submit to ready of the newest finished jobs of a model.

        Jobs are left out if nobody polled when they became ready: for them ``ready_at`` is the
        time of a later poll, for example after a restart.
        """
        is_seen_late = (
            exists()
            .where(events.c.job == jobs.c.id)
            .where(events.c.data.contains(f'"{SEEN_LATE}"', autoescape=True))
        )
        query = (
            select(jobs.c.ready_at - jobs.c.submitted_at)
            .where(jobs.c.provider == provider, jobs.c.model == model)
            .where(jobs.c.ready_at > jobs.c.submitted_at, ~is_seen_late)
            .order_by(jobs.c.created_at.desc())  # a provider gets faster or slower over time
            .limit(limit)
        )
        with self.database.read() as connection:
            return list(connection.scalars(query))

    def close(self) -> None:
        self.database.close()


def open_database(
    folder: Path, url: LedgerUrl | None, patience_s: float
) -> Database | PostgresDatabase:
    """Open the database of a ledger: a file in the folder, or the one at the URL."""
    if url is None:
        return Database(folder)
    from veo.ledger.postgres import PostgresDatabase  # noqa: PLC0415 - of an extra

    return PostgresDatabase(url, patience_s)


def _write_attached(
    connection: Connection, before: Record, attached: Record, note: rows.EventNote
) -> None:
    changes = {name: getattr(attached, name) for name in _ATTACHED_COLUMNS}
    connection.execute(update(jobs).where(jobs.c.id == attached.id).values(changes))
    connection.execute(insert(events), rows.to_event_row(before, attached, note))


def _attach_to_record(record: Record, task_id: str | None, video: RemoteVideo | None) -> Record:
    if record.state is not State.UNKNOWN:
        return record
    # A video means that the charge was made; for a task the engine decides when it ends.
    charge = {"charged": record.charged + record.reserved, "reserved": 0} if video else {}
    return replace(
        record,
        state=State.READY if video else State.SUBMITTED,
        version=record.version + 1,
        task_id=task_id,
        video=json.dumps(video.to_json()) if video else None,
        error=None,
        certain=True,
        **charge,  # type: ignore[arg-type]
    )
