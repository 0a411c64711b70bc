"""The tables as they are today, with types that SQLite and Postgres share.

A new column also needs a field in ``Record`` and a step in ``migrations``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("run", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner", String(64)),
    Column("request", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("output", Text, nullable=False),
    Column("force", Boolean, nullable=False),
    Column("quote", Text, nullable=False),
    Column("task_id", Text),
    Column("video", Text),
    Column("error", Text),
    Column("reserved", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("doubtful", BigInteger, nullable=False),
    Column("certain", Boolean, nullable=False),
    Column("submits", Integer, nullable=False),
    Column("polls", Integer, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("submitted_at", Float),
    Column("ready_at", Float),
    Column("ended_at", Float),
    Column("bytes", BigInteger),
    Column("sha256", String(64)),
    Column("tag", Text),
    Index("jobs_run", "run"),
    Index("jobs_state", "state"),
    Index("jobs_created", "created_at"),
    Index("jobs_fingerprint", "fingerprint"),
)

events = Table(
    "events",
    metadata,
    # SQLite numbers the rows of a column by itself only if its type is INTEGER.
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("job", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("at", Float, nullable=False),
    Column("owner", String(64)),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", Text),
    Column("reserved", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("doubtful", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Index("events_job", "job"),
)

# One row per process, not per job: a heartbeat is one small write for any number of jobs.
workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("seen_at", Float, nullable=False),
)

migrations = Table(
    "migrations",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("applied_at", Float, nullable=False),
)
