"""What ``veo doctor`` looks at. Nothing here spends money, and no key is ever printed."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from veo.errors import LedgerError, OutputError, SetupError, UsageError, VeoError
from veo_commands.commands.providers import key_set
from veo_commands.output import out
from veo_commands.session import load_config, open_client, start_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from veo.client import Client
    from veo.config import Config
    from veo_commands.options import ConfigOptions


Status = Literal["ok", "warn", "fail", "off"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it was.
        status: ``off`` is no trouble: not set up, and not needed.
        message: What was found.
        hint: What to do about it.
    """

    name: str
    status: Status
    message: str
    hint: str | None = None


def examine(place: ConfigOptions, *, ping: bool) -> Iterator[Check]:
    """Every check, as it is made; what needs something broken is left out."""
    yield Check("software", "ok", _software())
    yield (configuration := _tried("configuration", lambda: _files(place)))
    yield (ledger := _tried("ledger", lambda: _ledger(place)))
    if configuration.status == "fail":
        return
    config = load_config(place).config
    yield _tried("output", lambda: _output(config.output_dir))
    yield _tried("sandbox", lambda: _sandbox(config))
    if ledger.status != "fail":
        with open_client(place) as client:
            yield from _jobs(client)
            yield from _providers(client, ping=ping)


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except VeoError as error:
        return Check(name, "fail", error.message, _advice(error))


def _software() -> str:
    from importlib.metadata import version

    return f"veo {version('veo-video')}, Python {platform.python_version()}"


def _files(place: ConfigOptions) -> str:
    from veo.config import config_files

    load_config(place)
    found = [str(path) for path in config_files(place.config) if path.is_file()]
    return ", ".join(found) or "no file; everything is at its default"


def _ledger(place: ConfigOptions) -> str:
    from veo.ledger import Ledger
    from veo.paths import ledger_dir

    home = ledger_dir(sandbox=place.sandbox)
    Ledger(home).close()
    if not os.access(home, os.W_OK):
        raise LedgerError(f"{home} cannot be written", hint="Set VEO_HOME to another folder.")
    return str(home)


def _output(folder: Path) -> str:
    from veo.paths import to_absolute

    place = to_absolute(folder)
    there = next(path for path in (place, *place.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise OutputError(f"{there} cannot be written", hint="output_dir names another folder.")
    return str(place)


def _sandbox(config: Config) -> str:
    with tempfile.TemporaryDirectory() as folder, start_sandbox(config, Path(folder)):
        return f"starts, profile {config.sandbox.profile}"


def _jobs(client: Client) -> Iterator[Check]:
    from veo.ledger import State

    if unknown := len(client.ledger.list_jobs(states=[State.UNKNOWN])):
        message = f"{unknown} of unknown outcome: perhaps paid for"
        yield Check("jobs", "warn", message, f"{out.command('resume')} tells what can be done.")
    if unfinished := len(client.ledger.list_unfinished()):
        yield Check("jobs", "ok", f"{unfinished} unfinished; {out.command('resume')} carries on")


def _providers(client: Client, *, ping: bool) -> Iterator[Check]:
    from veo.provider import find_provider

    names, chosen = list(client.providers()), client.config.provider
    for name in names:
        yield (check := _provider(client, name))
        if ping and check.status == "ok" and _meant(client, name):
            yield _pinged(client, name)
    if chosen in names:
        yield from _model(client)
    else:
        yield _tried(chosen, lambda: find_provider(chosen).facts.title)


def _provider(client: Client, name: str) -> Check:
    chosen = name == client.config.provider
    try:
        facts = client.connect(name).facts
    except VeoError as error:
        message = error.message.removeprefix(f"{name} ")
        return Check(name, "fail" if chosen else "off", message, _advice(error))
    variable = key_set(facts, client.config)
    found = f"{variable} is set" if variable else "has no key set, and can do without"
    return Check(name, "ok", f"{found}{'; used by default' if chosen else ''}")


def _meant(client: Client, name: str) -> bool:
    """Whether the user has set this provider up."""
    facts = client.connect(name).facts
    return name == client.config.provider or key_set(facts, client.config) is not None


def _pinged(client: Client, name: str) -> Check:
    from veo.provider import Pingable

    provider = client.connect(name).provider
    if not isinstance(provider, Pingable):
        return Check(name, "off", "cannot be asked free of charge")
    check = _tried(name, provider.ping)
    mild = check.status == "fail" and name != client.config.provider
    return replace(check, status="warn") if mild else check


def _model(client: Client) -> Iterator[Check]:
    """Whether the configured provider would take a plain request, and with which remarks."""
    try:
        plan = client.plan("a lion")
    except (UsageError, SetupError) as error:
        yield Check("model", "fail", error.message, _advice(error))
        return
    for warning in plan.warnings:
        yield Check("model", "warn", warning)
    if not plan.warnings:
        yield Check("model", "ok", f"{plan.model.name}")


def _advice(error: VeoError) -> str | None:
    return " ".join(out.advice(error)) or None
