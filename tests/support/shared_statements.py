"""One cache of compiled SQL statements for all ledgers of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo.ledger import database

if TYPE_CHECKING:
    from sqlalchemy import Engine


def share_compiled_statements() -> None:
    """Give all ledgers in files one cache, from now on.

    Each has a cache of its own, and the tests open thousands of ledgers; compiling its statements
    is most of the work of a short life.
    """
    create_engine = database.create_engine
    engines: list[Engine] = []

    def create(*args: Any, **options: Any) -> Engine:
        engine = create_engine(*args, **options)
        engines[:] = engines or [engine]
        engine.dialect, engine._compiled_cache = engines[0].dialect, engines[0]._compiled_cache
        return engine

    database.create_engine = create
