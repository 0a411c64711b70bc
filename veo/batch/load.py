"""Reads a batch from a file, from its content or from Python values, and checks it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from veo.batch.batch import Batch
from veo.batch.input import WHOLE_FILE, RawItem, describe_value, parse_items
from veo.batch.item import Item, expand_takes, read_item, read_items
from veo.batch.options import BatchContext, BatchOptions
from veo.batch.tables import PARSERS
from veo.batch.validate import Validator
from veo.errors import InvalidBatchError, UsageError, os_errors
from veo.paths import to_absolute
from veo.problems import ItemLocation, ItemProblem, Remedy
from veo.request import Request
from veo.text.parsing import read_limited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from veo.session import Session

    Source = Path | str | bytes | Iterable[Item | Request | Mapping[str, Any]]


MAX_FILE_BYTES = 200_000_000  # images can be part of a batch, as data URIs


class _ReadItems(NamedTuple):
    items: list[Item]
    problems: list[ItemProblem]
    identity: bytes  # what identifies the batch in all its runs
    image_dirs: tuple[Path, ...]


def load_batch(session: Session, source: Source, options: BatchOptions) -> Batch:
    """Read and check a batch, as ``Client.batch`` describes. Nothing is sent, planned or reserved.

    A file is identified by its path, any other source by its content; the money of all runs of
    one batch is counted together.
    """
    read = _read_source(source, options.defaults)
    if options.takes > 1:
        read = read._replace(items=expand_takes(read.items, options.takes))
    # 64 bits of the hash tell all batches of a ledger apart.
    run = f"batch-{hashlib.sha256(read.identity).hexdigest()[:16]}"
    output_dir = to_absolute(options.output_dir or session.config.output_dir)
    context = BatchContext(session, run, output_dir, read.image_dirs, options)
    validation = Validator(context, read.items).run()
    validation.problems = sorted(
        [*read.problems, *validation.problems], key=lambda problem: problem.location.sort_key
    )
    valid = len(validation.entries)
    if validation.problems and not (options.skip_invalid and valid):
        hint = f"Nothing was sent. Valid items: {valid}." if valid else None
        remedies = [Remedy("skip_invalid")] if valid else ()
        raise InvalidBatchError(validation.problems, hint=hint, remedies=remedies)
    return Batch(context, validation)


def _read_source(source: Source, defaults: Mapping[str, Any]) -> _ReadItems:
    if isinstance(source, bytes):
        read = _read_text(source, source, (Path.cwd(),), defaults)
        return _name_source(read, "the batch")
    if isinstance(source, Path | str):
        path = to_absolute(source)
        # The resolved path: a symbolic link to the file names the same batch.
        identity = os.fsencode(os.path.realpath(path))
        parse = PARSERS.get(path.suffix.lower(), parse_items)
        folders = (path.parent, Path.cwd())
        with os_errors(UsageError, path):
            data = read_limited(path, MAX_FILE_BYTES)
        read = _read_text(data, identity, folders, defaults, parse)
        return _name_source(read, path.name)
    results = [_read_value(ItemLocation(i), value, defaults) for i, value in enumerate(source)]
    items = [item for item, _ in results if item]
    problems = [problem for _, item_problems in results for problem in item_problems]
    content = [[item.request.to_json(), item.provider, item.output] for item in items]
    return _ReadItems(items, problems, json.dumps(content).encode(), (Path.cwd(),))


def _name_source(read: _ReadItems, name: str) -> _ReadItems:
    """Put the name of a source before the problems of it as a whole."""
    whole = [each for each in read.problems if each.location == WHOLE_FILE]
    named = [replace(each, message=f"{name}: {each.message}") for each in whole]
    return read._replace(problems=[*named, *(each for each in read.problems if each not in whole)])


def _read_value(
    location: ItemLocation, value: Item | Request | Mapping[str, Any], defaults: Mapping[str, Any]
) -> tuple[Item | None, list[ItemProblem]]:
    if isinstance(value, Item):
        return value, []
    if isinstance(value, Request):
        return Item(location, value), []
    if not isinstance(value, Mapping):
        text = f"must be a request or a mapping of its keys, not {describe_value(value)}"
        return None, [ItemProblem(location, text)]
    return read_item(RawItem(location, dict(value)), defaults)


def _read_text(
    data: bytes,
    identity: bytes,
    image_dirs: tuple[Path, ...],
    defaults: Mapping[str, Any],
    parse: Callable[[bytes], tuple[list[RawItem], list[ItemProblem]]] = parse_items,
) -> _ReadItems:
    raw_items, parse_problems = parse(data)
    items, item_problems = read_items(raw_items, defaults)
    return _ReadItems(items, parse_problems + item_problems, identity, image_dirs)
