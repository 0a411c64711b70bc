"""What arrived: every request of a wire without its images, and every leaked key."""

import json
from collections import deque
from typing import Any

from veo_sandbox.state.store import Store

# Bounds the memory of a sandbox that runs for days.
_MAX_ENTRIES = 10_000


class RequestLog:
    """The last requests of this process, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_MAX_ENTRIES)

    def add_entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Add an entry, dropping the oldest when there are too many; return it for its status."""
        self._entries.append(entry)
        return entry

    def list_entries(self) -> list[dict[str, Any]]:
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()


class LeakLog:
    """Requests that carried a key to the files port, where no client may send one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_entry(self, entry: dict[str, Any]) -> None:
        """Save an entry in the home."""
        self._store.execute("INSERT INTO leaks (body) VALUES (?)", json.dumps(entry))

    def list_entries(self) -> list[dict[str, Any]]:
        """Return all entries of this home, oldest first."""
        return [
            json.loads(row[0])
            for row in self._store.fetch_rows("SELECT body FROM leaks ORDER BY n")
        ]
