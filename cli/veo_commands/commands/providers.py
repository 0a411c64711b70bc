"""``veo providers``: the routes to Veo that are installed."""

from typing import TYPE_CHECKING, Any

from veo_commands.options import ConfigOptions
from veo_commands.output import out
from veo_commands.session import load_config

if TYPE_CHECKING:
    from veo.config import Config
    from veo.model import Facts, Price

_TITLES = ("PROVIDER", "BILLED", "KEY", "ADDRESS", "WHAT IT IS")


def providers(*, place: ConfigOptions) -> None:
    """List providers, how they bill, and whether a key is set."""
    from veo.provider import installed_providers

    config = load_config(place).config
    facts = [cls.facts for cls in installed_providers().values()]
    if out.options.json or out.options.quiet:
        for row in facts:
            out.print_result(described(row, config), row.name)
    else:
        out.print_table(_TITLES, [_row(row, config) for row in facts])
        out.info(
            "* is used where no -p names another. `veo models` shows what each can do.", dim=True
        )


def described(facts: "Facts", config: "Config") -> dict[str, Any]:
    """A provider as ``--json`` prints it."""
    chosen = config.for_provider(facts.name)
    return {
        **facts.model_dump(mode="json", exclude={"models"}),
        "base_url": chosen.base_url or facts.base_url,
        "billed": sorted({_billed(model.price) for model in facts.models.values()}),
        "key_variables": list(key_names(facts, config)),
        "key_set": key_set(facts, config),
        "configured": facts.name == config.provider,
        "models": list(facts.models),
    }


def key_names(facts: "Facts", config: "Config") -> tuple[str, ...]:
    """The environment variables that may hold a provider's key."""
    own = config.for_provider(facts.name).api_key_env
    return (own,) if own else facts.key_env


def key_set(facts: "Facts", config: "Config") -> str | None:
    """The variable that holds a provider's key now, or None."""
    import os

    names = key_names(facts, config)
    return next((name for name in names if os.environ.get(name, "").strip()), None)


def _row(facts: "Facts", config: "Config") -> list[Any]:
    from rich.text import Text

    row = described(facts, config)
    found = row["key_set"]
    names = " or ".join(row["key_variables"])
    usual = "none needed" if facts.key_optional else f"{names} is not set"
    name = f"{facts.name} *" if row["configured"] else facts.name
    return [
        name,
        ", ".join(row["billed"]),
        Text(f"{found} is set", style="green") if found else usual,
        row["base_url"],
        facts.title,
    ]


def _billed(price: "Price") -> str:
    """The rule of a price: ``per second, on success``."""
    when = "on success" if price.charged == "on_success" else "on acceptance"
    return f"per {price.per}, {when}"
