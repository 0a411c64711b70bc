"""``veo schema``: JSON Schemas, for editors and programs."""

from __future__ import annotations

import json
from typing import Any

import typer

from veo.errors import UsageError
from veo_commands.options import argument

EXAMPLES = ("veo schema config", "veo schema job")

_KINDS = ("config", "batch", "job")
_TEXT, _NUMBER, _INTEGER = "string", "number", "integer"
_OPTIONAL_TEXT = {"type": [_TEXT, "null"]}


def schema(
    kind: str = argument(
        "config (veo.toml), batch (a batch file) or job (the JSON of a job).",
        "KIND",
        autocompletion=lambda: list(_KINDS),
    ),
) -> None:
    """Print the JSON Schema of a file, for editors and programs."""
    if kind not in _KINDS:
        hint = f"Schemas: {', '.join(_KINDS)}."
        raise UsageError(f"there is no schema {kind!r}", hint=hint)
    body = {"config": _config_schema, "batch": _batch_schema, "job": _job_schema}[kind]()
    typer.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **body}))


def _config_schema() -> dict[str, Any]:
    from veo.config import Config
    from veo.row import adapt

    return {**adapt(Config).json_schema(), "title": "veo.toml"}


def _batch_schema() -> dict[str, Any]:
    from veo.batch.item import ItemSchema

    # Any other key is a column of the user.
    item = ItemSchema.model_json_schema() | {"additionalProperties": {"type": [_TEXT, _NUMBER]}}
    definitions = item.pop("$defs", {})
    return {"title": "A batch file", "type": "array", "items": item, "$defs": definitions}


def _job_schema() -> dict[str, Any]:
    from veo.ledger.record import State

    properties = {
        "job": _OPTIONAL_TEXT,
        "provider": {"type": _TEXT},
        "model": {"type": _TEXT},
        "state": {"enum": [str(state) for state in State]},
        "task_id": _OPTIONAL_TEXT,
        "parent": _OPTIONAL_TEXT,
        "output": {"type": _TEXT},
        "bytes": {"type": [_INTEGER, "null"]},
        "sha256": _OPTIONAL_TEXT,
        "clip": {"type": ["object", "null"]},
        "tags": {"type": "array", "items": {"type": _TEXT}},
        "columns": {"type": "object"},
        "seconds": {"type": "object", "additionalProperties": {"type": [_NUMBER, "null"]}},
        "polls": {"type": _INTEGER},
        "cost": {
            "type": "object",
            "properties": {
                "quoted": {"type": _NUMBER},
                "charged": {"type": _NUMBER},
                "currency": {"const": "USD"},
                "certain": {"type": "boolean"},
            },
        },
        "error": {"type": ["object", "null"]},
    }
    return {"title": "A job", "type": "object", "properties": properties}
