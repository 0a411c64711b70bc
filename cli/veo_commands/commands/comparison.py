"""A comparison told before it begins, and shown when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo_commands.format import describe_plan, shorten_path
from veo_commands.output import out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from veo.compare.result import Outcome
    from veo.compare.run import Entrant


def announce(sides: Sequence[Entrant], count: int) -> None:
    """Tell what will be sent over each route, and what all of it will cost at most."""
    from veo.money import format_amount

    for side in sides:
        each = f"{count} x " if count > 1 else ""
        out.info(f"{side.name}: {each}{describe_plan(side.plan)}", dim=True)
        for warning in side.plan.warnings:
            out.warn(warning)
    whole = sum((side.plan.quote.amount for side in sides), start=side.plan.quote.amount * 0)
    played = "; play money in the sandbox" if out.sandbox else ""
    out.info(f"{count * len(sides)} requests, {format_amount(count * whole)} at most{played}")


def shown(outcome: Outcome) -> None:
    """Print the figures, and what they come to."""
    from veo.compare import text as told

    if out.options.json:
        for name in outcome.figures:
            out.print_result(outcome.described(name), None)
        out.print_result(outcome.crossings(), None)
        return
    rows = [[name, *cells] for name, cells in told.rows(outcome)]
    out.print_table(["", *outcome.figures], rows)
    for sentence in told.verdict(outcome):
        out.info(sentence)
    for sentence in told.crossings(outcome):
        out.info(sentence, dim=True)
    if outcome.simulation:
        for name, found in outcome.simulation.measured.items():
            out.info(told.agreement(name, found), fg=None if found.agrees else "red")


def written(report: Path, outcome: Outcome, clips: Mapping[str, Path | None]) -> None:
    """Write the page about a comparison.

    Raises:
        OutputError: The file cannot be written.
    """
    from veo.compare.html import render
    from veo.report.html import write

    write(report, render(outcome, clips, report))
    out.info(f"the report: {shorten_path(str(report.absolute()))}", dim=True)
