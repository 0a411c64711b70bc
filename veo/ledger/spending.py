"""Sums of what jobs hold and have cost. The database adds up; amounts are millionths of a USD.

A job counts on the local day on which it was planned, as in the daily and monthly budgets.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import add, attrgetter
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, ColumnElement, Row, Select, case, cast, func, or_, select

from veo.ledger import Ledger, Record, rows
from veo.ledger.record import ENDED, LIVE, State, split_reservation
from veo.ledger.schema import jobs
from veo.money import to_usd

Dimension = Literal["day", "week", "month", "provider", "model", "batch", "outcome"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
UNDER_WAY = "under way"
_QUARTER_HOUR_S = 900  # every time zone's offset from UTC is a whole number of quarters


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are selected; every condition must hold."""

    since: float | None = None  # planned at or after, Unix seconds
    until: float | None = None  # planned before, Unix seconds
    providers: Collection[str] = ()  # all if empty
    run: str | None = None  # a run or a batch
    states: Collection[State] | None = None
    models: Collection[str] = ()  # all if empty
    tags: Collection[str] = ()  # the job must have each of them
    search: str | None = None  # part of the request, output, columns, task or id

    def apply_to(self, query: Select[Any]) -> Select[Any]:
        if self.since is not None:
            query = query.where(jobs.c.created_at >= self.since)
        if self.until is not None:
            query = query.where(jobs.c.created_at < self.until)
        if self.providers:
            query = query.where(jobs.c.provider.in_(self.providers))
        if self.models:
            query = query.where(jobs.c.model.in_(self.models))
        for tag in self.tags:
            text = json.dumps(tag, ensure_ascii=False)
            query = query.where(jobs.c.tags.contains(text, autoescape=True))
        if self.search is not None:
            columns = (jobs.c.request, jobs.c.output, jobs.c.columns, jobs.c.task_id, jobs.c.id)
            query = query.where(or_(*(c.icontains(self.search, autoescape=True) for c in columns)))
        if self.run is not None:
            query = query.where(jobs.c.run == self.run)
        return query if self.states is None else query.where(jobs.c.state.in_(self.states))


ALL_JOBS = JobFilter()


@dataclass(frozen=True, slots=True)
class Spending:
    """What some jobs hold and have cost."""

    jobs: int = 0
    videos: int = 0  # jobs that are done, each with a video on disk
    for_done: int = 0  # charged for jobs that are done
    for_nothing: int = 0  # charged for jobs that failed or expired
    for_open: int = 0  # charged for jobs that have not ended or whose outcome is unknown
    uncertain: int = 0  # the part of the charges that is not beyond doubt
    held: int = 0  # reserved for live jobs
    # What may have been charged in addition, at most: for jobs of unknown outcome, tasks that
    # vanished, and earlier sends whose responses were lost.
    in_doubt: int = 0

    @property
    def charged(self) -> int:
        return self.for_done + self.for_nothing + self.for_open

    @property
    def most(self) -> int:
        return self.charged + self.in_doubt

    @property
    def per_video(self) -> Decimal | None:
        """USD charged for each video on disk; None without a video."""
        return to_usd(self.charged) / self.videos if self.videos else None

    def __add__(self, other: Spending) -> Spending:
        return Spending(*map(add, _amounts(self), _amounts(other)))


_amounts = attrgetter(*(item.name for item in fields(Spending)))


def group_spending(
    ledger: Ledger, by: Sequence[Dimension] = (), job_filter: JobFilter = ALL_JOBS
) -> dict[tuple[str, ...], Spending]:
    """Return the sums by the values of ``by``, sorted; one group if empty.

    Days are in ISO form, a week is named by its Monday, a month is ``2026-11``.
    """
    sums: dict[tuple[str, ...], Spending] = defaultdict(Spending)
    for row, spending in _sum_by_state(ledger, by, job_filter):
        key = tuple(_LABELS.get(name, str)(row[index]) for index, name in enumerate(by))
        sums[key] += spending
    return dict(sorted(sums.items()))


def spending_by_state(ledger: Ledger, job_filter: JobFilter = ALL_JOBS) -> dict[State, Spending]:
    groups = _sum_by_state(ledger, (), job_filter)
    return {State(row.state): spending for row, spending in groups}


