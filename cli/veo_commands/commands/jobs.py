"""``veo jobs``: what is in the ledger."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands import format as words
from veo_commands.commands import totals
from veo_commands.completion import states
from veo_commands.options import Place
from veo_commands.output import one_line, out
from veo_commands.session import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.client import Client
    from veo.ledger import Record, State

_TITLES = ("JOB", "STATE", "MODEL", ">AGE", "COST", "VIDEO OR PROMPT")


def jobs(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only jobs in this state; may be repeated.",
            metavar="STATE",
            autocompletion=states,
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
    place: Place,
) -> None:
    """List jobs, the newest first."""
    wanted = _states(state)
    with opened(place) as client:
        if cost:
            _sum_up(client, client.ledger.jobs(states=wanted))
            return
        records = client.ledger.jobs(states=wanted, limit=None if every else limit)
    listed(records)
    if not every and len(records) == limit:
        out.say(f"The newest {limit}; --all lists every one.", dim=True)


def listed(records: "Sequence[Record]") -> None:
    """Print jobs: a table, their JSON, or when quiet their ids."""
    from veo.files.sidecar import describe

    if out.show.json or out.show.quiet:
        for record in records:
            out.result(describe(record), record.id)
    elif records:
        out.table(_TITLES, [_row(record) for record in records])
    else:
        out.say("There are no such jobs.")


def _row(record: "Record") -> list[Any]:
    from rich.text import Text

    done = record.state == "done"
    return [
        record.id,
        Text(record.state, style=words.STYLES.get(record.state, "cyan")),
        f"{record.provider}/{record.model}",
        words.age(record.created_at),
        words.cost(record),
        words.place(record.output) if done else one_line(record.asked().prompt, 60),
    ]


def _sum_up(client: "Client", records: "Sequence[Record]") -> None:
    sums, left = totals.total(records), totals.budgets(client)
    caps = {
        cap.name: {"limit": totals.dollars(cap.limit), "free": totals.dollars(free)}
        for cap, free in left
    }
    rows = [
        (cap.name, f"{words.money(free)} of {words.money(cap.limit)} left") for cap, free in left
    ]
    out.result({**sums.to_json(), "budgets": caps}, out.facts([*sums.facts(), *rows]))


def _states(names: list[str] | None) -> "list[State] | None":
    from veo.errors import UsageError
    from veo.ledger import State

    unknown = sorted(set(names or ()) - {*State})
    if unknown:
        raise UsageError(
            f"--state: there is no state {unknown[0]!r}", hint=f"There are: {', '.join(State)}."
        )
    return [State(name) for name in names] if names else None
