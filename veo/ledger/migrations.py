"""Numbered steps from an empty database to today's tables, applied in order, each once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import insert, inspect, select

from veo.errors import LedgerError
from veo.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection


def m001_initial(connection: Connection) -> None:
    """Jobs, their history, the workers."""
    tables = [schema.jobs, schema.events, schema.workers]
    schema.metadata.create_all(connection, tables=tables)


STEPS: tuple[Callable[[Connection], None], ...] = (m001_initial,)


def apply_migrations(connection: Connection) -> None:
    """Bring a ledger up to today's tables, inside the caller's transaction.

    Raises:
        LedgerError: The ledger was written by a newer version.
    """
    names = [step.__name__ for step in STEPS]
    if not inspect(connection).has_table("migrations"):
        schema.migrations.create(connection)
    applied = set(connection.scalars(select(schema.migrations.c.name)))
    if applied - set(names):
        raise LedgerError(
            "the ledger was written by a newer version of veo", hint="Upgrade: veo-video."
        )
    for step in STEPS:
        if step.__name__ not in applied:
            step(connection)
            row = {"name": step.__name__, "applied_at": time.time()}
            connection.execute(insert(schema.migrations).values(row))
