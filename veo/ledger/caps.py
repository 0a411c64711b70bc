"""What jobs hold and have cost, added up by the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from veo.ledger.schema import jobs

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit on money: what is reserved, charged and doubtful together never passes it.

    Attributes:
        name: The name of its setting, for example ``max_cost``.
        limit: Millionths of a USD.
        run: Count the jobs of this run; None counts all.
        since: Count jobs planned at or after this time, Unix seconds.
    """

    name: str
    limit: int
    run: str | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Money of many jobs, millionths of a USD.

    Attributes:
        reserved: Held for jobs on their way and for those of unknown outcome.
        charged: Taken, by the providers' rules.
        doubtful: May have been taken for earlier sends whose answers were lost.
    """

    reserved: int
    charged: int
    doubtful: int

    @property
    def spent(self) -> int:
        """What counts against a cap."""
        return self.reserved + self.charged + self.doubtful


def sums(connection: Connection, run: str | None = None, since: float = 0.0) -> Sums:
    """The money of a run, or of all jobs, planned at or after a time."""
    columns = (jobs.c.reserved, jobs.c.charged, jobs.c.doubtful)
    query = select(*(func.coalesce(func.sum(column), 0) for column in columns))
    if run is not None:
        query = query.where(jobs.c.run == run)
    if since:
        query = query.where(jobs.c.created_at >= since)
    return Sums(*map(int, connection.execute(query).one()))


def count_spent(connection: Connection, cap: Cap) -> int:
    """What counts against a cap now."""
    return sums(connection, cap.run, cap.since).spent
