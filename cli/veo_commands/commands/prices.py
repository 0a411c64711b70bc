"""``veo models --prices``: prices a call and a second, brought to the same clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo_commands.format import format_price
from veo_commands.output import out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.model import Model

_TITLES = (
    "PROVIDER",
    "MODEL",
    ">8 S OF 720P",
    ">A SECOND",
    "PRICE",
    "CHARGED",
    "AS OF",
    "SOURCE",
)
_WHEN = {"on_success": "on success", "on_accept": "on acceptance"}


def listed(models: Sequence[Model]) -> None:
    """Print the prices of models, the cheapest clip first."""
    rows = sorted((described(model) for model in models), key=_rank)
    if out.options.json or out.options.quiet:
        for row in rows:
            out.print_result(row, f"{row['provider']}/{row['model']} {row['clip_usd']}")
    else:
        by = {(model.provider, model.name): model for model in models}
        out.print_table(_TITLES, [_cells(row, by[row["provider"], row["model"]]) for row in rows])


def described(model: Model) -> dict[str, Any]:
    """The price of a model as ``--json`` prints it, USD."""
    from veo.money import CLIP_S, clip_price

    price, clip = model.price, clip_price(model.price)
    usd = price.model_dump(mode="json")["usd"]
    return {
        "provider": model.provider,
        "model": model.name,
        "clip_usd": None if clip is None else float(clip),
        "second_usd": None if clip is None else float(clip / CLIP_S),
        "usd": usd,
        "per": price.per,
        "charged": price.charged,
        "as_of": price.as_of.isoformat(),
        "source": price.source,
        "overridden": model.overridden,
    }


def _rank(row: dict[str, Any]) -> tuple[bool, float, str, str]:
    clip = row["clip_usd"]
    return clip is None, clip or 0.0, row["provider"], row["model"]


def _cells(row: dict[str, Any], model: Model) -> list[str]:
    mine = " (yours)" if model.overridden else ""
    return [
        row["provider"],
        row["model"],
        "-" if row["clip_usd"] is None else f"${row['clip_usd']:.2f}",
        "-" if row["second_usd"] is None else f"${row['second_usd']:.3f}",
        f"{format_price(model.price)}{mine}",
        _WHEN[row["charged"]],
        row["as_of"],
        row["source"],
    ]
