"""The limits of a provider, for all processes on a ledger: jobs in flight, requests a minute.

A slot is a job in flight that a live process works on, so that the slots of a process that dies
are free, and none is ever left over. A process with more than its share leaves the slots that
become free to those that wait with less. Paid requests are counted by periods of half a second: the
rows of a provider stay few whatever its limit, and a burst is possible as long as no minute has
more requests than allowed, which the usual single number of a leaky bucket cannot express.

Everything happens inside the caller's transaction, under a lock for each provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from veo.ledger.backoff import AdaptiveCapacity, read_capacity, write_capacity
from veo.ledger.database import execute_prepared, query_prepared
from veo.ledger.locks import lock
from veo.ledger.record import IN_FLIGHT, QUEUE, State
from veo.ledger.schema import jobs, sends, throttles, workers
from veo.provider import read_boot_clock
from veo.wire.values import MAX_RETRY_AFTER_S

PERIOD_S = 0.5
# A minute, and the time that may pass between the count of a request and its arrival.
WINDOW_S = 60.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider allows."""

    max_in_flight: int  # jobs accepted and not finished, at most
    per_minute: int  # paid requests in any 60 seconds, at most
    # Seconds after a submit of unknown outcome for which there may be a task in flight.
    task_s: float = 0.0


class Moment(NamedTuple):
    now: float  # Unix seconds
    alive_since: float  # the oldest heartbeat of a process that counts as alive


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a paid request may be sent now."""

    # 0.0 when it may, and is counted; else the seconds to wait; None when a slot must become free.
    wait_s: float | None
    capacity: int  # jobs that may be in flight now
    counted_at: float = field(default=0.0, compare=False)  # by ``read_boot_clock``


def admit(
    connection: Connection, provider: str, owner: str | None, limits: Limits, moment: Moment
) -> Admission:
    """Count one more paid request of a worker, if the limits allow it.

    The caller holds the lock of the provider since before the moment.
    """
    counted_at = read_boot_clock()
    now, alive_since = moment
    first = _first_period(now)
    names = {
        "is_provider": provider,
        "is_owner": owner or "",
        "first_period": first,
        "last_period": _last_period(now),
        "alive_since": alive_since,
    }
    row = query_prepared(connection, _STATE, names)
    closed_until, value, sent, oldest, has_others, is_set_back = row
    if is_set_back:
        _forget_future(connection, provider, now)
        closed_until = 0.0
    adaptive = AdaptiveCapacity(limits.max_in_flight, closed_until or 0.0, value)
    capacity = adaptive.capacity
    if now < adaptive.closed_until <= now + MAX_RETRY_AFTER_S:
        return Admission(adaptive.closed_until - now, capacity)
    if sent >= limits.per_minute:
        return Admission((oldest + 1) * PERIOD_S + WINDOW_S - now, capacity)
    # A process that is alone knows how many jobs it has in flight, and need not count rows.
    if has_others:
        demand = _read_demand(connection, provider, owner, moment)
        lost = _count_lost(connection, provider, limits, moment)
        if not _has_slot(demand, owner, capacity - lost):
            return Admission(None, capacity)
    _count_send(connection, provider, int(now // PERIOD_S), first)
    return Admission(0.0, capacity, counted_at)


def count_room(connection: Connection, provider: str, limits: Limits, moment: Moment) -> int:
    """Return how many more requests the limits allow now."""
    now = moment.now
    _forget_future(connection, provider, now)
    adaptive = read_capacity(connection, provider, limits.max_in_flight)
    if now < adaptive.closed_until <= now + MAX_RETRY_AFTER_S:
        return 0
    demand = _read_demand(connection, provider, QUEUE, moment)
    recent = select(func.coalesce(func.sum(sends.c.count), 0)).where(
        sends.c.provider == provider, sends.c.period >= _first_period(now)
    )
    sent = int(connection.execute(recent).scalar_one())
    in_flight = sum(each.in_flight for each in demand)
    in_flight += _count_lost(connection, provider, limits, moment)
    return max(0, min(adaptive.capacity - in_flight, limits.per_minute - sent))


def back_off(
    connection: Connection,
    provider: str,
    limits: Limits,
    moment: Moment,
    wait_s: float,
    in_flight: int,
) -> int:
    """Slow down, because a provider is busy; return the capacity.

    ``in_flight`` is how many jobs are in flight at least, as far as the caller knows.
    """
    lock_provider(connection, provider)
    demand = _read_demand(connection, provider, QUEUE, moment)
    counted = sum(each.in_flight for each in demand)
    adaptive = read_capacity(connection, provider, limits.max_in_flight)
    adaptive.back_off(moment.now, wait_s, max(counted, in_flight))
    return write_capacity(connection, provider, adaptive)


def recover(connection: Connection, provider: str, limits: Limits) -> int:
    """Raise the capacity a little, because a request was accepted; return the capacity."""
    lock_provider(connection, provider)
    adaptive = read_capacity(connection, provider, limits.max_in_flight)
    adaptive.recover()
    return write_capacity(connection, provider, adaptive)


def lock_provider(connection: Connection, provider: str) -> None:
    lock(connection, f"limits of {provider}")


def _first_period(now: float) -> int:
    """Return the first period that may have requests of the last minute."""
    return int((now - WINDOW_S) // PERIOD_S)


def _last_period(now: float) -> int:
    """Return the last period that can have requests.

    Later ones were counted before the clock was set back.
    """
    return int((now + WINDOW_S) // PERIOD_S)


def _forget_future(connection: Connection, provider: str, now: float) -> None:
    """Forget requests that were counted before the clock was set back, and the pause with them.

    That pause is a time of the same clock, and would stop the work until then.
    """
    future = (sends.c.provider == provider) & (sends.c.period > _last_period(now))
    if connection.execute(delete(sends).where(future)).rowcount:
        row = update(throttles).where(throttles.c.provider == provider)
        connection.execute(row.values(closed_until=0.0))


class _Demand(NamedTuple):
    """What a live process has of one provider's jobs."""

    owner: str
    in_flight: int
    waiting: int  # that could be sent now


