"""What the shell may complete. It never fails, and never says more than the values."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def complete_providers(incomplete: str) -> list[str]:
    """Names of installed providers."""
    from importlib.metadata import entry_points

    from veo.provider import GROUP

    return _fitting(incomplete, entry_points(group=GROUP).names)


def complete_models(incomplete: str) -> list[str]:
    """Names of models of every provider."""
    from veo.provider import installed_providers

    return _fitting(
        incomplete, {name for cls in installed_providers().values() for name in cls.facts.models}
    )


def complete_jobs(incomplete: str) -> list[str]:
    """Ids of the newest jobs, of the sandbox too."""
    from veo.ledger import Ledger
    from veo.paths import ledger_dir

    found: list[str] = []
    with suppress(Exception):  # a shell that completes must not print errors
        for sandbox in (False, True):
            home = ledger_dir(sandbox=sandbox)
            if home.is_dir():
                found += [record.id for record in Ledger(home).list_jobs(limit=50)]
    return _fitting(incomplete, found)


def complete_states(incomplete: str) -> list[str]:
    """The states of a job's life."""
    from veo.ledger import State

    return _fitting(incomplete, State)


def _fitting(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
