"""The models that providers list at their APIs, stored for a day."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from veo.files.atomic import open_atomic
from veo.text.parsing import parse_json

MAX_AGE_S = 86_400.0  # models appear and end over weeks, and a list is free


@dataclass(frozen=True, slots=True)
class Offer:
    """The names that a provider listed for the configured key, and when (Unix seconds)."""

    at: float
    names: tuple[str, ...]


class OfferStore:
    """The newest list of each provider, in one file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offers: dict[str, Offer] | None = None

    def save(self, provider: str, names: Iterable[str]) -> Offer:
        """Store a list as of now, and return it."""
        offer = Offer(time.time(), tuple(sorted(set(names))))
        # Read again: another process may have stored the list of another provider.
        self._offers = self._read() | {provider: offer}
        body = {name: asdict(each) for name, each in self._offers.items()}
        with open_atomic(self._file) as file:
            file.write(json.dumps(body).encode())
        return offer

    def recent_names(self) -> dict[str, Collection[str]]:
        """Return the names by provider, without lists that are older than a day."""
        if self._offers is None:
            self._offers = self._read()
        oldest = time.time() - MAX_AGE_S
        return {name: offer.names for name, offer in self._offers.items() if offer.at >= oldest}

    def _read(self) -> dict[str, Offer]:
        try:
            body = parse_json(self._file.read_bytes())
            return {
                name: Offer(float(each["at"]), tuple(map(str, each["names"])))
                for name, each in body.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}  # no list yet, or an unreadable one, which the next list replaces
