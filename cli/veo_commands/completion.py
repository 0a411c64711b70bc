"""Values that the shell completes; Typer selects those that start with the incomplete word."""

from __future__ import annotations

from contextlib import suppress

_MAX_JOBS = 50


def complete_providers() -> list[str]:
    """Return installed providers. They are not imported: their entry points name them."""
    from importlib.metadata import entry_points

    from veo.provider import GROUP

    return sorted(entry_points(group=GROUP).names)


def complete_models() -> list[str]:
    from veo.provider import installed_facts

    return sorted({name for facts in installed_facts().values() for name in facts.models})


def complete_jobs() -> list[str]:
    """Return the ids of the newest jobs of both ledgers, as ``--sandbox`` may follow."""
    from veo.config import read_config
    from veo.ledger import Ledger
    from veo.paths import ledger_folder

    ids: list[str] = []
    # A damaged or newer ledger completes nothing, and a shell must not print an error.
    with suppress(Exception):
        for sandbox in (False, True):
            home = ledger_folder(sandbox=sandbox)
            url = None if sandbox else read_config().config.ledger
            if url or home.is_dir():  # completion must not create a ledger
                ledger = Ledger(home, url=url, patience_s=0)
                ids += [record.id for record in ledger.list_jobs(limit=_MAX_JOBS)]
    return sorted(ids)


def complete_states() -> list[str]:
    from veo.ledger import State

    return sorted(State)
