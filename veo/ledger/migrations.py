"""Numbered steps from an empty database to the tables of ``schema``, each applied once, in order.

A step that has been released is frozen: its SQL is literal, so that a later change of ``schema``
does not change what it does to a fresh ledger.

To add a column: write it into ``schema`` and ``Record``, and add a step that alters the table.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from veo.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy import Connection

# SQLAlchemy and ``schema`` are imported where a ledger is opened: ``listing`` needs only names.


def m001_initial(connection: Connection) -> None:
    # SQLite numbers rows by itself in a column of exactly this type; other databases need a serial.
    row_id = "INTEGER" if connection.dialect.name == "sqlite" else "BIGSERIAL"
    for statement in _M001.format(row_id=row_id).split(";"):
        connection.exec_driver_sql(statement)


_M001 = """
CREATE TABLE jobs (
    id VARCHAR(32) NOT NULL, run TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    state VARCHAR(16) NOT NULL, version INTEGER NOT NULL, owner VARCHAR(64),
    request TEXT NOT NULL, fingerprint VARCHAR(64) NOT NULL, output TEXT NOT NULL,
    force BOOLEAN NOT NULL, quote TEXT NOT NULL, task_id TEXT, video TEXT, error TEXT,
    reserved BIGINT NOT NULL, charged BIGINT NOT NULL, doubtful BIGINT NOT NULL,
    certain BOOLEAN NOT NULL, submits INTEGER NOT NULL, polls INTEGER NOT NULL,
    not_before FLOAT NOT NULL, created_at FLOAT NOT NULL, submitted_at FLOAT, ready_at FLOAT,
    ended_at FLOAT, bytes BIGINT, sha256 VARCHAR(64), tag TEXT, PRIMARY KEY (id)
);
CREATE INDEX jobs_run ON jobs (run);
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_created ON jobs (created_at);
CREATE INDEX jobs_fingerprint ON jobs (fingerprint);
CREATE TABLE events (
    id {row_id} NOT NULL, job VARCHAR(32) NOT NULL, at FLOAT NOT NULL, owner VARCHAR(64),
    kind VARCHAR(32) NOT NULL, state VARCHAR(16) NOT NULL, message TEXT,
    reserved BIGINT NOT NULL, charged BIGINT NOT NULL, doubtful BIGINT NOT NULL,
    data TEXT NOT NULL, PRIMARY KEY (id), FOREIGN KEY(job) REFERENCES jobs (id)
);
CREATE INDEX events_job ON events (job);
CREATE TABLE workers (
    id VARCHAR(64) NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, seen_at FLOAT NOT NULL,
    PRIMARY KEY (id)
)
"""


def m002_key_hash(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN key_hash VARCHAR(16)")


def m003_etag(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE jobs RENAME COLUMN tag TO etag")


def m004_parent(connection: Connection) -> None:
    from sqlalchemy import text  # noqa: PLC0415 - see above

    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN parent VARCHAR(32)")
    connection.exec_driver_sql("CREATE INDEX jobs_parent ON jobs (parent)")
    # Jobs that extend a video name only its address, so their parents are found by it.
    extensions = _read_json(connection, _M004_EXTENSIONS)
    videos = _read_json(connection, _M004_VIDEOS) if extensions else {}
    parents = {video.get("uri"): job for job, video in videos.items()}
    for job, request in extensions.items():
        if parent := parents.get((request.get("extend") or {}).get("uri")):
            connection.execute(text(_M004_CHANGE), {"parent": parent, "job": job})


_M004_EXTENSIONS = """SELECT id, request FROM jobs WHERE request LIKE '%"extend"%'"""
# The newest job comes last: servers can give an address again.
_M004_VIDEOS = "SELECT id, video FROM jobs WHERE video IS NOT NULL ORDER BY created_at"
_M004_CHANGE = "UPDATE jobs SET parent = :parent WHERE id = :job"


def _read_json(connection: Connection, query: str) -> dict[str, Any]:
    """Return the JSON in the second column of a query, by the first."""
    from sqlalchemy import text  # noqa: PLC0415 - see above

    return {job: json.loads(body) for job, body in connection.execute(text(query))}


def m005_upload(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN upload TEXT")


def m006_limits(connection: Connection) -> None:
    for statement in _M006.split(";"):
        connection.exec_driver_sql(statement)


_M006 = """
CREATE TABLE throttles (
    provider VARCHAR(64) NOT NULL, closed_until FLOAT NOT NULL, capacity FLOAT,
    PRIMARY KEY (provider)
);
CREATE TABLE sends (
    provider VARCHAR(64) NOT NULL, period BIGINT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (provider, period)
)
"""


def m007_length(connection: Connection) -> None:
    for column in ("video_s", "bought_s"):
        connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN {column} FLOAT")


def m008_clip(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN clip TEXT")


def m009_queue(connection: Connection) -> None:
    connection.exec_driver_sql(
        "CREATE INDEX jobs_planned ON jobs (provider, created_at) WHERE state = 'planned'"
    )
    if connection.dialect.name != "sqlite":  # one machine needs no queue
        # The queue owns jobs like a process that never dies.
        connection.exec_driver_sql("INSERT INTO workers VALUES ('queue', '', 0, 1e15)")


def m010_images(connection: Connection) -> None:
    kind = "BLOB" if connection.dialect.name == "sqlite" else "BYTEA"
    connection.exec_driver_sql(
        "CREATE TABLE images (sha256 VARCHAR(64) NOT NULL, data " + kind + " NOT NULL, "
        "PRIMARY KEY (sha256))"
    )


def m011_tags(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN tags TEXT")


def m012_columns(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN columns TEXT")


STEPS: tuple[Callable[[Connection], None], ...] = (
    m001_initial,
    m002_key_hash,
    m003_etag,
    m004_parent,
    m005_upload,
    m006_limits,
    m007_length,
    m008_clip,
    m009_queue,
    m010_images,
    m011_tags,
    m012_columns,
)


def step_names() -> set[str]:
    """Return the names of the steps. Ledgers store them, so a released step is never renamed."""
    return {step.__name__ for step in STEPS}


def has_all_migrations(connection: Connection) -> bool:
    """Return whether a ledger has the steps of this version, and no others."""
    from sqlalchemy import inspect, select  # noqa: PLC0415 - see above

    from veo.ledger import schema  # noqa: PLC0415

    if not inspect(connection).has_table("migrations"):
        return False
    names = connection.scalars(select(schema.migrations.c.name))
    return set(names) == step_names()


def apply_migrations(connection: Connection) -> None:
    """Apply the steps that this ledger lacks; raise a LedgerError if a newer version wrote it."""
    from sqlalchemy import insert, inspect, select  # noqa: PLC0415 - see above

    from veo.ledger import schema  # noqa: PLC0415

    if not inspect(connection).has_table("migrations"):
        schema.migrations.create(connection)
    applied = set(connection.scalars(select(schema.migrations.c.name)))
    if applied - step_names():
        raise LedgerError(
            "the ledger was written by a newer version of veo",
            hint="Upgrade veo-video.",
        )
    for step in STEPS:
        if step.__name__ not in applied:
            step(connection)
            row = {"name": step.__name__, "applied_at": time.time()}
            connection.execute(insert(schema.migrations).values(row))
