"""Jobs that any worker on any machine may take.

Such a job has the owner ``QUEUE`` from the transaction that plans it. Workers hand it to PGQueuer
when its provider has room, and again if its row there is gone: what PGQueuer knows can be lost,
what the ledger knows decides. Each step reads the job, and its writes are fenced by the version
that it read, so that of two steps at the same time one changes nothing. While a worker sends the
paid request it owns the job itself: then others can tell whether it died.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Integer, Select, bindparam, func, insert, select, text

from veo.errors import VeoError
from veo.ledger import rows
from veo.ledger.limits import Limits, count_room
from veo.ledger.record import LIVE, QUEUE, Event, Record, State
from veo.ledger.schema import events, jobs, workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from veo.ledger.ledger import Ledger

PARKED = "parked"  # kind of the event of a job that no worker continues by itself
_QUEUED = "id IN (SELECT dedupe_key FROM pgqueuer)"
_UNQUEUED = "NOT EXISTS (SELECT 1 FROM pgqueuer WHERE dedupe_key = jobs.id)"


def is_installed(connection: Connection) -> bool:
    """Whether PGQueuer has its tables, which the first worker makes."""
    query = text("SELECT to_regclass('pgqueuer') IS NOT NULL")
    return bool(connection.execute(query).scalar_one())


def list_unqueued(
    connection: Connection, ledger: Ledger, limits: Mapping[str, Limits]
) -> list[str]:
    """Return the ids of the jobs that PGQueuer should have, and does not have.

    Those that wait for their submit are left out until their provider has room for them, so that
    PGQueuer never holds more than what is in flight.

    Args:
        connection: A transaction on Postgres.
        ledger: The ledger there.
        limits: The limits by the name of the provider.
    """
    moment = ledger.moment()
    begun = select(jobs.c.id).where(jobs.c.state.in_(LIVE - {State.PLANNED}), text(_UNQUEUED))
    found = list(connection.scalars(begun.where(jobs.c.owner.is_not(None))))
    for provider, bounds in limits.items():
        room = count_room(connection, provider, bounds, moment)
        if room > 0:
            found += connection.scalars(_list_planned(provider, moment.now), {"room": room})
    return found


def _list_planned(provider: str, now: float) -> Select[Any]:
    """Return the query of the oldest planned jobs, at most ``room`` less those that are queued."""
    planned = select(jobs.c.id).where(
        jobs.c.provider == provider, jobs.c.state == State.PLANNED, jobs.c.owner == QUEUE
    )
    queued = planned.where(text(_QUEUED)).with_only_columns(func.count()).scalar_subquery()
    oldest = planned.where(jobs.c.not_before <= now, text(_UNQUEUED)).order_by(jobs.c.created_at)
    return oldest.limit(func.greatest(0, bindparam("room", type_=Integer) - queued))


def is_idle(ledger: Ledger, providers: Iterable[str]) -> bool:
    """Whether no job of these providers is left that a worker would continue."""
    query = select(jobs.c.id).where(jobs.c.state.in_(LIVE), jobs.c.owner.is_not(None))
    query = query.where(jobs.c.provider.in_(list(providers))).limit(1)
    with ledger.database.read() as connection:
        return connection.execute(query).first() is None


def park_job(ledger: Ledger, record: Record, error: VeoError) -> None:
    """Leave a job as it is until somebody resumes it, and write why into its history."""
    with ledger.database.write() as connection:
        release = jobs.update().where(jobs.c.id == record.id, jobs.c.owner == record.owner)
        values = {"owner": None, "version": jobs.c.version + 1}
        if record.owner is not None:
            connection.execute(release.values(values))
        note = rows.EventNote(ledger.clock(), PARKED, error.message, {"error": error.to_json()})
        connection.execute(insert(events).values(rows.to_event_row(record, record, note)))


def parked_error(history: Iterable[Event]) -> VeoError | None:
    """Return why no worker continues a job, from its history."""
    errors = [event.data["error"] for event in history if event.kind == PARKED]
    return VeoError.from_json(errors[-1]) if errors else None


def list_workers(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the workers that are alive: ``id``, ``host``, ``pid``, ``seen_at``."""
    query = select(workers).where(workers.c.seen_at > ledger.moment().alive_since)
    with ledger.database.read() as connection:
        found = connection.execute(query.where(workers.c.id != QUEUE).order_by(workers.c.id))
        return [row._asdict() for row in found]
