"""``veo jobs``: what is in the ledger."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands.commands import totals
from veo_commands.completion import complete_states
from veo_commands.format import STATE_STYLES, format_age, format_cost, format_usd, shorten_path
from veo_commands.options import ConfigOptions
from veo_commands.output import out, shorten_line
from veo_commands.session import open_ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.config import Config
    from veo.ledger import Ledger, Record, State

_TITLES = ("JOB", "STATE", "MODEL", ">AGE", "COST", "VIDEO OR PROMPT")


def jobs(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only jobs in this state; may be repeated.",
            metavar="STATE",
            autocompletion=complete_states,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="List so many.", metavar="NUMBER")
    ] = 20,
    every: Annotated[bool, typer.Option("--all", "-a", help="List all of them.")] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Add up what they cost, however many they are.")
    ] = False,
    *,
    place: ConfigOptions,
) -> None:
    """List jobs, newest first."""
    wanted = _states(state)
    with open_ledger(place) as (config, ledger):
        if cost:
            _sum_up(config, ledger, ledger.list_jobs(states=wanted))
            return
        records = ledger.list_jobs(states=wanted, limit=None if every else limit)
    listed(records)
    if not every and len(records) == limit:
        out.info(f"The newest {limit}; --all lists every one.", dim=True)


def listed(records: "Sequence[Record]") -> None:
    """Print jobs: a table, their JSON, or when quiet their ids."""
    from veo.files.sidecar import job_to_json

    if out.options.json or out.options.quiet:
        for record in records:
            out.print_result(job_to_json(record), record.id)
    elif records:
        out.print_table(_TITLES, [_row(record) for record in records])
    else:
        out.info("There are no such jobs.")


def _row(record: "Record") -> list[Any]:
    from rich.text import Text

    done = record.state == "done"
    return [
        record.id,
        Text(record.state, style=STATE_STYLES.get(record.state, "cyan")),
        f"{record.provider}/{record.model}",
        format_age(record.created_at),
        format_cost(record),
        shorten_path(record.output) if done else shorten_line(record.parse_request().prompt, 60),
    ]


def _sum_up(config: "Config", ledger: "Ledger", records: "Sequence[Record]") -> None:
    sums, left = totals.total(records), totals.budgets(config, ledger)
    caps = {
        cap.name: {"limit": totals.dollars(cap.limit), "free": totals.dollars(free)}
        for cap, free in left
    }
    rows = [(cap.name, f"{format_usd(free)} of {format_usd(cap.limit)} left") for cap, free in left]
    out.print_result({**sums.to_json(), "budgets": caps}, out.key_values([*sums.facts(), *rows]))


def _states(names: list[str] | None) -> "list[State] | None":
    from veo.errors import UsageError
    from veo.ledger import State

    unknown = sorted(set(names or ()) - {*State})
    if unknown:
        raise UsageError(
            f"--state: there is no state {unknown[0]!r}", hint=f"There are: {', '.join(State)}."
        )
    return [State(name) for name in names] if names else None
