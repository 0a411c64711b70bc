"""Items that wait to be planned: only so many leave as can be sent soon.

Planned jobs hold money and a row of the ledger; ten thousand of them would hold the money of all
ten thousand, and an interrupted batch would leave them behind.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from veo.batch.entry import Entry

PLANNED_AHEAD = 64


class Queue:
    """Waiting items, in order for each provider.

    Args:
        free: How many more jobs a provider could have in flight now; below zero when more are
            planned than it takes at once.
    """

    def __init__(self, free: Callable[[str], int]) -> None:
        self._free_slots = free
        self._waiting: dict[str, deque[Entry]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Entry]:
        return (entry for waiting in self._waiting.values() for entry in waiting)

    def add(self, entry: Entry) -> None:
        """Let an item wait behind the others of its provider."""
        self._waiting.setdefault(entry.new_job.provider, deque()).append(entry)

    def pop_next(self) -> list[Entry]:
        """The next items to plan, all of one provider; none while all have enough to do.

        They come in batches, half of what is planned ahead: a transaction for each single item
        would cost more than the item.
        """
        for provider, waiting in self._waiting.items():
            room = self._free_slots(provider) + PLANNED_AHEAD
            if waiting and room >= PLANNED_AHEAD // 2:
                return [waiting.popleft() for _ in range(min(room, len(waiting)))]
        return []

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Let items wait again, before all others of their provider."""
        for entry in reversed(list(entries)):
            self._waiting[entry.new_job.provider].appendleft(entry)

    def drain(self, provider: str | None = None) -> list[Entry]:
        """Take out all that wait, or those of one provider."""
        names = [name for name in self._waiting if provider in {None, name}]
        return [entry for name in names for entry in self._waiting.pop(name)]
