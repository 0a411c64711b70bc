"""The URL of a ledger on Postgres, which may hold a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_SCHEME = re.compile(r"postgres(ql)?://")
# The last @ ends the password, as in every parser of URLs.
_PASSWORD = re.compile(r"(://[^/?#]*?:)([^/?#]*)(@)")
_QUERY_PASSWORD = re.compile(r"([?&]password=)([^&#]*)")


@dataclass(frozen=True, slots=True, repr=False)
class LedgerUrl:
    """The URL of a Postgres database. Its ``repr`` and ``str`` show no password."""

    _value: str

    @classmethod
    def parse(cls, value: str) -> LedgerUrl:
        """Return the URL; raise a ValueError, without the value, if it is for something else."""
        if not _SCHEME.match(value):
            raise ValueError("must be a URL like postgresql://user@host/database")
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> dict[str, Any]:
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": cls._validate},
            "json_schema_input_schema": {"type": "str"},
            "serialization": {"type": "to-string"},
        }

    @classmethod
    def _validate(cls, value: Any) -> LedgerUrl:
        return value if isinstance(value, cls) else cls.parse(str(value))

    def reveal(self) -> str:
        """Return the URL with its password, for the driver; ``postgresql://`` in any case."""
        return _SCHEME.sub("postgresql://", self._value, count=1)

    def redact(self, text: str) -> str:
        """Replace the password in a text."""
        for pattern in (_PASSWORD, _QUERY_PASSWORD):
            for found in pattern.finditer(self._value):
                for password in {found[2], unquote(found[2])} - {""}:
                    text = text.replace(password, "***")
        return text

    def __str__(self) -> str:
        hidden = _PASSWORD.sub(r"\1***\3", self.reveal())
        return _QUERY_PASSWORD.sub(r"\1***", hidden)

    def __repr__(self) -> str:
        return f"LedgerUrl({self})"
