"""``veo show``: all that is known of one job."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veo_commands.completion import complete_jobs
from veo_commands.format import (
    describe_charge,
    describe_quote,
    format_bytes,
    format_duration,
    format_usd,
    request_fields,
    to_dollars,
)
from veo_commands.options import ConfigOptions
from veo_commands.output import out, shorten_line
from veo_commands.session import open_ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.ledger import Event, Record

_AMOUNTS = ("reserved", "charged", "doubtful")


def show(
    job: Annotated[
        str,
        typer.Argument(
            help="Its id, or an unambiguous beginning of it.",
            metavar="JOB",
            autocompletion=complete_jobs,
        ),
    ],
    *,
    place: ConfigOptions,
) -> None:
    """Show a job with its history and charges."""
    with open_ledger(place) as (_, ledger):
        record = ledger.find_job(job)
        history = ledger.read_history(record.id)
    parts = [
        out.key_values(_facts(record)),
        "\n".join(_money(record, history)),
        "\n".join(_lines(history)),
    ]
    out.print_result(_described(record, history), "\n\n".join(filter(None, parts)))


def _described(record: "Record", history: "Sequence[Event]") -> dict[str, Any]:
    """The job as ``--json`` prints it, with its request, quote and history; amounts in USD."""
    from veo.files.sidecar import job_to_json
    from veo.ledger.statement import list_movements

    return {
        **job_to_json(record),
        "request": record.parse_request().to_json(),
        "quote": record.parse_quote().to_json(),
        "money": [line.to_json() for line in list_movements(history, record.parse_quote())],
        "history": [
            {
                "at": event.at,
                "kind": event.kind,
                "state": str(event.state),
                "message": event.message,
                **{name: to_dollars(getattr(event, name)) for name in _AMOUNTS},
                "worker": event.owner,
                "data": event.data,
            }
            for event in history
        ],
    }


def _facts(record: "Record") -> list[tuple[str, str]]:
    from veo.errors import VeoError
    from veo.ledger.statement import describe_price

    quote, failure = record.parse_quote(), record.error_json()
    facts = [
        ("job", record.id),
        ("state", str(record.state)),
        ("model", f"{record.provider}/{record.model}"),
        *request_fields(record.parse_request()),
        ("task", record.task_id or "none"),
        ("video", _video(record)),
        ("time", _times(record)),
        ("cost", describe_charge(record)),
        ("price", f"{describe_quote(quote)}; {describe_price(quote)}"),
    ]
    if failure:
        facts.append(("error", shorten_line(failure["message"], 500)))
        advice = out.advice(VeoError.from_json(failure))
        facts += [("advice" * (not number), line) for number, line in enumerate(advice)]
    return facts


def _video(record: "Record") -> str:
    known = f", {format_bytes(record.bytes)}, sha256 {record.sha256}" if record.bytes else ""
    return f"{record.output}{known}"


def _times(record: "Record") -> str:
    from veo.files.sidecar import job_to_json

    seconds = job_to_json(record)["seconds"]
    steps = [
        f"{name} {format_duration(took)}" for name, took in seconds.items() if took is not None
    ]
    asked = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created_at))
    return ", ".join([f"asked for {asked}", *steps, f"{record.polls} polls"])


def _money(record: "Record", history: "Sequence[Event]") -> list[str]:
    """The money line by line: what moved, why, by which rule."""
    from veo.ledger.statement import list_movements

    return [
        f"{time.strftime('%H:%M:%S', time.localtime(line.at))}  "
        f"{', '.join(_signed(*each) for each in line.changes.items())}: "
        f"{shorten_line(line.reason, 300)}"
        for line in list_movements(history, record.parse_quote())
    ]


def _lines(history: "Sequence[Event]") -> list[str]:
    rows = [
        (
            time.strftime("%H:%M:%S", time.localtime(event.at)),
            event.kind,
            shorten_line(event.message or "", 300),
        )
        for event in history
    ]
    wide = max((len(kind) for _, kind, _ in rows), default=0)
    return [f"{at}  {kind:<{wide}}  {rest}".rstrip() for at, kind, rest in rows]


def _signed(name: str, amount: int) -> str:
    return f"{name} {'+' if amount > 0 else ''}{format_usd(amount)}"
