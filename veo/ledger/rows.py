"""Read and write the rows of jobs and events, inside a transaction of the caller."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Select, Update, bindparam, insert, update

from veo.errors import LeaseLostError
from veo.ledger.database import execute_prepared
from veo.ledger.parse import read_row
from veo.ledger.record import TRANSITIONS, Event, Record, State
from veo.ledger.schema import events, jobs

T = TypeVar("T")

AMOUNTS = ("reserved", "charged", "doubtful")
_CHUNK_SIZE = 500  # well under the number of parameters that any database takes in a statement
_INSERT_EVENT = insert(events)
_COLUMNS = tuple(column.name for column in fields(Record))
_get_values = attrgetter(*_COLUMNS)


class EventNote(NamedTuple):
    at: float  # Unix seconds
    kind: str | None = None  # what happened; None for the state that was reached
    message: str | None = None  # for a person
    data: dict[str, Any] | None = None


def change_job(
    connection: Connection,
    record: Record,
    state: State | None,
    note: EventNote,
    **changes: Any,
) -> Record:
    """Change a job and write the event of the change; see ``Ledger.move_job``."""
    state = state or record.state
    if state != record.state and state not in TRANSITIONS[record.state]:
        raise AssertionError(f"a job cannot go from {record.state} to {state}")
    columns = {"state": state, "version": record.version + 1, **changes}
    changed = Record(**to_row(record) | columns)
    fence = {"is_id": record.id, "is_version": record.version, "is_owner": record.owner}
    if execute_prepared(connection, _fenced_update(frozenset(columns)), columns | fence) != 1:
        raise LeaseLostError(f"another process works on job {record.id}")
    execute_prepared(connection, _INSERT_EVENT, to_event_row(record, changed, note))
    return changed


@lru_cache(maxsize=256)
def _fenced_update(columns: frozenset[str]) -> Update:
    """Return the update of some columns that changes nothing after another process did."""
    return (
        update(jobs)
        .where(jobs.c.id == bindparam("is_id"), jobs.c.version == bindparam("is_version"))
        .where(jobs.c.owner.is_not_distinct_from(bindparam("is_owner")))
        .values({name: bindparam(name) for name in columns})
    )


def to_row(record: Record) -> dict[str, Any]:
    """Convert a record into a row of ``jobs``, four times as fast as ``dataclasses.asdict``."""
    return dict(zip(_COLUMNS, _get_values(record), strict=True))


def to_event_row(before: Record | None, record: Record, note: EventNote) -> dict[str, Any]:
    """Return the event of a change, with the money that it moves; ``before`` is None for a new job.

    The amounts are differences, so that the events of a job add up to its amounts.
    """
    moved = {name: getattr(record, name) - getattr(before, name, 0) for name in AMOUNTS}
    return {
        "job": record.id,
        "at": note.at,
        "owner": record.owner,
        "kind": note.kind or str(record.state),
        "state": record.state,
        "message": note.message,
        **moved,
        "data": json.dumps(note.data, ensure_ascii=False, default=str) if note.data else "{}",
    }


def fetch_records(connection: Connection, query: Select[Any]) -> list[Record]:
    """Return the jobs of a query, without rows that are damaged: those must not hide the others."""
    found = (read_row(row._asdict()) for row in connection.execute(query))
    return [record for record in found if record]


def to_event(row: dict[str, Any]) -> Event:
    return Event(**{**row, "state": State(row["state"]), "data": json.loads(row["data"])})


def split_chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Split values into lists short enough to be the parameters of one statement."""
    items = list(values)
    return (items[start : start + _CHUNK_SIZE] for start in range(0, len(items), _CHUNK_SIZE))
