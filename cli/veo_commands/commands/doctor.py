"""``veo doctor``: check the installation. It spends no money, and prints no key."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from veo.bucket import BucketPath
from veo.errors import (
    ConfigError,
    DamagedLedgerError,
    LedgerError,
    OutputError,
    SetupError,
    UsageError,
    VeoError,
)
from veo.paths import ledger_folder, to_absolute
from veo.problems import Remedy
from veo_commands import doctor_checks, exit_codes
from veo_commands.commands.providers import find_key_variable
from veo_commands.doctor_checks import Check, Status, closest_folder, failed_check
from veo_commands.options import ConfigOptions, flag
from veo_commands.output import out, strip_control, wrap_words
from veo_commands.remedies import describe_problem
from veo_commands.session import load_config, open_client

if TYPE_CHECKING:
    from veo.client import Client
    from veo.config import Config

EXAMPLES = ("veo doctor", "veo doctor --ping")

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red", "off": "bright_black"}
_STATUS_WIDTH, _NAME_WIDTH = 4, 14


def doctor(
    ping: bool = flag(
        "Also check that hosts respond and providers accept the keys; free of charge."
    ),
    set_aside: bool = flag("Rename a damaged ledger, so that a new one can begin."),
    *,
    config: ConfigOptions,
) -> int:
    """Check configuration, ledger, disk, clock, sandbox and keys."""
    if set_aside:
        _set_aside_ledger(config)
    statuses = [_print_check(check) for check in _run_checks(config, ping=ping)]
    return exit_codes.SETUP if "fail" in statuses else exit_codes.DONE


def _set_aside_ledger(options: ConfigOptions) -> None:
    """Rename the ledger if it is damaged; a sound one is refused."""
    from veo.ledger import Ledger, files

    home = ledger_folder(sandbox=options.sandbox)
    damage: list[str] = []
    try:
        with closing(Ledger(home)) as ledger:
            damage = ledger.database.find_damage()
    except DamagedLedgerError as error:
        damage = [error.message]
    except LedgerError as error:
        raise UsageError(f"the ledger is not damaged: {error.message}", hint=error.hint) from None
    if not damage:
        raise UsageError(f"the ledger in {home} is not damaged")
    path = files.set_aside(home / "ledger.db")
    out.notice(f"the damaged ledger is now {path}", fg="yellow")
    out.hint("Its jobs may have cost money: SQLite's `.recover` command can read what is left.")


def _print_check(check: Check) -> Status:
    status = typer.style(f"{check.status:<{_STATUS_WIDTH}}", fg=_COLORS[check.status])
    lines = strip_control(check.message).splitlines() or [""]
    if check.hint and check.status in {"warn", "fail"}:
        lines.append(check.hint)
    indent = " " * (_STATUS_WIDTH + _NAME_WIDTH + 4)
    width = out.stdout_width() - len(indent)
    wrapped = [part for line in lines for part in wrap_words(line, width)]
    text = f"{status}  {check.name:<{_NAME_WIDTH}}  " + f"\n{indent}".join(wrapped)
    out.print_result(asdict(check), text)
    return check.status


def _run_checks(options: ConfigOptions, *, ping: bool) -> Iterator[Check]:
    """Yield each check when it is done. A check that needs something broken is omitted."""
    veo_version = version("veo-video")
    yield Check("software", "ok", f"veo {veo_version}, Python {platform.python_version()}")
    yield (configuration := _try_check("configuration", lambda: _check_files(options)))
    yield (ledger := _try_check("ledger", lambda: _check_ledger(options)))
    if configuration.status == "fail":
        return
    config = load_config(options).config
    yield _try_check("output", lambda: _check_output_dir(config.output_dir))
    yield _try_check("sandbox", lambda: _check_sandbox(config))
    if ledger.status != "fail":
        with open_client(options) as client:
            folders = (client.home, to_absolute(config.output_dir))
            yield doctor_checks.check_disk(folders)
            yield doctor_checks.check_clock(client)
            yield from doctor_checks.check_jobs(client)
            yield from _check_providers(client, ping=ping)


def _try_check(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", check())
    except VeoError as error:
        return failed_check(name, error)


def _check_files(options: ConfigOptions) -> str:
    from veo.config import config_files
    from veo.runtime.config_check import find_config_problems

    loaded = load_config(options)
    for problem in find_config_problems(loaded):
        # Another check reports an unknown default provider.
        if ": provider: " not in problem:
            raise ConfigError(problem, remedies=[Remedy("show_settings")])
    found = [str(path) for path in config_files(options.config) if path.is_file()]
    return ", ".join(found) or "no file; all settings have their defaults"


def _check_ledger(options: ConfigOptions) -> str:
    from veo.config import inspect_config
    from veo.ledger import Ledger

    home = ledger_folder(sandbox=options.sandbox)
    # As far as it is valid: another check reports the rest.
    url = None if options.sandbox else inspect_config(options.config).config.ledger
    with closing(Ledger(home, url=url)) as ledger:  # makes the folder, and applies migrations
        damage = [] if url else ledger.database.find_damage()
    if url:
        return str(url)
    if damage:
        raise DamagedLedgerError(f"the ledger in {home} is damaged: {damage[0]}")
    # A ledger opens without permission to write, for commands that only read.
    if not os.access(home, os.W_OK):
        raise LedgerError(f"cannot write {home}", hint="Set VEO_HOME to another folder.")
    return str(home)


def _check_output_dir(folder: Path) -> str:
    path = to_absolute(folder)
    if isinstance(path, BucketPath):
        path.check_writable()
        return str(path)
    parent = closest_folder(path)
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"cannot write {parent}", hint="Set output_dir to another folder.")
    return str(path)


def _check_sandbox(config: Config) -> str:
    from veo.runtime.sandbox import start_sandbox

    with tempfile.TemporaryDirectory() as folder, start_sandbox(config, Path(folder)):
        return f"starts, profile {config.sandbox.profile}"


def _check_providers(client: Client, *, ping: bool) -> Iterator[Check]:
    from veo.provider import find_facts

    names, default = list(client.providers()), client.config.provider
    for name in names:
        yield (check := _check_provider(client, name))
        if ping and check.status == "ok":
            facts = client.connect(name).facts
            # A provider that the user has not set up is not asked.
            if name == default or find_key_variable(facts, client.config):
                if not out.sandbox:
                    url = client.config.for_provider(name).base_url or facts.base_url
                    yield from doctor_checks.check_host(name, url)
                yield _ping_provider(client, name)
    if default in names:
        yield from _check_model(client)
    else:
        yield _try_check(default, lambda: find_facts(default).title)


def _check_provider(client: Client, name: str) -> Check:
    """Check what the first request of a run would check, without sending one."""
    from veo.provider import CredentialUser

    is_default = name == client.config.provider
    try:
        handle = client.connect(name)
        facts = handle.facts
        # A search for credentials asks the network, so not for a provider that nobody set up.
        if isinstance(handle.provider, CredentialUser) and (
            is_default or name in client.config.providers
        ):
            handle.provider.check_credentials()
    except VeoError as error:
        check = failed_check(name, error)
        message = check.message.removeprefix(f"{name} ")  # the name has a column of its own
        return replace(check, status="fail" if is_default else "off", message=message)
    default = "; default provider" if is_default else ""
    if out.sandbox:
        return Check(name, "ok", f"has the key of the sandbox{default}")
    variable = find_key_variable(facts, client.config)
    if not variable and not is_default and name not in client.config.providers:
        return Check(name, "off", "no key is set; credentials of this machine are not looked for")
    key = f"{variable} is set" if variable else "credentials of this machine were found"
    return Check(name, "ok", f"{key}{default}")


def _ping_provider(client: Client, name: str) -> Check:
    from veo.provider import Pingable

    provider = client.connect(name).provider
    if not isinstance(provider, Pingable):
        return Check(name, "off", "offers no request that is free of charge")
    check = _try_check(name, provider.ping)
    # A rejected key of a provider that is not the default stops no command without -p.
    is_minor = check.status == "fail" and name != client.config.provider
    return replace(check, status="warn") if is_minor else check


def _check_model(client: Client) -> Iterator[Check]:
    """Check that the default provider accepts a plain request."""
    try:
        plan = client.plan("a lion")  # any prompt: a plan sends nothing
    except (UsageError, SetupError) as error:
        yield failed_check("model", error)
        return
    for warning in plan.warnings:
        yield Check("model", "warn", describe_problem(warning))
    if not plan.warnings:
        yield Check("model", "ok", plan.model.name)
