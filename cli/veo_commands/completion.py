"""Values that the shell completes. Errors are suppressed: a shell must not print them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_JOBS = 50


def complete_providers(incomplete: str) -> list[str]:
    """Return installed providers. They are not imported: their entry points name them."""
    from importlib.metadata import entry_points

    from veo.provider import GROUP

    return _filter_by_prefix(incomplete, entry_points(group=GROUP).names)


def complete_models(incomplete: str) -> list[str]:
    """Return the models of all providers."""
    from veo.provider import installed_providers

    providers = installed_providers().values()
    return _filter_by_prefix(incomplete, {name for each in providers for name in each.facts.models})


def complete_jobs(incomplete: str) -> list[str]:
    """Return the ids of the newest jobs of both ledgers, as ``--sandbox`` may follow."""
    from veo.ledger import Ledger
    from veo.paths import ledger_dir

    ids: list[str] = []
    with suppress(Exception):  # a damaged or newer ledger completes nothing
        for sandbox in (False, True):
            home = ledger_dir(sandbox=sandbox)
            if home.is_dir():  # completion must not create a ledger
                ids += [record.id for record in Ledger(home).list_jobs(limit=_MAX_JOBS)]
    return _filter_by_prefix(incomplete, ids)


def complete_states(incomplete: str) -> list[str]:
    """Return the states that a job can have."""
    from veo.ledger import State

    return _filter_by_prefix(incomplete, State)


def _filter_by_prefix(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
