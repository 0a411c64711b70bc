"""Options that commands share, in groups: each option is written once, here.

A command takes a group as one parameter; ``veo_commands.framework`` spreads it out for Typer.
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
    """An amount of money from the command line: ``0.5``, ``$0.50``."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is no amount in USD such as 0.50")
    return amount


def parse_seconds(text: str) -> float:
    """A length of time from the command line: seconds above 0, or ``90s``, ``10m``, ``2h``."""
    unit = _DURATION_UNITS_S.get(text[-1:].lower())
    try:
        value = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise typer.BadParameter(f"{text!r} is no time such as 600, 90s, 10m or 2h")
    return value


def parse_moment(text: str) -> float:
    """Unix seconds of ``2026-11-01``, ``2026-11-01T14:30``, ``today``, or ``7d`` ago."""
    text = text.strip().lower()
    try:
        if text == "today":
            return datetime.combine(
                datetime.now().astimezone().date(), datetime.min.time()
            ).timestamp()
        if text[-1:] in _AGE_UNITS_S:
            return time.time() - float(text[:-1]) * _AGE_UNITS_S[text[-1]]
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no moment such as 2026-11-01, today, or 7d (ago)"
        ) from None


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

    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            "-p",
            help="The provider to use; see `veo providers`.",
            metavar="NAME",
            autocompletion=complete_providers,
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Chosen from the request by default; see `veo models`.",
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
    """How long to wait; the jobs themselves go on."""

    panel: ClassVar[str] = "Run"

    timeout: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds,
            help="Wait so long for a job (600 unless configured); it goes on all the same.",
            metavar="SECONDS",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SubmitOptions(WaitOptions):
    """How paid work is to be done: the options of every command that sends requests."""

    max_cost: Annotated[
        Decimal | None,
        typer.Option(parser=parse_usd, help="Send nothing that would cost more.", metavar="USD"),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and the quote; send nothing.")
    ] = False
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Return once it is accepted; `veo resume` fetches it."),
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """Which configuration, which ledger."""

    panel: ClassVar[str] = "General"

    config: Annotated[
        Path | None,
        typer.Option(help="Read this instead of ./veo.toml.", metavar="FILE"),
    ] = None
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox",
            envvar="VEO_SANDBOX",
            help="A local stand-in for the services: no key, no network, play money.",
        ),
    ] = False
