"""What arrived: every request of a wire without its pictures, and every leaked key."""

import json
from collections import deque
from typing import Any

from veo_sandbox.state.store import Store

_MAX_ENTRIES = 10_000


class RequestLog:
    """The last requests of this process, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_MAX_ENTRIES)

    def add_entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Keep one, and give it back to be filled in; the oldest goes when there are too many."""
        self._entries.append(entry)
        return entry

    def list_entries(self) -> list[dict[str, Any]]:
        """All that are kept."""
        return list(self._entries)

    def clear(self) -> None:
        """Forget them."""
        self._entries.clear()


class LeakLog:
    """Requests that carried a key to the files port, where no key has business."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_entry(self, entry: dict[str, Any]) -> None:
        """Keep one for good."""
        self._store.execute("INSERT INTO leaks (body) VALUES (?)", json.dumps(entry))

    def list_entries(self) -> list[dict[str, Any]]:
        """All of this home, oldest first."""
        return [
            json.loads(row[0])
            for row in self._store.fetch_rows("SELECT body FROM leaks ORDER BY n")
        ]
