"""``veo doctor``: whether everything is in place, and what to do where it is not."""

from typing import TYPE_CHECKING, Annotated

import typer

from veo_commands import exit_codes
from veo_commands.options import ConfigOptions
from veo_commands.output import out

if TYPE_CHECKING:
    from veo_commands.commands.checks import Check

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red", "off": "bright_black"}


def doctor(
    ping: Annotated[
        bool,
        typer.Option("--ping", help="Ask the services whether they take the keys; free of charge."),
    ] = False,
    *,
    place: ConfigOptions,
) -> int:
    """Check the configuration, ledger, sandbox and keys."""
    from veo_commands.commands.checks import examine

    statuses = [_told(check) for check in examine(place, ping=ping)]
    return exit_codes.SETUP if "fail" in statuses else exit_codes.DONE


def _told(check: "Check") -> str:
    from dataclasses import asdict

    status = typer.style(f"{check.status:<4}", fg=_STYLES[check.status])
    text = f"{status}  {check.name:<14}  {check.message}"
    if check.hint and check.status in {"warn", "fail"}:
        text += f"\n{'':22}{check.hint}"
    out.print_result(asdict(check), text)
    return check.status
