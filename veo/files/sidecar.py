"""A job as JSON: what ``--json`` prints, and the sidecar file beside each video."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.errors import PUBLIC_KEYS
from veo.files.atomic import open_atomic
from veo.ledger.record import State
from veo.money import to_usd
from veo.text.parsing import parse_json, read_limited

if TYPE_CHECKING:
    from veo.ledger import Record

MAX_BYTES = 10_000_000  # of a sidecar; a long prompt is its largest part
_encode = json.JSONEncoder(ensure_ascii=False).encode


def job_to_json(record: Record) -> dict[str, Any]:
    """Return a job as ``--json`` prints it. Money is in USD, times are in seconds."""
    failure = record.error_json()
    return {
        "job": record.id,
        "provider": record.provider,
        "model": record.model,
        "state": str(record.state),
        "task_id": record.task_id,
        "parent": record.parent,
        "output": record.output,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "clip": record.clip_json(),
        "tags": record.list_tags(),
        "columns": record.columns_json(),
        "seconds": _durations_to_json(record),
        "polls": record.polls,
        "cost": cost_to_json(record),
        "error": {key: failure.get(key) for key in PUBLIC_KEYS} if failure else None,
    }


def cost_to_json(record: Record) -> dict[str, Any]:
    """Return the quote and the charge of a job in USD.

    ``certain`` is true if the charge is beyond doubt and nothing else can have been charged.
    """
    return {
        "quoted": float(record.parse_quote().amount),
        "charged": float(to_usd(record.charged)),
        "currency": "USD",
        "certain": record.certain and not record.in_doubt_amount,
    }


def sidecar_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.json")


def write_sidecar(record: Record) -> None:
    """Write the sidecar of a finished job. An error of the disk does not fail the job.

    A file of that name that is not a sidecar belongs to the user and is not replaced.
    """
    body = job_to_json(record) | {
        "request": json.loads(record.request),
        "quote": json.loads(record.quote),
        "video": {"seconds": record.video_s, "bought": record.bought_s},
    }
    output = record.path
    target = sidecar_path(output)
    with suppress(OSError):  # also of the question: the name may be too long with its suffix
        if target.exists() and read_job_id(output) is None:
            return
        with open_atomic(target) as file:
            # A path that is not valid UTF-8 is written with the escapes of JSON.
            file.write(_format_json(body).encode("utf-8", "backslashreplace"))


def _format_json(body: dict[str, Any]) -> str:
    """Return JSON with one line per member; the indenting encoder of ``json`` is far slower."""
    lines = (f"  {_encode(name)}: {_encode(value)}" for name, value in body.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_job_id(output: Path) -> str | None:
    """Return the job that a video's sidecar names, or None without a readable sidecar."""
    try:
        body = parse_json(read_limited(sidecar_path(output), MAX_BYTES))
    except (OSError, ValueError):
        return None
    name = body.get("job") if isinstance(body, dict) else None
    return name if isinstance(name, str) else None


def _durations_to_json(record: Record) -> dict[str, float | None]:
    done_at = record.ended_at if record.state is State.DONE else None
    phases = {
        "queued": (record.created_at, record.submitted_at),
        "generating": (record.submitted_at, record.ready_at),
        "downloading": (record.ready_at, done_at),
    }
    return {
        name: round(end - start, 3) if start is not None and end is not None else None
        for name, (start, end) in phases.items()
    }
