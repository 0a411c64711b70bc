"""Options that several commands share, in groups.

A command takes a group as one parameter; ``veo_commands.framework`` passes its options to Typer.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import typer

from veo.request import OPTIONS, Request
from veo_commands.completion import complete_models, complete_providers

Group = TypeVar("Group")
_DURATION_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_AGE_UNITS_S = {"h": 3600, "d": 86_400, "w": 604_800}  # no "m": minutes or months?


def parse_usd(text: str) -> Decimal:
    """Return an amount in USD: ``0.5`` or ``$0.50``."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("nan")
    # Decimal accepts "nan" and "inf" as text, too.
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is not a valid amount in USD; example: 0.50")
    return amount


def parse_seconds(text: str) -> float:
    """Return a time in seconds, above 0: ``600``, ``90s``, ``10m`` or ``2h``."""
    unit = _DURATION_UNITS_S.get(text[-1:].lower())
    try:
        value = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        value = 0.0  # out of range, like "nan" and "inf", which float accepts
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{text!r} is not a valid time; examples: 600, 90s, 10m, 2h")
    return value


def parse_moment(text: str) -> float:
    """Return Unix seconds for ``2026-11-01``, ``2026-11-01T14:30``, ``today``, or ``7d`` ago."""
    text = text.strip().lower()
    try:
        if text == "today":
            today = datetime.now().astimezone().date()  # local, as budgets are
            return datetime.combine(today, datetime.min.time()).timestamp()
        if text[-1:] in _AGE_UNITS_S:
            return time.time() - float(text[:-1]) * _AGE_UNITS_S[text[-1]]
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        message = f"{text!r} is not a valid date; examples: 2026-11-01, today, 7d (ago)"
        raise typer.BadParameter(message) from None


def provider_option(help_text: str) -> Any:
    return typer.Option(
        "--provider", "-p", help=help_text, metavar="NAME", autocompletion=complete_providers
    )


def output_option(help_text: str, metavar: str = "FILE") -> Any:
    panel = "Request"  # commands have it, not their groups, because its meaning differs
    return typer.Option("--output", "-o", help=help_text, metavar=metavar, rich_help_panel=panel)


def check_dependent_options(group: Any, switch: str) -> None:
    """Check that options of a group are used only with the option that switches the group on.

    Raises:
        UsageError: One is used without it.
    """
    from veo.errors import UsageError

    if getattr(group, switch):
        return
    for option in fields(group):
        if getattr(group, option.name) != option.default:
            raise UsageError(f"--{option.name.replace('_', '-')} requires --{switch}")


_TYPES: dict[str, Any] = {
    "text": str,
    "name": str,
    "integer": int,
    "flag": bool,
    "image": str,
    "images": list[str],
}


def _add_request_fields(group: type[Group]) -> type[Group]:
    """Add an option to a group for each field of a request that it does not define itself."""
    # Before ``dataclass`` runs, which makes fields of all annotations.
    for name, row in OPTIONS.items():
        if name not in group.__annotations__:
            option = typer.Option(
                help=row.help, metavar=row.metavar, autocompletion=_complete(row.values)
            )
            group.__annotations__[name] = Annotated[_TYPES[row.kind] | None, option]
            setattr(group, name, None)
    return group


def _complete(values: Sequence[str]) -> Callable[[], list[str]] | None:
    return (lambda: list(values)) if values else None


@dataclass(frozen=True, kw_only=True)
@_add_request_fields
class RequestOptions:
    """The options of a request, the same on every command."""

    panel: ClassVar[str] = "Request"

    provider: Annotated[str | None, provider_option("Provider to use (see `veo providers`).")] = (
        None
    )
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model to use (see `veo models`); by default one that fits the request.",
            metavar="NAME",
            autocompletion=complete_models,
        ),
    ] = None

    def request_values(self) -> dict[str, Any]:
        """Return the fields of the request that were given."""
        values = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in values.items() if value is not None}

    def build_request(self, prompt: str) -> Request:
        """Return the request for a prompt with these options.

        Raises:
            ImageError: A data URI cannot be decoded.
        """
        return Request(prompt=prompt, **self.request_values())


@dataclass(frozen=True, kw_only=True)
class WaitOptions:
    """How long to wait for jobs."""

    panel: ClassVar[str] = "Run"

    timeout: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds,
            help="Stop waiting after this long (default 600 s); the job continues.",
            metavar="SECONDS",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SpendOptions(WaitOptions):
    """What a command may spend."""

    max_cost: Annotated[
        Decimal | None,
        typer.Option(
            parser=parse_usd,
            help="Maximum cost of this run; nothing beyond it is sent.",
            metavar="USD",
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option(help="Show the plan and the price; send nothing.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class SubmitOptions(SpendOptions):
    """How to send paid requests."""

    detach: Annotated[
        bool, typer.Option(help="Exit once accepted; `veo resume` downloads the video.")
    ] = False
    force: Annotated[bool, typer.Option(help="Overwrite an existing file.")] = False


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """Which configuration and which ledger to use."""

    panel: ClassVar[str] = "General"

    config: Annotated[
        Path | None,
        typer.Option(help="Configuration file to use instead of ./veo.toml.", metavar="FILE"),
    ] = None
    sandbox: Annotated[
        bool,
        typer.Option(
            envvar="VEO_SANDBOX",
            help="Use a local sandbox: no key, no network, play money.",
        ),
    ] = False
