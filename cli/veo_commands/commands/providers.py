"""``veo providers``: list the installed providers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from veo.money import CHARGE_TIMES
from veo_commands.options import ConfigOptions
from veo_commands.output import Cell, out
from veo_commands.session import load_config

if TYPE_CHECKING:
    from veo.config import Config
    from veo.model import ProviderFacts

EXAMPLES = ("veo providers",)

_TITLES = ("PROVIDER", "BILLED", "KEY", "ADDRESS", "DESCRIPTION")


def providers(*, config: ConfigOptions) -> None:
    """List providers, how they bill, and whether a key is set."""
    from veo.provider import installed_facts

    settings = load_config(config).config
    rows = [(facts, _provider_json(facts, settings)) for facts in installed_facts().values()]
    if out.options.json or out.options.quiet:
        for each, body in rows:
            out.print_result(body, each.name)
    else:
        out.print_table(_TITLES, [_provider_row(*row) for row in rows])
        out.info("* is the default provider. `veo models` shows what each one offers.", dim=True)


def find_key_variable(facts: ProviderFacts, config: Config) -> str | None:
    """Return the environment variable that holds the provider's key, if one does."""
    names = key_variables(facts, config)
    # An empty variable counts as not set, as it does when the key is read.
    return next((name for name in names if os.environ.get(name, "").strip()), None)


def key_variables(facts: ProviderFacts, config: Config) -> tuple[str, ...]:
    override = config.for_provider(facts.name).api_key_env
    return (override,) if override else facts.key_env


def _provider_json(facts: ProviderFacts, config: Config) -> dict[str, Any]:
    prices = [model.price for model in facts.models.values()]
    return {
        **facts.replace(models={}).to_json(),
        "base_url": config.for_provider(facts.name).base_url or facts.base_url,
        "billed": sorted({f"per {price.per}, {CHARGE_TIMES[price.charged]}" for price in prices}),
        "key_variables": list(key_variables(facts, config)),
        "key_set": find_key_variable(facts, config),
        "configured": facts.name == config.provider,
        "models": list(facts.models),
    }


def _provider_row(facts: ProviderFacts, body: dict[str, Any]) -> list[Any]:
    variable = body["key_set"]
    missing = f"{' or '.join(body['key_variables'])} is not set"
    return [
        f"{facts.name} *" if body["configured"] else facts.name,
        ", ".join(body["billed"]),
        Cell(f"{variable} is set", "green")
        if variable
        else ("not required" if facts.key_optional else missing),
        body["base_url"],
        facts.title,
    ]
