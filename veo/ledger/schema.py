"""The tables as they are today, with types that SQLite and Postgres share.

A new column also needs a field in ``Record`` and a step in ``migrations``.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("output", sa.Text, nullable=False),
    sa.Column("force", sa.Boolean, nullable=False),
    sa.Column("quote", sa.Text, nullable=False),
    sa.Column("task_id", sa.Text),
    sa.Column("video", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("charged", sa.BigInteger, nullable=False),
    sa.Column("doubtful", sa.BigInteger, nullable=False),
    sa.Column("certain", sa.Boolean, nullable=False),
    sa.Column("submits", sa.Integer, nullable=False),
    sa.Column("polls", sa.Integer, nullable=False),
    sa.Column("not_before", sa.Float, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("submitted_at", sa.Float),
    sa.Column("ready_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("sha256", sa.String(64)),
    sa.Column("etag", sa.Text),
    sa.Column("key_hash", sa.String(16)),
    sa.Column("parent", sa.String(32)),
    sa.Column("upload", sa.Text),
    sa.Column("video_s", sa.Float),
    sa.Column("bought_s", sa.Float),
    sa.Column("clip", sa.Text),
    sa.Column("tags", sa.Text),
    sa.Column("columns", sa.Text),
    sa.Index("jobs_run", "run"),
    sa.Index("jobs_state", "state"),
    sa.Index("jobs_created", "created_at"),
    sa.Index("jobs_fingerprint", "fingerprint"),
    # The oldest jobs of a queue, which may have a hundred thousand. ``postgres`` adds the same
    # condition for its dialect, whose import would slow down every command.
    sa.Index("jobs_planned", "provider", "created_at", sqlite_where=sa.text("state = 'planned'")),
    sa.Index("jobs_parent", "parent"),
)

events = sa.Table(
    "events",
    metadata,
    # SQLite numbers the rows of a column by itself only if its type is INTEGER.
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("job", sa.String(32), sa.ForeignKey("jobs.id"), nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("owner", sa.String(64)),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("message", sa.Text),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("charged", sa.BigInteger, nullable=False),
    sa.Column("doubtful", sa.BigInteger, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Index("events_job", "job"),
)

# One row per process, not per job: a heartbeat is one small write for any number of jobs.
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),
)

# How far a provider is slowed down after it was busy.
throttles = sa.Table(
    "throttles",
    metadata,
    sa.Column("provider", sa.String(64), primary_key=True),
    sa.Column("closed_until", sa.Float, nullable=False),
    sa.Column("capacity", sa.Float),
)

# Paid requests of the last minute, counted by periods; see ``limits``.
sends = sa.Table(
    "sends",
    metadata,
    sa.Column("provider", sa.String(64), primary_key=True),
    sa.Column("period", sa.BigInteger, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)

# Images of requests, for workers on other machines; a ledger in a file has them beside it.
images = sa.Table(
    "images",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

migrations = sa.Table(
    "migrations",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("applied_at", sa.Float, nullable=False),
)
