"""``veo show``: all that is known of one job."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands import complete, words
from veo_commands.options import Place
from veo_commands.output import one_line, out
from veo_commands.session import opened
from veo_commands.totals import dollars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.ledger import Event, Record

_MONEY = ("reserved", "charged", "doubtful")


def show(
    job: Annotated[
        str,
        typer.Argument(
            help="Its id, or an unambiguous beginning of it.",
            metavar="JOB",
            autocompletion=complete.jobs,
        ),
    ],
    *,
    place: Place,
) -> None:
    """Show a job, its history, and its money line by line."""
    with opened(place) as client:
        record = client.ledger.job(job)
        history = client.ledger.history(record.id)
    facts = out.facts(_facts(record))
    lines = "\n".join(_lines(history))
    out.result(_described(record, history), f"{facts}\n\n{lines}")


def _described(record: "Record", history: "Sequence[Event]") -> dict[str, Any]:
    """The job as ``--json`` prints it, with its request, quote and history; amounts in USD."""
    from veo.sidecar import describe

    return {
        **describe(record),
        "request": record.asked().to_json(),
        "quote": record.quoted().to_json(),
        "history": [
            {
                "at": event.at,
                "kind": event.kind,
                "state": str(event.state),
                "message": event.message,
                **{name: dollars(getattr(event, name)) for name in _MONEY},
                "worker": event.owner,
                "data": event.data,
            }
            for event in history
        ],
    }


def _facts(record: "Record") -> list[tuple[str, str]]:
    quote, failure = record.quoted(), record.failure()
    facts = [
        ("job", record.id),
        ("state", str(record.state)),
        ("model", f"{record.provider}/{record.model}"),
        *words.asked(record.asked()),
        ("task", record.task_id or "none"),
        ("video", _video(record)),
        ("time", _times(record)),
        ("cost", words.charge(record)),
        ("price", f"{words.price(quote)}; {quote.source}, {quote.as_of}"),
    ]
    if failure:
        facts.append(("error", one_line(failure["message"], 500)))
    if failure and failure.get("hint"):
        facts.append(("advice", failure["hint"]))
    return facts


def _video(record: "Record") -> str:
    known = f", {words.size(record.bytes)}, sha256 {record.sha256}" if record.bytes else ""
    return f"{record.output}{known}"


def _times(record: "Record") -> str:
    from veo.sidecar import describe

    seconds = describe(record)["seconds"]
    steps = [f"{name} {words.length(took)}" for name, took in seconds.items() if took is not None]
    asked = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created_at))
    return ", ".join([f"asked for {asked}", *steps, f"{record.polls} polls"])


def _lines(history: "Sequence[Event]") -> list[str]:
    rows = [
        (
            time.strftime("%H:%M:%S", time.localtime(event.at)),
            event.kind,
            ", ".join([*_moved(event), *([one_line(event.message, 300)] if event.message else [])]),
        )
        for event in history
    ]
    wide = max((len(kind) for _, kind, _ in rows), default=0)
    return [f"{at}  {kind:<{wide}}  {rest}".rstrip() for at, kind, rest in rows]


def _moved(event: "Event") -> list[str]:
    """The money that moved with an event: ``reserved +$0.15``."""
    amounts = {name: getattr(event, name) for name in _MONEY}
    return [
        f"{name} {'+' if amount > 0 else ''}{words.money(amount)}"
        for name, amount in amounts.items()
        if amount
    ]
