"""From a file, or from requests, to a batch that can be run."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from veo.batch.batch import Batch
from veo.batch.input import RawItem, parse_items
from veo.batch.item import Item, read_item, read_items
from veo.batch.options import BatchOptions
from veo.batch.validate import BatchContext, validate_items
from veo.errors import InvalidBatchError, UsageError
from veo.paths import absolute
from veo.problems import ItemLocation
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from veo.problems import ItemProblem
    from veo.session import Session

    Source = Path | str | bytes | Iterable[Item | Request | Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _ReadItems:
    """What was read: items, what could not be read, and where it came from."""

    items: list[Item]
    problems: list[ItemProblem]
    origin: bytes
    frames: tuple[Path, ...]


def load_batch(
    client: Session,
    source: Source,
    rules: BatchOptions | None = None,
) -> Batch:
    """Read and check a whole batch; nothing is sent, planned or reserved.

    The money of all runs of one file, known by its path, is counted together; that of what is no
    file by its content.

    Args:
        client: Its configuration, models and ledger count.
        source: A file (JSON list or JSON Lines), the content of one, or items: requests, or
            mappings with the keys of an item in a file.
        rules: How it is to be checked and run.

    Raises:
        InvalidBatchError: With every problem of every item, unless the wrong ones are skipped.
        UsageError: The file cannot be read.
        SetupError: The configuration or the ledger cannot be used.
    """
    rules = rules or BatchOptions()
    read = _read_source(source, rules.defaults)
    run = f"batch-{hashlib.sha256(read.origin).hexdigest()[:16]}"
    folder = rules.output_dir or client.config.output_dir
    checked = validate_items(client, read.items, BatchContext(run, folder, read.frames, rules))
    problems = sorted([*read.problems, *checked.problems], key=lambda each: each.location.sort_key)
    if problems and not (rules.skip_invalid and checked.ready):
        fine = len(checked.ready)
        hint = f"Nothing was sent. --skip-invalid sends the {fine} that are fine." if fine else None
        raise InvalidBatchError(problems, hint=hint)
    checked.problems = problems
    return Batch(client, checked, run, rules)


def _read_source(source: Source, defaults: Mapping[str, Any]) -> _ReadItems:
    if isinstance(source, bytes):
        return _read_text(source, source, (Path.cwd(),), defaults)
    if isinstance(source, Path | str):
        path = absolute(source)
        origin = os.fsencode(os.path.realpath(path))
        return _read_text(_read_file(path), origin, (path.parent, Path.cwd()), defaults)
    found = [_read_value(ItemLocation(index), each, defaults) for index, each in enumerate(source)]
    items = [item for item, _ in found if item]
    problems = [problem for _, wrong in found for problem in wrong]
    said = [[item.request.to_json(), item.provider, item.output] for item in items]
    return _ReadItems(items, problems, json.dumps(said).encode(), (Path.cwd(),))


def _read_value(
    spot: ItemLocation, given: Item | Request | Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[Item | None, list[ItemProblem]]:
    if isinstance(given, Item):
        return given, []
    if isinstance(given, Request):
        return Item(spot, given), []
    return read_item(RawItem(spot, dict(given)), defaults)


def _read_text(
    data: bytes, origin: bytes, frames: tuple[Path, ...], defaults: Mapping[str, Any]
) -> _ReadItems:
    raws, unread = parse_items(data)
    items, wrong = read_items(raws, defaults)
    return _ReadItems(items, unread + wrong, origin, frames)


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
