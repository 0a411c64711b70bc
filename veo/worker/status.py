"""What the workers of a ledger do, and what waits for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select, text

from veo.engine.context import MADE
from veo.ledger.queue import is_installed, list_workers
from veo.ledger.record import IN_FLIGHT, LIVE, State
from veo.ledger.schema import jobs
from veo.worker.worker import manager_id

if TYPE_CHECKING:
    from veo.ledger import Ledger

_PICKED = "SELECT queue_manager_id, count(*) FROM pgqueuer WHERE status = 'picked' GROUP BY 1"
_LATE = """
    SELECT coalesce(extract(epoch FROM now() - min(execute_after)), 0)
    FROM pgqueuer WHERE status = 'queued' AND execute_after < now()
"""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One process that is alive, as far as its heartbeats tell."""

    id: str
    host: str
    pid: int
    age_s: float  # seconds since its last heartbeat
    steps: int  # that it takes now
    sending: int  # paid requests whose responses it waits for

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The workers, and the numbers of jobs that are not ended."""

    workers: list[WorkerStatus]
    planned: int
    in_flight: int
    made: int  # whose videos are to be downloaded
    parked: int  # that no worker continues until somebody resumes them
    unknown: int
    late_s: float  # seconds by which the oldest step is late that is due

    def backlog_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "workers"}


def read_status(ledger: Ledger) -> QueueStatus:
    """Return the status of all workers of a ledger on Postgres."""
    now = ledger.clock()
    with ledger.database.read() as connection:
        counts, parked = _count_jobs(connection)
        sending = _count_sending(connection)
        steps, late_s = _read_queue(connection)
    return QueueStatus(
        [
            WorkerStatus(
                row["id"],
                row["host"],
                row["pid"],
                round(max(0.0, now - row["seen_at"]), 1),
                steps.get(manager_id(row["id"]), 0),
                sending.get(row["id"], 0),
            )
            for row in list_workers(ledger)
        ],
        planned=counts[State.PLANNED],
        in_flight=sum(counts[state] for state in IN_FLIGHT),
        made=sum(counts[state] for state in MADE),
        parked=parked,
        unknown=counts[State.UNKNOWN],
        late_s=round(late_s, 3),
    )


def _count_jobs(connection: Connection) -> tuple[Counter[str], int]:
    """Return the number of jobs by state, without those that have ended, and of the parked ones."""
    is_open = jobs.c.state.in_([*LIVE, State.UNKNOWN])
    owned = jobs.c.owner.is_not(None)
    query = select(jobs.c.state, owned, func.count()).where(is_open).group_by(jobs.c.state, owned)
    counts: Counter[str] = Counter()
    parked = 0
    for state, is_owned, count in connection.execute(query):
        counts[state] += count
        parked += count if state != State.UNKNOWN and not is_owned else 0
    return counts, parked


def _count_sending(connection: Connection) -> dict[str, int]:
    """Return the paid requests under way by worker, which owns a job only while it sends it."""
    query = select(jobs.c.owner, func.count()).where(jobs.c.state.in_(IN_FLIGHT))
    found = connection.execute(query.group_by(jobs.c.owner))
    return {owner: int(count) for owner, count in found}


def _read_queue(connection: Connection) -> tuple[dict[Any, int], float]:
    """Return the steps that each PGQueuer process takes, and how late the oldest due step is."""
    if not is_installed(connection):
        return {}, 0.0
    steps = {manager: int(count) for manager, count in connection.execute(text(_PICKED))}
    return steps, float(connection.execute(text(_LATE)).scalar_one())
