"""Keys in the keyring of this machine, by the name of their environment variable.

The package ``keyring`` is an extra. Without it, or where no keyring is unlocked, there is none.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_SERVICE = "veo"


def read_key(variable: str) -> str | None:
    """Return a stored key, or None."""
    try:
        keyring: Any = import_module("keyring")
        key = keyring.get_password(_SERVICE, variable)
    except Exception:  # noqa: BLE001 - backends raise errors of many types; the variable remains
        return None
    return str(key) if key else None


def store_key(variable: str, key: str) -> bool:
    """Store a key; return whether there is a keyring that keeps it."""
    try:
        import_module("keyring").set_password(_SERVICE, variable, key)
    except Exception:  # noqa: BLE001 - as above
        return False
    return read_key(variable) == key
