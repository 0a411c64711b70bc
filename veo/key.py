"""An API key that cannot be printed by accident."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A secret with a harmless ``repr`` and ``str``; only ``reveal`` gives the text away."""

    _value: str

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self._value

    def redact(self, text: str) -> str:
        """The text with every occurrence of the key replaced, for errors and messages."""
        return text.replace(self._value, "[key]") if self._value else text

    def __repr__(self) -> str:
        return "Key([key])"

    __str__ = __repr__
