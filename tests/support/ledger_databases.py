"""Runs tests on both databases that a ledger can be on: a file, and Postgres."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from postgres_server import PostgresServer, start_server

from veo.config.ledger_url import LedgerUrl
from veo.ledger import ledger
from veo.ledger.postgres import PostgresDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres for all tests of this process; each test uses a schema of its own."""
    with start_server() as server:
        yield server


def folder_url(server: PostgresServer, folder: Path) -> LedgerUrl:
    """Return the URL of a schema that stands for the file in a folder."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return LedgerUrl.parse(server.schema_url(f"t{name}"))


FolderUrl = Callable[[Path], str | None]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FolderUrl:
    """Have every ledger of this process in a file, then in Postgres.

    Gives the function that returns the URL for the ledger of a folder, None for a file.
    """
    if request.param == "sqlite":
        return lambda _: None
    server: PostgresServer = request.getfixturevalue("postgres")
    monkeypatch.setattr(
        ledger, "open_database", lambda folder, *_: PostgresDatabase(folder_url(server, folder))
    )
    return lambda folder: folder_url(server, folder).reveal()
