"""Locks for what must not happen in two transactions at a time."""

from __future__ import annotations

import zlib

from sqlalchemy import Connection, text


def lock(connection: Connection, name: str) -> None:
    """Wait until no other transaction holds a lock of this name; hold it until this one ends.

    On SQLite one transaction writes at a time, which is lock enough.
    """
    if connection.dialect.name == "postgresql":
        # Locks have numbers; two names with the same one only wait for each other.
        number = {"number": zlib.crc32(f"veo {name}".encode())}
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), number)
