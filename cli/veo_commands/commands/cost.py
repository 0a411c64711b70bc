"""``veo cost``: show what was spent, or reconcile it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.errors import UsageError
from veo.money import format_amount, format_micros, to_usd
from veo_commands import exit_codes
from veo_commands.commands.reconcile import ReconcileOptions, reconcile_charges
from veo_commands.format import shorten_path, to_json_usd
from veo_commands.options import ONLY_PROVIDERS, SINCE, ConfigOptions, flag, option
from veo_commands.output import out
from veo_commands.session import open_client, open_ledger

if TYPE_CHECKING:
    from veo.ledger.spending import Dimension, Spending

    Groups = Mapping[tuple[str, ...], Spending]

EXAMPLES = ("veo cost", "veo cost --by month --since 30d", "veo cost --csv")

_DEFAULT_DIMENSIONS = ("provider", "model", "outcome")
_PER_VIDEO_DIGITS = Decimal("0.001")  # an average is rarely a whole number of cents
# Names in the output, and the attributes of ``Spending`` that they show.
_AMOUNTS = {
    "charged": "charged",
    "for_done": "for_done",
    "for_nothing": "for_nothing",
    "for_open": "for_open",
    "uncertain": "uncertain",
    "reserved": "held",
    "unknown": "in_doubt",
    "most": "most",
}
_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_TITLES = (">JOBS", ">VIDEOS", ">CHARGED", ">WITHOUT VIDEO", ">RESERVED", ">UNKNOWN", "PER VIDEO")


def cost(
    by: list[str] | None = option(
        "Group by day, week, month, provider, model, batch or outcome; can be repeated "
        "(default: provider, model, outcome).",
        "WHAT",
        autocompletion=lambda: ["day", "week", "month", "provider", "model", "batch", "outcome"],
    ),
    since: float | None = SINCE,
    provider: list[str] | None = ONLY_PROVIDERS,
    batch: str | None = option("Only jobs of this batch or run.", "ID"),
    as_csv: bool = flag("Print the table as CSV.", "--csv"),
    report: Path | None = option("Also write an HTML page with plots.", "FILE.html"),
    *,
    reconciliation: ReconcileOptions,
    config: ConfigOptions,
) -> int:
    """Show what was spent, or reconcile it with a list of charges."""
    from veo.ledger.spending import JobFilter, group_spending
    from veo.provider import find_facts
    from veo.report.cost_page import render_page
    from veo.report.html import check_report_file, write_page

    dimensions = _parse_dimensions(by)
    names = [find_facts(name).name for name in provider or ()]  # checks them, too
    job_filter = JobFilter(since=since, providers=names, run=batch)
    if reconciliation.is_requested:
        unused = {"by": by, "csv": as_csv, "report": report}
        if used := [name for name, value in unused.items() if value]:
            raise UsageError(f"--{used[0]} cannot be used with --reconcile")
        with open_client(config) as client:
            return reconcile_charges(client, job_filter, reconciliation)
    if as_csv and out.options.json:
        raise UsageError("--csv cannot be used with --json")
    if report:  # a file that cannot be written fails before the sums are made
        check_report_file(report)
    with open_ledger(config) as (_, ledger):
        groups = group_spending(ledger, dimensions, job_filter)
        if report:
            write_page(report, render_page(ledger, job_filter))
            out.info(f"report: {shorten_path(str(report.absolute()))}", dim=True)
    print_groups = _print_csv if as_csv else _print_json if out.options.json else _print_table
    print_groups(dimensions, groups)
    return exit_codes.DONE


def _parse_dimensions(names: Sequence[str] | None) -> list[Dimension]:
    from veo.ledger.spending import DIMENSIONS

    selected = dict.fromkeys(names or _DEFAULT_DIMENSIONS)
    if unknown := sorted(set(selected) - set(DIMENSIONS)):
        hint = f"Valid values: {', '.join(DIMENSIONS)}."
        raise UsageError(f"--by: {unknown[0]!r} is not a valid value", hint=hint)
    return [name for name in DIMENSIONS if name in selected]


def _print_json(dimensions: Sequence[str], groups: Groups) -> None:
    for key, spending in groups.items():
        group = dict(zip(dimensions, key, strict=True))
        out.print_result({"group": group, **_spending_json(spending)}, None)
    out.print_result({"group": {}, **_spending_json(_sum_up(groups))}, None)


def _spending_json(spending: Spending) -> dict[str, Any]:
    return {
        "jobs": spending.jobs,
        "videos": spending.videos,
        **{name: to_json_usd(getattr(spending, field)) for name, field in _AMOUNTS.items()},
        "currency": "USD",
    }


def _print_csv(dimensions: Sequence[str], groups: Groups) -> None:
    import csv

    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow([*dimensions, "jobs", "videos", *(f"{name}_usd" for name in _AMOUNTS)])
    for key, spending in groups.items():
        amounts = [f"{to_usd(getattr(spending, name)):f}" for name in _AMOUNTS.values()]
        table.writerow([*map(_make_cell, key), spending.jobs, spending.videos, *amounts])


def _make_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, which it would run."""
    is_formula = text.lstrip().startswith(_FORMULA_SIGNS) or text.startswith(("\t", "\r"))
    return f"'{text}" if is_formula else text


def _print_table(dimensions: Sequence[str], groups: Groups) -> None:
    if not groups:
        out.info("No jobs found.")
        return
    total = _sum_up(groups)
    rows = [[*key, *_spending_cells(spending)] for key, spending in groups.items()]
    # The first column says "all", further dimensions stay empty.
    last = ["all", *[""] * (len(dimensions) - 1), *_spending_cells(total)]
    out.print_table([*(name.upper() for name in dimensions), *_TITLES], [*rows, last])
    for line in _explain_doubt(total):
        out.info(line, dim=True)


def _sum_up(groups: Groups) -> Spending:
    from veo.ledger.spending import Spending

    return sum(groups.values(), Spending())


def _explain_doubt(total: Spending) -> list[str]:
    lines = []
    if total.uncertain:
        amount = format_micros(total.uncertain)
        lines.append(f"{amount} is not certain: the provider's documents contradict each other.")
    if total.in_doubt:
        lines.append(
            f"In doubt: charged {format_micros(total.charged)}, at most "
            f"{format_micros(total.most)}; {out.command('cost', '--reconcile', 'FILE')} compares "
            "it with the provider's list."
        )
    return lines


def _spending_cells(spending: Spending) -> list[Any]:
    per_video = spending.per_video
    return [
        spending.jobs,
        spending.videos,
        *map(
            format_micros,
            (spending.charged, spending.for_nothing, spending.held, spending.in_doubt),
        ),
        format_amount(per_video.quantize(_PER_VIDEO_DIGITS)) if per_video is not None else "-",
    ]
