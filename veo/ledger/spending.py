"""What the jobs of a ledger hold and have cost, added up by the database.

A job counts on the day it was asked for, in local time, as the daily and monthly budgets count it.
Amounts are millionths of a USD.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from operator import add, attrgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

from sqlalchemy import BigInteger, case, cast, func, select

from veo.ledger import rows
from veo.ledger.record import ENDED, LIVE, State
from veo.ledger.schema import events, jobs
from veo.money import to_usd

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from decimal import Decimal

    from sqlalchemy import ColumnElement, Row, Select

    from veo.ledger import Ledger, Record

Dimension = Literal["day", "provider", "model", "batch", "outcome"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
UNDER_WAY = "under way"
_QUARTER_H = 900  # every time zone is whole quarters of an hour away from UTC


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are looked at.

    Attributes:
        since: Planned at or after this time, Unix seconds.
        until: Planned before this time.
        providers: Of one of these; all when empty.
        run: Of this run or batch.
    """

    since: float | None = None
    until: float | None = None
    providers: Collection[str] = ()
    run: str | None = None

    def apply_to(self, query: Select[Any]) -> Select[Any]:
        """The query over ``jobs``, for these alone."""
        if self.since is not None:
            query = query.where(jobs.c.created_at >= self.since)
        if self.until is not None:
            query = query.where(jobs.c.created_at < self.until)
        if self.providers:
            query = query.where(jobs.c.provider.in_(self.providers))
        return query if self.run is None else query.where(jobs.c.run == self.run)


ALL_JOBS = JobFilter()


@dataclass(frozen=True, slots=True)
class Spending:
    """The money of some jobs.

    Attributes:
        jobs: How many there are.
        videos: How many of them are done: a video that can be kept.
        for_done: Charged for those.
        for_nothing: Charged for jobs that failed, or whose video was gone.
        for_open: Charged for jobs that have not ended, or whose outcome is unknown.
        uncertain: The part of all that was charged that is not beyond doubt.
        reserved: Held for jobs under way.
        unknown: What may have been charged besides, at most: jobs of unknown outcome, tasks that
            vanished, earlier sends whose answers were lost.
    """

    jobs: int = 0
    videos: int = 0
    for_done: int = 0
    for_nothing: int = 0
    for_open: int = 0
    uncertain: int = 0
    reserved: int = 0
    unknown: int = 0

    @property
    def charged(self) -> int:
        """All that was charged, as far as anybody knows."""
        return self.for_done + self.for_nothing + self.for_open

    @property
    def most(self) -> int:
        """The most that can have been charged."""
        return self.charged + self.unknown

    @property
    def per_video(self) -> Decimal | None:
        """USD charged for each video that can be kept; None when there is none."""
        return to_usd(self.charged) / self.videos if self.videos else None

    def __add__(self, other: Spending) -> Spending:
        return Spending(*map(add, _parts(self), _parts(other)))


_parts = attrgetter(*(item.name for item in fields(Spending)))


def group_spending(
    ledger: Ledger, by: Sequence[Dimension] = (), scope: JobFilter = ALL_JOBS
) -> dict[tuple[str, ...], Spending]:
    """The money of jobs, added up in groups.

    Args:
        ledger: Whose jobs.
        by: What makes a group; one group of all when empty.
        scope: Which jobs.

    Returns:
        The accounts by the values of ``by``, in their order; days in ISO form.
    """
    keys = [_KEYS[name] for name in by]
    query = scope.apply_to(select(*keys, jobs.c.state, *_SUMS).group_by(*keys, jobs.c.state))
    with ledger.database.read() as connection:
        found = connection.execute(query).all()
    sums: dict[tuple[str, ...], Spending] = defaultdict(Spending)
    for row in found:
        key = tuple(_VALUES.get(name, str)(row[index]) for index, name in enumerate(by))
        sums[key] += _account(row)
    return dict(sorted(sums.items()))


def sum_spending(ledger: Ledger, scope: JobFilter = ALL_JOBS) -> Spending:
    """The money of all jobs of a scope together."""
    return group_spending(ledger, (), scope).get((), Spending())


def find_jobs(ledger: Ledger, scope: JobFilter = ALL_JOBS) -> list[Record]:
    """The jobs of a scope, the oldest first."""
    query = scope.apply_to(select(jobs)).order_by(jobs.c.created_at, jobs.c.id)
    with ledger.database.read() as connection:
        return rows.fetch_records(connection, query)


def find_untraced(ledger: Ledger) -> list[str]:
    """Ids of jobs whose money is not the sum of their events; empty unless a ledger was edited."""
    parts = (jobs.c.reserved, jobs.c.charged, jobs.c.doubtful)
    moved = [func.coalesce(func.sum(events.c[part.name]), 0) for part in parts]
    differs = [total != part for total, part in zip(moved, parts, strict=True)]
    query = (
        select(jobs.c.id)
        .join(events, events.c.job == jobs.c.id, isouter=True)
        .group_by(jobs.c.id, *parts)
        .having(differs[0] | differs[1] | differs[2])
    )
    with ledger.database.read() as connection:
        return list(connection.scalars(query))


def _account(row: Row[Any]) -> Spending:
    """One group of one state; what a charge was for follows from the state."""
    state, sure = State(row.state), int(row.charged)
    live = state in LIVE
    purpose = "for_nothing" if state in ENDED else "for_open"
    money = {"for_done" if state is State.DONE else purpose: sure}
    return Spending(
        jobs=row.jobs,
        videos=row.jobs if state is State.DONE else 0,
        uncertain=int(row.uncertain),
        reserved=int(row.reserved) if live else 0,
        unknown=int(row.doubtful) + (0 if live else int(row.reserved)),
        **money,
    )


@lru_cache(maxsize=65_536)
def _to_local_day(quarter: int) -> str:
    at = datetime.fromtimestamp(quarter * _QUARTER_H).astimezone()
    return at.date().isoformat()


def _to_outcome(state: Any) -> str:
    return UNDER_WAY if State(state) in LIVE else str(state)


_KEYS: dict[str, ColumnElement[Any]] = {
    "day": cast(jobs.c.created_at, BigInteger) // _QUARTER_H,
    "provider": jobs.c.provider,
    "model": jobs.c.model,
    "batch": jobs.c.run,
    "outcome": jobs.c.state,
}
_VALUES: dict[str, Any] = {"day": _to_local_day, "outcome": _to_outcome}
_SUMS = (
    func.count().label("jobs"),
    func.sum(jobs.c.charged).label("charged"),
    func.sum(jobs.c.reserved).label("reserved"),
    func.sum(jobs.c.doubtful).label("doubtful"),
    func.sum(case((jobs.c.certain, 0), else_=jobs.c.charged)).label("uncertain"),
)
