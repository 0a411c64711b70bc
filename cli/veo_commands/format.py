"""Texts for numbers, prices, jobs and requests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.bucket import parse_path
from veo.image import Image
from veo.money import CHARGE_TIMES, Quote, format_amount, format_micros, format_quotes, to_usd
from veo.request import REQUEST_FIELDS, Request
from veo.update import RemoteVideo
from veo_commands.output import shorten_line

if TYPE_CHECKING:
    from veo.ledger.record import Record
    from veo.model import Model, Price
    from veo.planning.plan import Plan

STATE_STYLES = {"done": "green", "failed": "red", "expired": "red", "unknown": "yellow"}
_MAX_VALUE_CHARS = 200
# An estimate of less is wrong as often as right, and a job that takes longer would stay at it.
_LEAST_REMAINING_S = 2.0
_AGE_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def format_duration(seconds: float) -> str:
    """Return ``8.2 s``, ``3:05`` or ``1:02:05``."""
    return f"{max(0.0, seconds):.1f} s" if seconds < 60 else format_clock(seconds)


def format_clock(seconds: float) -> str:
    """Return ``0:42``, ``3:05`` or ``1:02:05``: a running time whose width rarely changes."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_remaining(seconds: float | None) -> str:
    """Return ``about 1:20 left``, or nothing if it is not known or nothing is left."""
    if seconds is None or seconds < _LEAST_REMAINING_S:
        return ""
    return f"about {format_clock(seconds)} left"


def format_age(at: float) -> str:
    """Return how long ago a time in Unix seconds was: ``4 s``, ``12 min``, ``3 h``, ``2 d``."""
    seconds = max(0.0, time.time() - at)
    for unit_s, name in _AGE_UNITS:
        if seconds >= unit_s:
            return f"{int(seconds // unit_s)} {name}"
    return f"{int(seconds)} s"


def format_bytes(count: int) -> str:
    """Return ``812 bytes``, ``64 kB``, ``1.4 MB`` or ``2.10 GB``."""
    if count < 1000:
        return f"{count} bytes"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def to_json_usd(micros: int) -> float:
    """Convert millionths of a USD into USD, as a number for JSON."""
    return float(to_usd(micros))


def describe_quote(quote: Quote) -> str:
    """Return ``$0.15 on success`` or ``$1.20 on acceptance (8 s at $0.15)``."""
    units = f" ({quote.quantity} s at {format_amount(quote.unit)})" if quote.per == "second" else ""
    return f"{format_quotes([quote])} {CHARGE_TIMES[quote.charged]}{units}"


def format_price(row: Price) -> str:
    """Return a price as ``$0.15/video`` or ``$0.10-$0.30/s``."""
    # The price may depend on the resolution or the duration: then a range is shown.
    amounts = sorted(row.usd.values()) if isinstance(row.usd, dict) else [row.usd]
    limits = dict.fromkeys(format_amount(amount) for amount in (amounts[0], amounts[-1]))
    return f"{'-'.join(limits)}/{'video' if row.per == 'call' else 's'}"


def describe_plan(plan: Plan) -> str:
    """Return ``MODEL (PROVIDER), 16:9, 720p, 8 s: $0.15 on success``.

    An edit or an extension has the shape of its video, so only what the request states is shown.
    """
    request, model = plan.request, plan.model
    ratio, seconds = request.aspect_ratio, None
    if request.source is None:
        ratio = ratio or model.aspect_ratios[0]
        seconds = f"{request.duration or model.durations[0]} s"
    elif request.edit and request.edit.seconds:
        seconds = f"{request.edit.seconds:.1f} s"
    shape = filter(None, (ratio, request.resolution or model.resolutions[0], seconds))
    video = ", ".join((f"{model.name} ({model.provider})", *shape))
    return f"{video}: {describe_quote(plan.quote)}"


def describe_charge(record: Record) -> str:
    """Return the money of a job: ``charged $0.15, possibly $0.15 more``."""
    probably = "" if record.certain else "probably "
    parts = []
    if record.charged:
        parts.append(f"{probably}charged {format_micros(record.charged)}")
    if record.in_doubt_amount:
        amount = format_micros(record.in_doubt_amount)
        parts.append(f"possibly {amount} more" if parts else f"possibly charged {amount}")
    if record.held_amount:
        parts.append(f"quoted {format_micros(record.held_amount)}")
    return ", ".join(parts) or f"{probably}not charged"


def format_cost(record: Record) -> str:
    """Return ``$0.15``, or ``$0.15 ?`` if it is not certain, or ``($0.15)`` if it is reserved."""
    if record.in_doubt_amount or not record.certain:
        return f"{format_micros(record.charged + record.in_doubt_amount)} ?"
    if record.charged:
        return format_micros(record.charged)
    return f"({format_micros(record.held_amount)})" if record.held_amount else "-"


def describe_clip(record: Record) -> str | None:
    """Return what the finished file contains: ``1280x720, 8.0 s``; None if it was not measured."""
    from veo.files.clip import ClipInfo

    body = record.clip_json()
    return ClipInfo.from_json(body).summary if body else None


def clip_differences(record: Record) -> list[str]:
    """Return how the finished file differs from the request, a sentence each."""
    found = (record.clip_json() or {}).get("differences", ())
    return [f"{shorten_path(record.output)} is not as requested: {text}" for text in found]


def describe_outcome(record: Record) -> str:
    """Return ``ID done in 8.2 s, charged $0.15, 1.4 MB, 1280x720, 8.0 s``."""
    from veo.ledger.record import State

    took = f" in {format_duration(record.ended_at - record.created_at)}" if record.ended_at else ""
    parts = [f"{record.id} {record.state}{took}", describe_charge(record)]
    if record.state is State.DONE and record.bytes:
        parts.append(format_bytes(record.bytes))
    if record.has_other_length:
        parts.append(f"{record.video_s:.1f} s long instead of {record.bought_s:g} s")
    if record.state is State.DONE:
        parts += [clip] if (clip := describe_clip(record)) else []
    return ", ".join(parts)


def shorten_path(output: str) -> str:
    """Return a path relative to the current folder if it is inside."""
    path, folder = parse_path(output), Path.cwd()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def request_fields(request: Request, model: Model | None = None) -> list[tuple[str, str]]:
    """Return the fields of a request as labels and texts, with the defaults of its model."""
    rows = []
    for name, row in REQUEST_FIELDS.items():
        value = getattr(request, name)
        if value is None and row.model_values and model:
            value = _default_value(request, model, name, row.model_values)
        # The caller prints the model.
        if name == "model" or value is None:
            continue
        values = value if isinstance(value, tuple) else (value,)
        label = row.label or name.replace("_", " ")
        if request.extend and name == "duration":
            label = "added seconds"
        rows += [(label, _format_value(part)) for part in values]
    return rows


def _default_value(request: Request, model: Model, name: str, attribute: str) -> Any:
    if request.extend and name == "duration":
        return model.added_seconds(None)
    # An edit has the length and the ratio of its video.
    return None if request.edit and name != "resolution" else getattr(model, attribute)[0]


def _format_value(value: Any) -> str:
    if isinstance(value, Image):
        return value.source if value.is_url else shorten_path(value.source)
    if isinstance(value, RemoteVideo):
        path = value.local_path
        value = shorten_path(str(path)) if path else value.id or value.uri
    return shorten_line(str(value), _MAX_VALUE_CHARS)
