"""The numbered steps of the ledger lead to the tables that ``schema`` describes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import Column, Connection, MetaData, Text, create_engine, inspect, select, text

from veo.errors import LedgerError
from veo.ledger import Event, Record, migrations, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import PostgresServer

pytest_plugins = ("ledger_databases",)
STEP_COUNT = len(migrations.STEPS)
EARLIER_JOB = """
INSERT INTO jobs (
    id, run, provider, model, state, version, request, fingerprint, output, force, quote,
    reserved, charged, doubtful, certain, submits, polls, not_before, video, created_at
) VALUES (
    :id, 'run', 'p', 'm', 'done', 1, :request, '', 'o', false, '{}', 0, 0, 0, true, 1, 1, 0,
    :video, :created_at
)
"""
Connect = Callable[[], Connection]


@pytest.fixture(params=["sqlite", "postgres"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Open a connection to an empty database, of either kind."""
    with ExitStack() as stack:

        def connect() -> Connection:
            url = "sqlite://"
            if request.param == "postgres":
                server: PostgresServer = request.getfixturevalue("postgres")
                url = server.schema_url(f"m{uuid4().hex}").replace("://", "+psycopg://")
            engine = create_engine(url)
            stack.callback(engine.dispose)
            return stack.enter_context(engine.connect())

        yield connect


@pytest.fixture
def connection(connect: Connect) -> Connection:
    """An empty database."""
    return connect()


def describe_tables(connection: Connection) -> dict[str, Any]:
    """All that the database knows of its tables."""
    inspector = inspect(connection)
    return {
        table: {
            "columns": [
                {**column, "type": str(column["type"])} for column in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table),
            "indexes": sorted(map(_describe_index, inspector.get_indexes(table))),
            "foreign keys": inspector.get_foreign_keys(table),
            "unique": inspector.get_unique_constraints(table),
            "checks": inspector.get_check_constraints(table),
        }
        for table in inspector.get_table_names()
    }


def _describe_index(index: Any) -> str:
    # Conditions are expressions, which do not compare.
    options = {name: str(value) for name, value in index["dialect_options"].items()}
    return str({**index, "dialect_options": options})


def describe_metadata(connection: Connection, metadata: MetaData) -> dict[str, Any]:
    """The tables that a description creates in an empty database; created once for all tests."""
    key = connection.dialect.name, len(metadata.tables["jobs"].columns)
    if key not in _described:
        metadata.create_all(connection)
        _described[key] = describe_tables(connection)
    return _described[key]


_described: dict[tuple[str, int], dict[str, Any]] = {}


def applied_steps(connection: Connection) -> list[str]:
    return list(connection.scalars(select(schema.migrations.c.name).order_by("name")))


@pytest.mark.parametrize("count", range(STEP_COUNT + 1))
def test_every_earlier_ledger_gets_the_tables_of_the_schema(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """From empty, and from a ledger of each earlier version: columns, types, indexes, keys."""
    connection = connect()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "STEPS", migrations.STEPS[:count])
        migrations.apply_migrations(connection)
    migrations.apply_migrations(connection)

    assert describe_tables(connection) == describe_metadata(connect(), schema.metadata)
    assert applied_steps(connection) == [step.__name__ for step in migrations.STEPS]


@pytest.mark.parametrize("count", range(STEP_COUNT + 1))
def test_a_new_column_reaches_every_ledger(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A column in the schema and a step that adds it: applied to a fresh ledger and to old ones."""
    connection = connect()
    metadata = MetaData()
    for table in schema.metadata.sorted_tables:
        table.to_metadata(metadata)
    metadata.tables["jobs"].append_column(Column("note", Text))

    def m999_note(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN note TEXT")

    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "STEPS", migrations.STEPS[:count])
        migrations.apply_migrations(connection)
    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, m999_note))
    monkeypatch.setattr(schema, "metadata", metadata)
    for name, table in metadata.tables.items():
        monkeypatch.setattr(schema, name, table)
    migrations.apply_migrations(connection)

    assert describe_tables(connection) == describe_metadata(connect(), metadata)


def test_extensions_of_an_earlier_ledger_get_their_parents(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent is the newest job whose video has the address that the request names."""
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "STEPS", migrations.STEPS[:3])
        migrations.apply_migrations(connection)
    rows = [
        ("old", "{}", '{"uri": "files/1"}', 1.0),
        ("first", '{"prompt": "\\"extend\\""}', '{"uri": "files/1"}', 2.0),
        ("second", '{"extend": {"uri": "files/1"}}', None, 3.0),
        ("orphan", '{"extend": {"uri": "files/2"}}', None, 4.0),
    ]
    for row in rows:
        names = ("id", "request", "video", "created_at")
        connection.execute(text(EARLIER_JOB), dict(zip(names, row, strict=True)))
    migrations.apply_migrations(connection)

    query = select(schema.jobs.c.id, schema.jobs.c.parent)
    parents = [tuple(row) for row in connection.execute(query)]
    assert dict(parents) == {"old": None, "first": None, "second": "first", "orphan": None}


def test_steps_are_applied_once(connection: Connection) -> None:
    """A second run changes nothing."""
    migrations.apply_migrations(connection)
    before = describe_tables(connection)
    migrations.apply_migrations(connection)

    assert describe_tables(connection) == before
    assert applied_steps(connection) == [step.__name__ for step in migrations.STEPS]


def test_a_ledger_of_a_newer_version_is_refused(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says to upgrade; nothing is changed."""
    migrations.apply_migrations(connection)
    monkeypatch.setattr(migrations, "STEPS", ())

    with pytest.raises(LedgerError, match="newer version"):
        migrations.apply_migrations(connection)


def test_records_have_the_columns_of_their_tables() -> None:
    """A column of the schema without a field, or a field without a column, would break reading."""
    assert {field.name for field in fields(Record)} == set(schema.jobs.columns.keys())
    assert {field.name for field in fields(Event)} == set(schema.events.columns.keys())
