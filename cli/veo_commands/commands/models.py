"""``veo models``: list models with their limits and prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from veo.errors import VeoError
from veo.money import CHARGE_TIMES, CLIP_S, clip_price, format_average
from veo_commands.format import format_price
from veo_commands.options import ConfigOptions, flag, provider_option
from veo_commands.output import Cell, out
from veo_commands.session import load_config, open_client

if TYPE_CHECKING:
    from veo.client import Client
    from veo.config import Config
    from veo.model import Model

EXAMPLES = ("veo models", "veo models -p vertex --prices")

_LIMIT_TITLES = (
    *("STATUS", "MODEL", "PROVIDER", "PRICE", "RATIO", "SIZE", "SECONDS", "FRAMES"),
    *(">REFERENCES", "REPORTED END", "OTHER OPTIONS"),
)
_PRICE_TITLES = (
    *("STATUS", "MODEL", "PROVIDER", ">8 S OF 720P", ">PER SECOND", "PRICE", "CHARGED"),
    *("AS OF", "SOURCE"),
)
_STATUS_STYLES = {"current": "green", "ended": "yellow"}
_NOT_KNOWN = "not known"
_FEATURES_WITH_COLUMN = {"start_frame", "end_frame", "reference"}


def models(
    provider: str | None = provider_option("List only models of this provider."),
    list_all: bool = flag("Also list models past their reported end.", "--all", "-a"),
    prices: bool = flag("List prices, all converted to one clip: 8 s of 720p."),
    live: bool = flag("Ask the providers which models they offer now; free of charge."),
    *,
    config: ConfigOptions,
) -> None:
    """List models with their limits and prices."""
    if live:
        _print_offers(config, provider)
        return
    rows = list(_list_models(load_config(config).config, provider))
    # A program filters by itself; the row says whether a model has ended.
    shown = [m for m in rows if list_all or out.options.json or _status(m) == "current"]
    if prices:
        _print_prices(shown)
    elif out.options.json or out.options.quiet:
        for model in shown:
            body = model.to_json() | {"status": _status(model)}
            out.print_result(body, model.full_name)
    elif shown:
        out.print_table(_LIMIT_TITLES, [_limits_row(model) for model in shown])
    if hidden := len(rows) - len(shown):
        count = f"{hidden} more" if shown else f"All {hidden}"
        out.info(f"{count} past their reported end; --all lists them.", dim=True)


def _status(model: Model) -> str:
    return "ended" if model.has_ended(datetime.now(UTC).date()) else "current"


def _status_cell(model: Model) -> Cell:
    return Cell(_status(model), _STATUS_STYLES[_status(model)])


def _list_models(config: Config, provider: str | None) -> Iterator[Model]:
    from veo.config import merge_models
    from veo.provider import find_facts, installed_facts

    providers = {provider: find_facts(provider)} if provider else installed_facts()
    for name, facts in providers.items():
        yield from merge_models(facts, config.for_provider(name)).values()


def _print_offers(config: ConfigOptions, provider: str | None) -> None:
    """Ask providers what they offer; print it for each row, then the names without a row."""
    with open_client(config) as client:
        rows = [
            row
            for name in ([provider] if provider else client.providers())
            for row in _ask_provider(client, name)
        ]
    if out.options.json or out.options.quiet:
        for row in rows:
            body = dict(zip(("provider", "model", "status", "at"), row, strict=True))
            out.print_result(body, f"{row[0]}/{row[1]} {row[2]}")
    else:
        # A warning has said which providers could not be asked.
        known = [row for row in rows if row[2] != _NOT_KNOWN]
        if known:
            out.print_table(("PROVIDER", "MODEL", "STATUS", "AS OF"), known)


def _ask_provider(client: Client, name: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield provider, model, status and time for each row, then for names that no row knows."""
    models = client.models(name)
    try:
        offer = client.ask_offer(name)
    except VeoError as error:
        out.warn(f"{name}: {error.message.removeprefix(f'{name} ')}")
        offer = None
    if offer is None:
        yield from ((name, model, _NOT_KNOWN, "") for model in models)
        return
    at = datetime.fromtimestamp(offer.at, UTC).isoformat(timespec="seconds")
    for model in models:
        status = "offered" if model in offer.names else "not offered to this key"
        yield name, model, status, at
    for model in offer.names:
        if model not in models:
            yield name, model, "offered, without a row", at


def _limits_row(model: Model) -> list[Any]:
    return [
        _status_cell(model),
        model.name,
        model.provider,
        format_price(model.price),
        " ".join(model.aspect_ratios),
        _resolution_range(model),
        _format_durations(model.durations),
        _frame_limits(model),
        model.warn_references or model.max_references or "-",
        model.shutdown.on.isoformat() if model.shutdown else "-",
        ", ".join(sorted(model.features - _FEATURES_WITH_COLUMN)).replace("_", " "),
    ]


def _resolution_range(model: Model) -> str:
    """Return the lowest and the highest resolution: ``360p-1080p``; a single one is no range."""
    from veo.request import REQUEST_FIELDS

    known = REQUEST_FIELDS["resolution"].values  # from low to high
    ordered = sorted(model.resolutions, key=lambda each: known.index(each) if each in known else 9)
    return "-".join(dict.fromkeys((ordered[0], ordered[-1])))


def _frame_limits(model: Model) -> str:
    """Return how many frames a model takes, as minimum and maximum: ``0-2``."""
    least = int("start_frame" in model.needs)
    most = len(model.features & {"start_frame", "end_frame"})
    return f"{least}-{most}" if most else "-"


def _format_durations(durations: Sequence[int]) -> str:
    """Return ``4 6 8``, or ``3-10`` for whole numbers without a gap."""
    ordered = sorted(durations)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]}-{ordered[-1]}"
    return " ".join(map(str, ordered))


def _print_prices(models: Sequence[Model]) -> None:
    """Print the prices of models, the cheapest clip first; those that have ended come last."""
    bodies = ((_price_json(model), model) for model in models)
    rows = sorted(bodies, key=lambda row: (row[0]["status"] == "ended", _rank(row[0])))
    if out.options.json or out.options.quiet:
        for body, _ in rows:
            out.print_result(body, f"{body['provider']}/{body['model']} {body['clip_usd']}")
    else:
        out.print_table(_PRICE_TITLES, [_price_row(*row) for row in rows])


def _rank(body: dict[str, Any]) -> tuple[bool, float, str, str]:
    clip = body["clip_usd"]  # None if the model makes no such clip: listed behind those that do
    return clip is None, clip or 0.0, body["provider"], body["model"]


def _price_json(model: Model) -> dict[str, Any]:
    price, clip = model.price, clip_price(model)
    return {
        "provider": model.provider,
        "model": model.name,
        "status": _status(model),
        "clip_usd": None if clip is None else float(clip),
        "second_usd": None if clip is None else float(clip / CLIP_S),
        "usd": price.to_json()["usd"],
        "per": price.per,
        "charged": price.charged,
        "as_of": price.as_of.isoformat(),
        "source": price.source,
        "overridden": model.overridden,
    }


def _price_row(body: dict[str, Any], model: Model) -> list[str]:
    override = " (yours)" if model.overridden else ""
    return [
        _status_cell(model),
        model.name,
        model.provider,
        "-" if body["clip_usd"] is None else f"${body['clip_usd']:.2f}",
        format_average(body["second_usd"]),
        f"{format_price(model.price)}{override}",
        CHARGE_TIMES[model.price.charged],
        body["as_of"],
        model.price.source,
    ]
