"""``veo cost``: what was spent, and for what."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands import exit_codes
from veo_commands.commands.reconcile import ReconcileOptions, reconcile_charges
from veo_commands.completion import complete_providers
from veo_commands.format import format_usd, shorten_path, to_dollars
from veo_commands.options import ConfigOptions, parse_moment
from veo_commands.output import out
from veo_commands.session import open_client, open_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from veo.ledger import Ledger
    from veo.ledger.spending import Dimension, JobFilter, Spending

_PRECISE = Decimal("0.001")
_BY = ("provider", "model", "outcome")
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
_TITLES = (">JOBS", ">VIDEOS", ">CHARGED", ">FOR NOTHING", ">RESERVED", ">UNKNOWN", "EACH VIDEO")


def cost(
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="day, provider, model, batch or outcome; may be repeated. "
            "Without it: provider, model, outcome.",
            metavar="WHAT",
            autocompletion=lambda: ["day", "provider", "model", "batch", "outcome"],
        ),
    ] = None,
    since: Annotated[
        float | None,
        typer.Option(
            parser=parse_moment,
            help="Only jobs asked for since then: 2026-11-01, today, or 7d, 12h ago.",
            metavar="WHEN",
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            "-p",
            help="Only this one's; may be repeated.",
            metavar="NAME",
            autocompletion=complete_providers,
        ),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="Only the jobs of this batch or run.", metavar="ID")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="The table as CSV on stdout.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page with plots, for a browser.", metavar="FILE.html"),
    ] = None,
    *,
    reconciling: ReconcileOptions,
    place: ConfigOptions,
) -> int:
    """Show what was spent, or reconcile it with a provider's list of charges."""
    from veo.ledger.spending import JobFilter, Spending, group_spending

    chosen = dimensions(by)
    scope = JobFilter(since=since, providers=known(provider), run=batch)
    if reconciling.is_requested:
        _check_alone(by=by, csv=as_csv, report=report)
        with open_client(place) as client:
            return reconcile_charges(client, scope, reconciling)
    if report:
        from veo.report.html import check_report_file

        check_report_file(report)
    with open_ledger(place) as (_, ledger):
        groups = group_spending(ledger, chosen, scope)
        whole = sum(groups.values(), Spending())
        if report:
            written(ledger, scope, report)
    if as_csv:
        _as_csv(chosen, groups)
    elif out.options.json:
        _as_json(chosen, groups, whole)
    else:
        _as_table(chosen, groups, whole)
    return exit_codes.DONE


def _check_alone(**others: object) -> None:
    """A reconciliation has a form of its own.

    Raises:
        UsageError: Another one was asked for.
    """
    from veo.errors import UsageError

    given = next((name for name, value in others.items() if value), None)
    if given:
        raise UsageError(f"--{given} does not go with --reconcile")


def dimensions(names: list[str] | None) -> "list[Dimension]":
    """What makes a group, as asked for.

    Raises:
        UsageError: There is no such thing to go by.
    """
    from veo.errors import UsageError
    from veo.ledger.spending import DIMENSIONS

    wanted = dict.fromkeys(names or _BY)
    unknown = sorted(set(wanted) - set(DIMENSIONS))
    if unknown:
        allowed = ", ".join(DIMENSIONS)
        raise UsageError(f"--by: there is no {unknown[0]!r}", hint=f"There are: {allowed}.")
    return [name for name in DIMENSIONS if name in wanted]


def known(providers: list[str] | None) -> list[str]:
    """Names of providers, each installed.

    Raises:
        UnknownProviderError: One is not.
    """
    from veo.provider import find_provider

    return [find_provider(name).facts.name for name in providers or ()]


def written(ledger: "Ledger", scope: "JobFilter", file: Path) -> None:
    """Write the page about a ledger.

    Raises:
        ConfigError: What draws the plots is not installed.
        OutputError: The file cannot be written.
    """
    from veo.report.html import write_page
    from veo.report.spending import render_page

    write_page(file, render_page(ledger, scope))
    out.info(f"the report: {shorten_path(str(file.absolute()))}", dim=True)


def described(account: "Spending") -> dict[str, Any]:
    """An account as ``--json`` prints it, USD."""
    return {
        "jobs": account.jobs,
        "videos": account.videos,
        **{name: to_dollars(getattr(account, field)) for name, field in _AMOUNTS.items()},
        "currency": "USD",
    }


def _as_json(by: "Sequence[str]", groups: "Mapping[tuple[str, ...], Spending]", all_: Any) -> None:
    for key, account in groups.items():
        out.print_result({"group": dict(zip(by, key, strict=True)), **described(account)}, None)
    out.print_result({"group": {}, **described(all_)}, None)


def _as_csv(by: "Sequence[str]", groups: "Mapping[tuple[str, ...], Spending]") -> None:
    import csv

    from veo.money import to_usd

    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow([*by, "jobs", "videos", *(f"{name}_usd" for name in _AMOUNTS)])
    for key, account in groups.items():
        money = [f"{to_usd(getattr(account, name)):f}" for name in _AMOUNTS.values()]
        table.writerow([*key, account.jobs, account.videos, *money])


def _as_table(by: "Sequence[str]", groups: "Mapping[tuple[str, ...], Spending]", all_: Any) -> None:
    if not groups:
        out.info("There are no such jobs.")
        return
    rows = [[*key, *_cells(account)] for key, account in groups.items()]
    last = ["all", *[""] * (len(by) - 1), *_cells(all_)]
    out.print_table([*(name.upper() for name in by), *_TITLES], [*rows, last])
    for line in remarks(all_):
        out.info(line, dim=True)


def remarks(account: "Spending") -> list[str]:
    """What a person has to know to read the sums."""
    said = []
    if account.uncertain:
        part = format_usd(account.uncertain)
        said.append(f"{part} of what was charged is not certain: documents contradict each other.")
    if account.in_doubt:
        most = format_usd(account.most)
        said.append(
            f"Outcome unknown: charged {format_usd(account.charged)}, at most {most}; "
            f"{out.command('cost', '--reconcile')} settles it with the provider's list."
        )
    return said


def _cells(account: "Spending") -> list[Any]:
    from veo.money import format_amount

    each = account.per_video
    return [
        account.jobs,
        account.videos,
        format_usd(account.charged),
        format_usd(account.for_nothing),
        format_usd(account.held),
        format_usd(account.in_doubt),
        format_amount(each.quantize(_PRECISE)) if each is not None else "-",
    ]
