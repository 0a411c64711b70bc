"""Numbers and jobs in words, for a person. Pure, but for the clock of ``age``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo_commands.output import shorten_line

if TYPE_CHECKING:
    from veo.ledger.record import Record
    from veo.model import Model, Price
    from veo.money import Quote
    from veo.planning.plan import Plan
    from veo.request import Request

STATE_STYLES = {"done": "green", "failed": "red", "expired": "red", "unknown": "yellow"}
_MAX_WIDTH = 200  # characters of a prompt in a table of facts
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def format_duration(seconds: float) -> str:
    """A length of time: ``8.2 s``, ``3:05``, ``1:02:05``."""
    if seconds < 60:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_clock(seconds: float) -> str:
    """A running time that does not change its width: ``0:42``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_age(at: float) -> str:
    """How long ago something was: ``4 s``, ``12 min``, ``3 h``, ``2 d``."""
    seconds = max(0.0, time.time() - at)
    for size, name in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds)} s"


def format_bytes(count: int) -> str:
    """Bytes: ``1.4 MB``."""
    if count < 1000:
        return f"{count} bytes"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def format_usd(micros: int) -> str:
    """Millionths of a USD as USD: ``$0.15``."""
    from veo.money import format_amount, to_usd

    amount = to_usd(abs(micros))
    return f"{'-' if micros < 0 else ''}{format_amount(amount)}"


def to_dollars(micros: int) -> float:
    """Convert millionths of a USD into USD, as a number for JSON."""
    from veo.money import to_usd

    return float(to_usd(micros))


def describe_quote(quote: Quote) -> str:
    """A quote and its rule: ``$0.15 on success``, ``$1.20 on acceptance (8 s at $0.15)``."""
    from veo.money import format_amount

    when = "on success" if quote.charged == "on_success" else "as soon as it is accepted"
    units = f" ({quote.quantity} s at {format_amount(quote.unit)})" if quote.per == "second" else ""
    return f"{format_amount(quote.amount)} {when}{units}"


def format_price(row: Price) -> str:
    """A price row: ``$0.15/video``, ``$0.10-$0.30/s``."""
    from veo.money import format_amount

    amounts = sorted(row.usd.values()) if isinstance(row.usd, dict) else [row.usd]
    span = dict.fromkeys(format_amount(amount) for amount in (amounts[0], amounts[-1]))
    return f"{'-'.join(span)}/{'video' if row.per == 'call' else 's'}"


def describe_plan(planned: Plan) -> str:
    """A plan on one line: the model, the price, the rule."""
    return f"{planned.model.name} ({planned.model.provider}): {describe_quote(planned.quote)}"


def describe_charge(record: Record) -> str:
    """What a job has cost so far, in words."""
    doubt, said = record.in_doubt, []
    if record.charged:
        said.append(f"{'' if record.certain else 'probably '}charged {format_usd(record.charged)}")
    if doubt:
        said.append(
            f"perhaps {format_usd(doubt)} more" if said else f"perhaps charged {format_usd(doubt)}"
        )
    if record.held:
        said.append(f"quoted {format_usd(record.held)}")
    return ", ".join(said) or ("not charged" if record.certain else "probably not charged")


def format_cost(record: Record) -> str:
    """What a job has cost so far, in a column: charged, perhaps charged, or held for it."""
    if record.in_doubt or not record.certain:
        return f"{format_usd(record.charged + record.in_doubt)} ?"
    if record.charged:
        return format_usd(record.charged)
    return f"({format_usd(record.held)})" if record.held else "-"


def describe_outcome(record: Record) -> str:
    """How a job stands, on one line: ``done in 8.2 s, charged $0.15, 1.4 MB``."""
    from veo.ledger.record import State

    took = f" in {format_duration(record.ended_at - record.created_at)}" if record.ended_at else ""
    parts = [f"{record.id} {record.state}{took}", describe_charge(record)]
    if record.state is State.DONE and record.bytes:
        parts.append(format_bytes(record.bytes))
    return ", ".join(parts)


def shorten_path(output: str) -> str:
    """A file, as short as it can be named from here."""
    path, here = Path(output), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def request_fields(request: Request, model: Model | None = None) -> list[tuple[str, str]]:
    """Return the fields of a request as labels and texts, with the defaults of its model."""
    from veo.request import REQUEST_FIELDS

    rows = []
    for name, row in REQUEST_FIELDS.items():
        value = getattr(request, name)
        if value is None and row.model_values and model:
            value = getattr(model, row.model_values)[0]
        # The model has a line of its own; how long an extension is the provider decides.
        if name == "model" or value is None or (name == "duration" and request.extend):
            continue
        values = value if isinstance(value, tuple) else (value,)
        rows += [(row.label or name.replace("_", " "), _format_value(part)) for part in values]
    return rows


def _format_value(value: Any) -> str:
    from veo.image import Image
    from veo.update import RemoteVideo

    if isinstance(value, Image):
        return shorten_path(value.source)
    return shorten_line(value.uri if isinstance(value, RemoteVideo) else str(value), _MAX_WIDTH)
