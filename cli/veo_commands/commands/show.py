"""``veo show``: show everything about one job."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from veo.errors import VeoError
from veo.money import format_micros
from veo_commands.completion import complete_jobs
from veo_commands.format import (
    clip_differences,
    describe_charge,
    describe_clip,
    describe_quote,
    format_bytes,
    format_duration,
    request_fields,
    shorten_path,
    to_json_usd,
)
from veo_commands.options import ConfigOptions, argument
from veo_commands.output import out, shorten_line, wrap_words
from veo_commands.session import open_ledger

if TYPE_CHECKING:
    from veo.ledger import Event, Record
    from veo.request import Request

EXAMPLES = ("veo show lion.mp4", "veo show lion.mp4 --json")

_AMOUNTS = ("reserved", "charged", "doubtful")
_MAX_LINE_CHARS = 300
_MAX_CHAIN_CHARS = 100
_CHAIN_VERBS = {"generate": "", "extend": ", extension", "edit": ", edit"}
_MAX_ERROR_CHARS = 500


def show(
    job: str = argument(
        "Job id, unique prefix, or file of the video.", "JOB|FILE", autocompletion=complete_jobs
    ),
    *,
    config: ConfigOptions,
) -> None:
    """Show a job with its history and charges."""
    from veo.continuation.sources import find_job
    from veo.ledger.lineage import find_chain

    with open_ledger(config) as (_, ledger):
        record = find_job(ledger, job)
        history = ledger.read_history(record.id)
        chain = find_chain(ledger, record)
    sections = [
        out.key_values(_job_rows(record)),
        "\n".join(_chain_lines(record, chain)),
        _wrap_history(_movement_lines(record, history)),
        _wrap_history(_event_lines(history)),
    ]
    body = _details_json(record, history) | {"chain": [_link_json(each) for _, each in chain]}
    out.print_result(body, "\n\n".join(filter(None, sections)))


def _details_json(record: Record, history: Sequence[Event]) -> dict[str, Any]:
    from veo.files.sidecar import job_to_json
    from veo.ledger.statement import list_movements

    quote = record.parse_quote()
    return {
        **job_to_json(record),
        "request": record.parse_request().to_json(),
        "quote": quote.to_json(),
        "upload": json.loads(record.upload) if record.upload else None,
        "money": [movement.to_json() for movement in list_movements(history, quote)],
        "history": [_event_json(event) for event in history],
    }


def _link_json(record: Record) -> dict[str, Any]:
    request = record.parse_request()
    return {
        "job": record.id,
        "parent": record.parent,
        "kind": _kind_of(request),
        "file": _uploaded_file(request),
        "provider": record.provider,
        "model": record.model,
        "state": str(record.state),
        "prompt": request.prompt,
        "output": record.output,
        "charged": to_json_usd(record.charged),
    }


def _kind_of(request: Request) -> str:
    if request.edit:
        return "edit"
    return "extend" if request.extend else "generate"


def _uploaded_file(request: Request) -> str | None:
    path = request.source.local_path if request.source else None
    return str(path) if path else None


def _chain_lines(record: Record, chain: Sequence[tuple[int, Record]]) -> list[str]:
    """Return a line for each job of a chain, indented below the one whose video it continues."""
    first = chain[0][1]
    file = _uploaded_file(first.parse_request())  # of a video that no job made
    if len(chain) == 1 and not file:
        return []
    rows = [(0, shorten_path(file))] if file else []
    for depth, each in chain:
        request = each.parse_request()
        name = f"{each.id} (this job)" if each.id == record.id else each.id
        verb = _CHAIN_VERBS[_kind_of(request)]
        line = f"{name}, {each.state}, {describe_charge(each)}{verb}: {request.prompt}"
        rows.append((depth + bool(file), line))
    return [f"{'  ' * depth}{shorten_line(text, _MAX_CHAIN_CHARS)}" for depth, text in rows]


def _event_json(event: Event) -> dict[str, Any]:
    return {
        "at": event.at,
        "kind": event.kind,
        "state": str(event.state),
        "message": event.message,
        **{name: to_json_usd(getattr(event, name)) for name in _AMOUNTS},
        "worker": event.owner,
        "data": event.data,
    }


def _job_rows(record: Record) -> list[tuple[str, str]]:
    from veo.ledger.statement import describe_price

    quote, error = record.parse_quote(), record.error_json()
    video = f", {format_bytes(record.bytes)}, sha256 {record.sha256}" if record.bytes else ""
    rows = [
        ("job", record.id),
        ("state", str(record.state)),
        ("model", f"{record.provider}/{record.model}"),
        *request_fields(record.parse_request()),
        ("task", record.task_id or "none"),
        ("video", f"{record.output}{video}"),
        *(("clip", text) for text in (describe_clip(record), *clip_differences(record)) if text),
        *([("tags", ", ".join(tags))] if (tags := record.list_tags()) else []),
        *(("columns", f"{name}: {value}") for name, value in record.columns_json().items()),
        ("time", _describe_times(record)),
        ("cost", describe_charge(record)),
        ("price", f"{describe_quote(quote)}; {describe_price(quote)}"),
    ]
    if error:
        failure = VeoError.from_json(error)
        rows.append(("error", shorten_line(str(failure), _MAX_ERROR_CHARS)))
        advice = out.advice(failure)
        rows += [("" if number else "advice", line) for number, line in enumerate(advice)]
    return rows


def _describe_times(record: Record) -> str:
    from veo.files.sidecar import job_to_json

    seconds = job_to_json(record)["seconds"]
    steps = [
        f"{name} {format_duration(took)}" for name, took in seconds.items() if took is not None
    ]
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created_at))
    polls = f"{record.polls} poll{'' if record.polls == 1 else 's'}"
    return ", ".join([f"created {created}", *steps, polls])


def _movement_lines(record: Record, history: Sequence[Event]) -> list[str]:
    """Return a line for each movement of money, with its reason."""
    from veo.ledger.statement import list_movements

    lines = []
    for movement in list_movements(history, record.parse_quote()):
        amounts = ", ".join(
            f"{name} {'+' if amount > 0 else ''}{format_micros(amount)}"
            for name, amount in movement.changes.items()
        )
        reason = shorten_line(movement.reason, _MAX_LINE_CHARS)
        lines.append(f"{_format_time(movement.at)}  {amounts}: {reason}")
    return lines


def _event_lines(history: Sequence[Event]) -> list[str]:
    width = max((len(event.kind) for event in history), default=0)
    return [
        f"{_format_time(event.at)}  {event.kind:<{width}}  "
        f"{shorten_line(event.message or '', _MAX_LINE_CHARS)}".rstrip()
        for event in history
    ]


def _wrap_history(lines: Iterable[str]) -> str:
    """Return lines that begin with a time, wrapped between words below their texts."""
    width, indent = out.stdout_width(), " " * len("00:00:00  ")
    return "\n".join(part for line in lines for part in wrap_words(line, width, indent))


def _format_time(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))  # the date is in the line "time"
