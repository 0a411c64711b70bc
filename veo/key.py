"""An API key that does not get into texts by accident."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A secret whose ``repr`` and ``str`` are harmless; only ``reveal`` returns it."""

    _value: str

    def reveal(self) -> str:
        """Return the key itself, for the header that carries it."""
        return self._value

    def fingerprint(self, salt: str) -> str:
        """Return a short hash that tells whether a later key is the same one.

        Args:
            salt: The id of the job, so that the hashes of two jobs cannot be compared. At most
                64 bytes.
        """
        digest = hashlib.blake2b(self._value.encode(), key=salt.encode(), digest_size=6)
        return digest.hexdigest()

    def redact(self, text: str) -> str:
        """Replace every occurrence of the key in a text, for errors and messages."""
        return text.replace(self._value, "[key]") if self._value else text

    def __repr__(self) -> str:
        return "Key([key])"

    __str__ = __repr__
