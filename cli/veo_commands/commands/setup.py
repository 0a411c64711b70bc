"""``veo setup``: choose a provider, store or name its key, check it, and write a veo.toml."""

from __future__ import annotations

import os
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from veo.errors import UsageError, VeoError
from veo_commands import exit_codes
from veo_commands.commands.config import write_template
from veo_commands.commands.providers import find_key_variable, key_variables
from veo_commands.confirm import is_interactive
from veo_commands.options import ConfigOptions, flag, provider_option
from veo_commands.output import out
from veo_commands.session import load_config

if TYPE_CHECKING:
    from veo.config import Config
    from veo.model import ProviderFacts

EXAMPLES = ("veo setup -p gemini",)


def setup(
    provider: str | None = provider_option("Provider to use; without it the command asks."),
    force: bool = flag("Overwrite an existing veo.toml."),
    *,
    config: ConfigOptions,
) -> int:
    """Choose a provider, check its key, and write a veo.toml."""
    settings = load_config(config).config
    facts = _choose_provider(provider, settings)
    key = _ask_key(facts, settings)
    code = _check_key(facts, settings, key)
    file = config.config or Path("veo.toml")
    if file.exists() and not force:
        out.info(f"{file} exists already and stays as it is; --force writes a new one.", dim=True)
    else:
        write_template(file, force=force, provider=facts.name)
        out.info(f"wrote {file}: every setting is explained in it", dim=True)
    if code == exit_codes.DONE:
        out.info('Ready. Try: veo generate "A lion wakes up" --dry-run')
    return code


def _choose_provider(name: str | None, settings: Config) -> ProviderFacts:
    from veo.provider import find_facts, installed_facts

    if name:
        return find_facts(name)
    providers = list(installed_facts().values())
    if not is_interactive():
        return find_facts(settings.provider)
    for number, facts in enumerate(providers, 1):
        out.notice(f"{number}  {facts.name:<16}{facts.title}")
    names = [facts.name for facts in providers]
    default = names.index(settings.provider) + 1 if settings.provider in names else 1
    choice = typer.prompt("Provider", default=str(default), err=True)
    if choice.isdecimal() and 1 <= int(choice) <= len(providers):
        return providers[int(choice) - 1]
    return find_facts(choice)


def _ask_key(facts: ProviderFacts, settings: Config) -> str | None:
    """Return a key that the user types; None if one is set already, or none is needed."""
    from veo.config.keystore import store_key

    if variable := find_key_variable(facts, settings):
        out.notice(f"{variable} is set")
        return None
    variable = key_variables(facts, settings)[0]
    if out.sandbox or not is_interactive():
        return None  # the sandbox needs none, and the check names a variable that is missing
    out.notice(facts.key_help)
    key = getpass(f"Key, or Enter to set {variable} later: ").strip()
    if not key:
        return None
    if store_key(variable, key):
        out.notice(f"stored in the keyring of this machine as {variable}")
    else:
        line = f"setx {variable} KEY" if os.name == "nt" else f"export {variable}=KEY"
        out.notice(f"The key is not stored. Set it in your shell's profile: {line}")
        out.hint("pip install 'veo-video[keyring]' lets `veo setup` store it.")
    return key


def _check_key(facts: ProviderFacts, settings: Config, key: str | None) -> int:
    """Ask the provider whether it accepts the key, which is free; return the exit code."""
    from veo.client import Client
    from veo.provider import Pingable

    try:
        with Client(settings, provider=facts.name, api_key=key, sandbox=out.sandbox) as client:
            connected = client.connect(facts.name).provider
            if isinstance(connected, Pingable):
                out.notice(f"{facts.name}: {connected.ping()}", fg="green")
    except UsageError:
        raise
    except VeoError as error:
        out.print_error(error)
        return error.exit_code
    return exit_codes.DONE
