"""List the jobs of a ledger in a file without SQLAlchemy, whose import takes half of ``veo jobs``.

Only this one query, and only of a ledger that needs nothing else when it is opened.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from veo.ledger import migrations, spill
from veo.ledger.parse import read_row

if TYPE_CHECKING:
    from veo.ledger.record import Record

# As ``spending.list_newest`` without conditions; a test compares them.
_QUERY = "SELECT * FROM jobs ORDER BY created_at DESC, id LIMIT ?"
_NO_LIMIT = -1  # to SQLite


def list_newest(folder: Path, limit: int | None = None) -> list[Record] | None:
    """Return the newest jobs; None if a ``Ledger`` must open the database.

    That is so if it is not there, was written by another version, cannot be read, or lies beside
    tasks that it could not store. ``Ledger`` then repairs it, or reports what is wrong.
    """
    path = folder / "ledger.db"
    if not path.is_file() or spill.has_entries(folder):
        return None
    try:
        # rw: unlike ro it removes the files of the log at the end; unlike rwc it makes no database.
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            steps = {row["name"] for row in connection.execute("SELECT name FROM migrations")}
            if steps != migrations.step_names():
                return None
            found = connection.execute(_QUERY, [_NO_LIMIT if limit is None else limit]).fetchall()
    except sqlite3.Error:
        return None
    records = (read_row(dict(row)) for row in found)
    return [record for record in records if record]