def _has_slot(demand: Sequence[_Demand], owner: str | None, capacity: int) -> bool:
    """Whether a slot is free, apart from those that other processes lack for a fair share."""
    free = capacity - sum(each.in_flight for each in demand)
    share = max(1, capacity // max(1, len(demand)))
    if sum(each.in_flight for each in demand if each.owner == owner) >= share:
        free -= sum(
            max(0, min(each.waiting, share - each.in_flight))
            for each in demand
            if each.owner != owner
        )
    return free > 0


def _count_lost(connection: Connection, provider: str, limits: Limits, moment: Moment) -> int:
    """Return how many requests may have become tasks without anybody knowing.

    Their processes died while they sent them, or their responses were lost.
    """
    alive = select(workers.c.id).where(workers.c.seen_at > moment.alive_since)
    query = (
        select(func.count())
        .where(jobs.c.provider == provider)
        .where(jobs.c.state.in_([State.SUBMITTING, State.UNKNOWN]))
        # A later time was written before the clock was set back.
        .where(jobs.c.submitted_at.between(moment.now - limits.task_s, moment.now + WINDOW_S))
        .where(jobs.c.owner.is_(None) | jobs.c.owner.not_in(alive))
    )
    return int(connection.execute(query).scalar_one())


def _read_demand(
    connection: Connection, provider: str, owner: str | None, moment: Moment
) -> list[_Demand]:
    """Return the demand of each live process.

    Jobs that wait do not count for the queue: it may have a hundred thousand, and its workers do
    not compete.
    """
    states = IN_FLIGHT if owner == QUEUE else IN_FLIGHT | {State.PLANNED}
    is_in_flight = jobs.c.state.in_(IN_FLIGHT)
    query = (
        select(
            jobs.c.owner,
            func.sum(case((is_in_flight, 1), else_=0)),
            func.sum(case((is_in_flight, 0), (jobs.c.not_before <= moment.now, 1), else_=0)),
        )
        .select_from(jobs.join(workers, workers.c.id == jobs.c.owner))
        .where(jobs.c.provider == provider, jobs.c.state.in_(states))
        .where(workers.c.seen_at > moment.alive_since)
        .group_by(jobs.c.owner)
    )
    return [_Demand(*row) for row in connection.execute(query)]


def _count_send(connection: Connection, provider: str, period: int, first: int) -> None:
    names = {"is_provider": provider, "is_period": period}
    if execute_prepared(connection, _ADD_SEND, names) == 0:
        row = {"provider": provider, "period": period, "count": 1}
        execute_prepared(connection, _INSERT_SENDS, row)
        execute_prepared(connection, _DELETE_SENDS, {"is_provider": provider, "before": first})


_PROVIDER: BindParameter[str] = bindparam("is_provider")
_IS_RECENT = (sends.c.provider == _PROVIDER) & sends.c.period.between(
    bindparam("first_period"), bindparam("last_period")
)
_THROTTLE = throttles.c.provider == _PROVIDER
_HAS_OTHERS = exists().where(
    workers.c.id != bindparam("is_owner"), workers.c.seen_at > bindparam("alive_since")
)
_HAS_FUTURE = exists().where(
    sends.c.provider == _PROVIDER, sends.c.period > bindparam("last_period")
)
_STATE = select(
    select(throttles.c.closed_until).where(_THROTTLE).scalar_subquery(),
    select(throttles.c.capacity).where(_THROTTLE).scalar_subquery(),
    select(func.coalesce(func.sum(sends.c.count), 0)).where(_IS_RECENT).scalar_subquery(),
    select(func.min(sends.c.period)).where(_IS_RECENT).scalar_subquery(),
    select(_HAS_OTHERS).scalar_subquery(),
    select(_HAS_FUTURE).scalar_subquery(),
)
_ADD_SEND = (
    update(sends)
    .where(sends.c.provider == _PROVIDER, sends.c.period == bindparam("is_period"))
    .values({"count": sends.c.count + 1})
)
_INSERT_SENDS = insert(sends)
_DELETE_SENDS = (
    delete(sends).where(sends.c.provider == _PROVIDER).where(sends.c.period < bindparam("before"))
)
