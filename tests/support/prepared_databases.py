"""New databases without the work that is the same for all of them; the tests open thousands."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url

from veo.ledger import database, migrations

if TYPE_CHECKING:
    import pytest
    from sqlalchemy import Engine


def share_compiled_statements() -> None:
    """Give all ledgers in files one cache of compiled statements, from now on.

    Each has a cache of its own, and compiling its statements is most of the work of a short life.
    """
    create_engine = database.create_engine
    engines: list[Engine] = []

    def create(*args: Any, **options: Any) -> Engine:
        engine = create_engine(*args, **options)
        engines[:] = engines or [engine]
        engine.dialect, engine._compiled_cache = engines[0].dialect, engines[0]._compiled_cache
        return engine

    database.create_engine = create


def copy_new_ledgers(patch: pytest.MonkeyPatch) -> None:
    """Have every new ledger in a file begin as a copy of one; its migrations take 15 ms.

    ``test_migrations`` runs them.
    """
    create_engine = database.create_engine
    is_making = False

    @cache
    def read_new(_steps: object) -> bytes:
        nonlocal is_making
        is_making = True
        with tempfile.TemporaryDirectory() as folder:
            made = database.Database(Path(folder))
            made.close()
            is_making = False
            return made.path.read_bytes()

    def create(url: str, **options: Any) -> Engine:
        path = Path(str(make_url(url).database))
        if not is_making and path.is_file() and not path.stat().st_size:
            path.write_bytes(read_new(migrations.STEPS))
        return create_engine(url, **options)

    patch.setattr(database, "create_engine", create)


def copy_new_sandboxes(patch: pytest.MonkeyPatch) -> None:
    """Have every new sandbox begin with a copy of an empty database, whose tables take 2 ms."""
    from veo_sandbox.state.store import Store

    open_store = Store.__init__

    @cache
    def read_new() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            made = object.__new__(Store)
            open_store(made, Path(folder))
            made.close()
            return (Path(folder) / "sandbox.db").read_bytes()

    def open_new_store(self: Store, home: Path) -> None:
        if not home.exists():
            home.mkdir(parents=True)
            (home / "sandbox.db").write_bytes(read_new())
        open_store(self, home)

    patch.setattr(Store, "__init__", open_new_store)
