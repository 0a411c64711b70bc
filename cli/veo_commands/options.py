"""Options that several commands share, in groups.

A command takes a group as one parameter; ``veo_commands.framework`` passes its options to Typer.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import typer

from veo import money
from veo.errors import UsageError
from veo.request import OPTIONS, Request
from veo.text.spelling import normalize_seconds
from veo_commands.completion import complete_models, complete_providers
from veo_commands.output import Group, option_group

_DURATION_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_AGE_UNITS_S = {"h": 3600, "d": 86_400, "w": 604_800}  # no "m": minutes or months?
_DAYS_BACK = {"today": 0, "yesterday": 1}


def parse_usd(text: str) -> Decimal:
    """Return an amount in USD: ``0.5`` or ``$0.50``."""
    try:
        return money.parse_usd(text)
    except UsageError as error:
        raise typer.BadParameter(error.message) from None


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


def parse_length(text: str) -> int:
    """Return the length of a video in whole seconds: ``8`` or ``8s``."""
    seconds = normalize_seconds(text)
    if not isinstance(seconds, int):
        raise typer.BadParameter(f"{text!r} is not a whole number of seconds; examples: 8, 8s")
    return seconds


def parse_whole_number(text: str) -> int:
    try:
        return int(text.strip().removesuffix(".0"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number") from None


def parse_moment(text: str) -> float:
    """Return Unix seconds for ``2026-11-01``, ``2026-11-01T14:30``, ``yesterday``, or ``7d`` ago.

    A day begins at midnight, local time, as budgets do.
    """
    text = text.strip().lower().removesuffix("ago").strip()
    try:
        if text in _DAYS_BACK:
            day = datetime.now().astimezone().date() - timedelta(days=_DAYS_BACK[text])
            return datetime.combine(day, datetime.min.time()).timestamp()
        if text[-1:] in _AGE_UNITS_S:
            return time.time() - float(text[:-1]) * _AGE_UNITS_S[text[-1]]
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        message = f"{text!r} is not a valid date; examples: 2026-11-01, yesterday, 7d, 2w (ago)"
        raise typer.BadParameter(message) from None


# These return ``Any``, like ``dataclasses.field``, so that parameters and fields have the types of
# their values.
def argument(help_text: str, metavar: str, default: Any = ..., **settings: Any) -> Any:
    return typer.Argument(default, help=help_text, metavar=metavar, **settings)


def option(
    help_text: str, metavar: str | None, *names: str, default: Any = None, **more: Any
) -> Any:
    return typer.Option(default, *names, help=help_text, metavar=metavar, **more)


def flag(help_text: str, *names: str, **settings: Any) -> Any:
    return typer.Option(False, *names, help=help_text, **settings)


def provider_option(help_text: str) -> Any:
    return option(help_text, "NAME", "--provider", "-p", autocompletion=complete_providers)


def output_option(help_text: str, metavar: str = "FILE") -> Any:
    panel = "Request"  # commands have it, not their groups, because its meaning differs
    return option(help_text, metavar, "--output", "-o", rich_help_panel=panel)


# Options of several commands; a command has copies of them.
FILE_OR_FOLDER = output_option(
    "File, or a folder with a / at the end; {date}, {prompt:.30}, {job} are filled in."
)
ONLY_PROVIDERS = provider_option("Only jobs of this provider; can be repeated.")
SINCE = option(
    "Only jobs created since then: 2026-11-01, yesterday, or 7d, 12h (ago).",
    "WHEN",
    parser=parse_moment,
)


def check_dependent_options(group: Any, switch: str) -> None:
    """Check that options of a group are used only with the option that switches the group on."""
    if getattr(group, switch):
        return
    for field in fields(group):
        declaration: Any = field.default
        if getattr(group, field.name) != declaration.default:
            raise UsageError(f"--{field.name.replace('_', '-')} requires --{switch}")


_TYPES: dict[str, Any] = {"integer": int, "flag": bool, "images": list[str]}
_PARSERS = {"integer": parse_whole_number}


def _add_request_fields(group: type[Group]) -> type[Group]:
    """Add an option to a group for each field of a request that it does not define itself."""
    # Before ``dataclass`` runs, which makes fields of all annotations.
    for name, row in OPTIONS.items():
        if name not in group.__annotations__:
            group.__annotations__[name] = _TYPES.get(row.kind, str) | None
            parser = parse_length if name == "duration" else _PARSERS.get(row.kind)
            completion = _complete(row.values)
            described = option(row.help, row.metavar, parser=parser, autocompletion=completion)
            setattr(group, name, described)
    return group


def _complete(values: Sequence[str]) -> Callable[[], list[str]] | None:
    return (lambda: list(values)) if values else None


@option_group
@_add_request_fields
class RequestOptions:
    panel: ClassVar[str] = "Request"

    provider: str | None = provider_option("Provider to use (see `veo providers`).")
    model: str | None = option(
        "Model to use (see `veo models`); by default one that fits the request.",
        "NAME",
        "--model",
        "-m",
        autocompletion=complete_models,
    )

    def request_values(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in OPTIONS}
        return {name: value for name, value in values.items() if value is not None}

    def build_request(self, prompt: str) -> Request:
        """Return the request for a prompt with these options; ``-`` reads the prompt from stdin."""
        text = sys.stdin.read().strip() if prompt == "-" else prompt
        return Request(prompt=text, **self.request_values())


@option_group
class ExtendOptions(RequestOptions):
    """Options that no model combines with a video are hidden, and refused with the reason."""

    duration: int | None = option(
        "Seconds to add, where the model lets you choose.", "SECONDS", parser=parse_length
    )
    hidden: ClassVar[frozenset[str]] = frozenset(
        {"start_frame", "end_frame", "reference", "fit", "aspect_ratio"}
    )


@option_group
class EditOptions(RequestOptions):
    hidden: ClassVar[frozenset[str]] = ExtendOptions.hidden | {
        "duration",
        "negative_prompt",
        "person_generation",
    }


@option_group
class PayOptions:
    """Options of what may cost money, for ``veo_commands.confirm``."""

    panel: ClassVar[str] = "Run"

    timeout: float | None = option(
        "Stop waiting after this long (default 600 s); `veo resume` continues the job.",
        "SECONDS",
        parser=parse_seconds,
    )
    max_cost: Decimal | None = option(
        "Send nothing if this run would cost more; confirms the cost up to this.",
        "USD",
        parser=parse_usd,
    )
    yes: bool = flag("Do not ask before a cost above confirm_above ($1.00).", "--yes", "-y")


@option_group
class SpendOptions(PayOptions):
    dry_run: bool = flag("Show the plan and the price; send nothing.")


@option_group
class SubmitOptions(SpendOptions):
    tag: list[str] | None = option(
        "Word to find the job again (`veo jobs --tag`); can be repeated.", "WORD"
    )
    column: list[str] | None = option("Value to store with the job; can be repeated.", "NAME=VALUE")
    detach: bool = flag("Exit once accepted; `veo resume` downloads the video.")
    force: bool = flag("Overwrite an existing file.")


@option_group
class ConfigOptions:
    panel: ClassVar[str] = "General"

    config: Path | None = option("Configuration file to use instead of ./veo.toml.", "FILE")
    sandbox: bool = flag(
        "Use a local sandbox: no key, no network, play money.", envvar="VEO_SANDBOX"
    )
