"""``veo models``: what each provider offers, with its rules and prices."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands.commands.prices import listed
from veo_commands.completion import complete_providers
from veo_commands.format import format_price
from veo_commands.options import ConfigOptions
from veo_commands.output import out
from veo_commands.session import load_config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from veo.config import Config
    from veo.model import Model

_TITLES = (
    "PROVIDER",
    "MODEL",
    "PRICE",
    "RATIO",
    "SIZE",
    "SECONDS",
    "FRAMES",
    ">REFERENCES",
    "ENDS",
    "TAKES TOO",
)
_COLUMNS = {"start_frame", "end_frame", "reference"}


def models(
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            "-p",
            help="Only this one's.",
            metavar="NAME",
            autocompletion=complete_providers,
        ),
    ] = None,
    prices: Annotated[
        bool, typer.Option("--prices", help="Only prices, brought to 8 s of 720p.")
    ] = False,
    *,
    place: ConfigOptions,
) -> None:
    """List models with their limits and prices."""
    rows = list(known(load_config(place).config, provider))
    if prices:
        listed(rows)
        return
    if out.options.json or out.options.quiet:
        for model in rows:
            out.print_result(model.model_dump(mode="json"), f"{model.provider}/{model.name}")
    else:
        out.print_table(_TITLES, [_row(model) for model in rows])


def known(config: "Config", provider: str | None = None) -> "Iterable[Model]":
    """The models of one provider or of all, the user's overrides applied.

    Raises:
        UnknownProviderError: No such provider is installed.
    """
    from veo.config import merge_models
    from veo.provider import find_provider, installed_providers

    chosen = {provider: find_provider(provider)} if provider else installed_providers()
    for name, cls in chosen.items():
        yield from merge_models(cls.facts, config.for_provider(name)).values()


def _row(model: "Model") -> list[Any]:
    return [
        model.provider,
        model.name,
        format_price(model.price),
        " ".join(model.aspect_ratios),
        "-".join(dict.fromkeys((model.resolutions[0], model.resolutions[-1]))),
        " ".join(map(str, sorted(model.durations))),
        _frames(model),
        model.max_references or "-",
        _end(model),
        ", ".join(sorted(model.features - _COLUMNS)).replace("_", " "),
    ]


def _frames(model: "Model") -> str:
    """How many frames a model takes: start, and end after it."""
    least = "start_frame" in model.needs
    most = len(model.features & {"start_frame", "end_frame"})
    return f"{int(least)}-{most}" if most else "-"


def _end(model: "Model") -> Any:
    from rich.text import Text

    if model.shutdown is None:
        return "-"
    over = model.shutdown.on <= datetime.now(UTC).date()
    return Text(model.shutdown.on.isoformat(), style="yellow" if over else "")