def sum_spending(ledger: Ledger, job_filter: JobFilter = ALL_JOBS) -> Spending:
    return sum(spending_by_state(ledger, job_filter).values(), Spending())


def list_newest(ledger: Ledger, job_filter: JobFilter, limit: int | None = None) -> list[Record]:
    """Return the selected jobs, the newest first."""
    query = job_filter.apply_to(select(jobs)).order_by(jobs.c.created_at.desc(), jobs.c.id)
    with ledger.database.read() as connection:
        return rows.fetch_records(connection, query.limit(limit))


def find_jobs(ledger: Ledger, job_filter: JobFilter = ALL_JOBS) -> list[Record]:
    """Return the selected jobs, the oldest first."""
    query = job_filter.apply_to(select(jobs)).order_by(jobs.c.created_at, jobs.c.id)
    with ledger.database.read() as connection:
        return rows.fetch_records(connection, query)


def _sum_by_state(
    ledger: Ledger, by: Sequence[Dimension], job_filter: JobFilter
) -> Iterator[tuple[Row[Any], Spending]]:
    keys = [_KEYS[name] for name in by]
    query = select(*keys, jobs.c.state, *_SUMS).group_by(*keys, jobs.c.state)
    with ledger.database.read() as connection:
        for row in connection.execute(job_filter.apply_to(query)):
            yield row, _to_spending(State(row.state), *map(int, row[-len(_SUMS) :]))


def sum_records(records: Iterable[Record]) -> Spending:
    """Return the sums of jobs that were read already."""
    each = (
        _to_spending(r.state, 1, r.charged, r.reserved, r.doubtful, r.uncertain_amount)
        for r in records
    )
    return sum(each, Spending())


def _to_spending(
    state: State, count: int, charged: int, reserved: int, doubtful: int, uncertain: int
) -> Spending:
    """Return the sums of jobs of one state; the arguments are in the order of ``_SUMS``."""
    is_done = state is State.DONE
    held, in_doubt = split_reservation(state, reserved)
    return Spending(
        jobs=count,
        videos=count if is_done else 0,
        for_done=charged if is_done else 0,
        for_nothing=charged if state in ENDED and not is_done else 0,
        for_open=charged if state not in ENDED else 0,
        uncertain=uncertain,
        held=held,
        in_doubt=doubtful + in_doubt,
    )


# A conversion takes longer than the rest of a sum by day. The cache holds the quarters of an hour
# of almost two years.
@lru_cache(maxsize=65_536)
def _to_local_day(quarter_hour: int) -> str:
    return datetime.fromtimestamp(quarter_hour * _QUARTER_HOUR_S).astimezone().date().isoformat()


def _to_local_week(quarter_hour: int) -> str:
    """Return the Monday of the week."""
    day = date.fromisoformat(_to_local_day(quarter_hour))
    return (day - timedelta(days=day.weekday())).isoformat()


def _to_outcome(state: str) -> str:
    return UNDER_WAY if State(state) in LIVE else state


# SQL has no portable time zones: it groups by quarters of an hour, and Python finds the day.
# SQLite truncates here where Postgres rounds, which moves a job by half a second at most.
_QUARTER_HOUR = cast(jobs.c.created_at, BigInteger) // _QUARTER_HOUR_S
_KEYS: dict[Dimension, ColumnElement[Any]] = {
    "day": _QUARTER_HOUR.label("day"),
    "week": _QUARTER_HOUR.label("week"),
    "month": _QUARTER_HOUR.label("month"),
    "provider": jobs.c.provider,
    "model": jobs.c.model,
    "batch": jobs.c.run,
    "outcome": jobs.c.state,
}
_LABELS: dict[Dimension, Any] = {
    "day": _to_local_day,
    "week": _to_local_week,
    "month": lambda quarter_hour: _to_local_day(quarter_hour)[:7],
    "outcome": _to_outcome,
}
_SUMS = (
    func.count(),
    func.sum(jobs.c.charged),
    func.sum(jobs.c.reserved),
    func.sum(jobs.c.doubtful),
    func.sum(case((jobs.c.certain, 0), else_=jobs.c.charged)),
)
