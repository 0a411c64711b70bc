"""What a job looks like from outside: the object of ``--json`` and of the file beside a video."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.errors import PUBLIC_KEYS
from veo.files.atomic import open_atomic
from veo.ledger.record import State
from veo.money import to_usd

if TYPE_CHECKING:
    from veo.ledger import Record

_encode = json.JSONEncoder(ensure_ascii=False).encode


def job_to_json(record: Record) -> dict[str, Any]:
    """A job as ``--json`` prints it. Money is USD as text-free numbers, times are seconds."""
    failure = record.error_json()
    return {
        "job": record.id,
        "provider": record.provider,
        "model": record.model,
        "state": str(record.state),
        "task_id": record.task_id,
        "output": record.output,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "seconds": _durations_to_json(record),
        "polls": record.polls,
        "cost": cost_to_json(record),
        "error": {key: failure.get(key) for key in PUBLIC_KEYS} if failure else None,
    }


def cost_to_json(record: Record) -> dict[str, Any]:
    """What a job was quoted and charged, USD; ``certain`` is False where nobody can tell."""
    return {
        "quoted": float(record.parse_quote().amount),
        "charged": float(to_usd(record.charged)),
        "currency": "USD",
        "certain": record.certain and record.state is not State.UNKNOWN,
    }


def sidecar_path(output: Path) -> Path:
    """The sidecar of a video: the same name with ``.json`` behind it."""
    return output.with_name(f"{output.name}.json")


def write_sidecar(record: Record) -> None:
    """Write the sidecar of a finished job; a disk that refuses it does not fail the job.

    A file of that name that is no sidecar is somebody else's, and stays.
    """
    body = job_to_json(record) | {
        "request": json.loads(record.request),
        "quote": json.loads(record.quote),
    }
    output = Path(record.output)
    target = sidecar_path(output)
    if target.exists() and read_job_id(output) is None:
        return
    with suppress(OSError), open_atomic(target) as file:
        # A path that is not valid UTF-8 is written with the escapes of JSON.
        file.write(_format_json(body).encode("utf-8", "backslashreplace"))


def _format_json(body: dict[str, Any]) -> str:
    """JSON with a line for each member: readable, and no work for the slow, indenting encoder."""
    lines = (f"  {_encode(name)}: {_encode(value)}" for name, value in body.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_job_id(output: Path) -> str | None:
    """The job that a video's sidecar names; None where there is none that can be read."""
    try:
        body = json.loads(sidecar_path(output).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    name = body.get("job") if isinstance(body, dict) else None
    return name if isinstance(name, str) else None


def _durations_to_json(record: Record) -> dict[str, float | None]:
    """How long a job was queued, generating, downloading; None for what did not begin."""

    def between(start: float | None, end: float | None) -> float | None:
        return round(end - start, 3) if start is not None and end is not None else None

    done = record.ended_at if record.state is State.DONE else None
    return {
        "queued": between(record.created_at, record.submitted_at),
        "generating": between(record.submitted_at, record.ready_at),
        "downloading": between(record.ready_at, done),
    }
