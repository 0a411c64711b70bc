"""Rows read and written, inside a transaction of the caller's."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import bindparam, insert, update

from veo.errors import LeaseLostError
from veo.ledger.record import TRANSITIONS, Event, Record, State
from veo.ledger.schema import events, jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Insert, Select, Update

T = TypeVar("T")

AMOUNTS = ("reserved", "charged", "doubtful")
_CHUNK = 500
_EVENT = insert(events)
_NAMES = tuple(column.name for column in fields(Record))
_values = attrgetter(*_NAMES)


class EventNote(NamedTuple):
    """What the history says about a change.

    Attributes:
        at: When, Unix seconds.
        kind: What it was; None: the state that was reached.
        message: For a person.
        data: Details.
    """

    at: float
    kind: str | None = None
    message: str | None = None
    data: dict[str, Any] | None = None


def change_job(
    connection: Connection,
    record: Record,
    state: State | None,
    note: EventNote,
    **changes: Any,
) -> Record:
    """Change a job and write the line of its history that says so; see ``Ledger.move``.

    Raises:
        LeaseLostError: The row is not at the record's version and owner any more.
    """
    state = state or record.state
    if state != record.state and state not in TRANSITIONS[record.state]:
        raise AssertionError(f"a job cannot go from {record.state} to {state}")
    columns = {"state": state, "version": record.version + 1, **changes}
    changed = Record(**to_row(record) | columns)
    fence = {"is_id": record.id, "is_version": record.version, "is_owner": record.owner}
    if _execute_prepared(connection, _fenced_update(frozenset(columns)), columns | fence) != 1:
        raise LeaseLostError(f"another process works on job {record.id}")
    _execute_prepared(
        connection, _EVENT, to_event_row(changed, note) | amount_changes(record, changed)
    )
    return changed


def to_row(record: Record) -> dict[str, Any]:
    """A record as a row of ``jobs``, four times as fast as ``dataclasses.asdict``."""
    return dict(zip(_NAMES, _values(record), strict=True))


@lru_cache(maxsize=256)
def _fenced_update(columns: frozenset[str]) -> Update:
    """The fenced change of some columns."""
    return (
        update(jobs)
        .where(jobs.c.id == bindparam("is_id"), jobs.c.version == bindparam("is_version"))
        .where(jobs.c.owner.is_not_distinct_from(bindparam("is_owner")))
        .values({name: bindparam(name) for name in columns})
    )


def _execute_prepared(
    connection: Connection, statement: Insert | Update, values: Mapping[str, Any]
) -> int:
    """Run a statement that every step of every job runs, past SQLAlchemy; the rows it changed.

    Its text is made once: making it, or only looking for it, costs more than running it.
    """
    text, names = _compile_statement(statement, frozenset(values), connection.dialect)
    cursor = connection.connection.cursor()
    cursor.execute(text, [values[name] for name in names])
    return cursor.rowcount


@lru_cache(maxsize=256)
def _compile_statement(
    statement: Insert | Update, columns: frozenset[str], dialect: Dialect
) -> tuple[str, Sequence[str]]:
    compiled = dialect.statement_compiler(dialect, statement, column_keys=sorted(columns))
    return str(compiled), compiled.positiontup or ()


def to_event_row(record: Record, note: EventNote) -> dict[str, Any]:
    """A line of a job's history; its amounts are differences, none unless they are added."""
    return {
        "job": record.id,
        "at": note.at,
        "owner": record.owner,
        "kind": note.kind or str(record.state),
        "state": record.state,
        "message": note.message,
        **dict.fromkeys(AMOUNTS, 0),
        "data": json.dumps(note.data, ensure_ascii=False, default=str) if note.data else "{}",
    }


def amount_changes(before: Record, after: Record) -> dict[str, int]:
    """How a change moved the money."""
    return {name: getattr(after, name) - getattr(before, name) for name in AMOUNTS}


def fetch_records(connection: Connection, query: Select[Any]) -> list[Record]:
    """The jobs that a query finds."""
    return [to_record(row._asdict()) for row in connection.execute(query)]


def fetch_record(connection: Connection, query: Select[Any]) -> Record:
    """The one job that a query finds."""
    return to_record(connection.execute(query).one()._asdict())


def to_record(row: dict[str, Any]) -> Record:
    """A row of ``jobs`` as a record."""
    return Record(**{**row, "state": State(row["state"])})


def to_event(row: dict[str, Any]) -> Event:
    """A row of ``events`` as an event."""
    return Event(**{**row, "state": State(row["state"]), "data": json.loads(row["data"])})


def split_chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """Values in lists that a statement can take as its parameters."""
    every = list(values)
    return (every[start : start + _CHUNK] for start in range(0, len(every), _CHUNK))
