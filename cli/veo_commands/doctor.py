"""``veo doctor``: whether everything is in place, and what to do where it is not."""

from dataclasses import asdict
from typing import Annotated

import typer

from veo_commands.checks import Check, examine
from veo_commands.options import Place
from veo_commands.output import out

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red", "off": "bright_black"}
_BROKEN = 3


def doctor(
    ping: Annotated[
        bool,
        typer.Option("--ping", help="Ask the services whether they take the keys; free of charge."),
    ] = False,
    *,
    place: Place,
) -> int:
    """Check the installation: configuration, ledger, sandbox, keys."""
    statuses = [_told(check) for check in examine(place, ping=ping)]
    return _BROKEN if "fail" in statuses else 0


def _told(check: Check) -> str:
    status = typer.style(f"{check.status:<4}", fg=_STYLES[check.status])
    text = f"{status}  {check.name:<14}  {check.message}"
    if check.hint and check.status in {"warn", "fail"}:
        text += f"\n{'':22}{check.hint}"
    out.result(asdict(check), text)
    return check.status
