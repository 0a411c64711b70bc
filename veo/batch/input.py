"""Parses the text of a batch file, a JSON list or JSON Lines, into raw items. No I/O."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from veo.problems import ItemLocation, ItemProblem
from veo.text.parsing import decode_text, is_text, parse_json

WHOLE_FILE = ItemLocation(None)
_MAX_SHOWN_CHARS = 40
MAX_PROBLEMS = 20  # of one kind in one item


class JsonObject(list[tuple[str, Any]]):
    """The pairs of a JSON object in their order; a ``dict`` would hide duplicate keys."""


@dataclass(frozen=True, slots=True)
class RawItem:
    location: ItemLocation
    body: dict[str, Any]


Parsed = tuple[list[RawItem], list[ItemProblem]]


def parse_items(data: bytes) -> Parsed:
    """Parse a text: a JSON list of objects, one object, or one object a line (JSON Lines).

    Return the items and the problems, in order. Items that cannot be read have an index too.
    """
    return parse_text(data, _parse_json)


def parse_text(data: bytes, parse: Callable[[str], Parsed]) -> Parsed:
    """Decode and parse a file. Return its items and its problems; there is at least one."""
    try:
        text = decode_text(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return [], [ItemProblem(ItemLocation(None, line), "is not UTF-8 text")]
    items, problems = parse(text)
    if not items and not problems:
        problems = [ItemProblem(WHOLE_FILE, "contains no items")]
    return items, problems


def _parse_json(text: str) -> Parsed:
    try:
        values = list(_split_values(text))
    except ValueError as error:
        return [], [ItemProblem(WHOLE_FILE, f"is not valid JSON: {_describe_error(error)}")]
    items, problems = [], []
    for location, value in values:
        item_problems = list(_find_problems(location, value))
        problems += item_problems
        if not item_problems:
            items.append(RawItem(location, _to_plain(value)))
    return items, problems


def shorten_key(key: str) -> str:
    """Return a key for a message; a file can have keys of any length."""
    return key if len(key) <= _MAX_SHOWN_CHARS else f"{key[:_MAX_SHOWN_CHARS]}..."


def describe_value(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # items from Python may hold any object
        return f"an object of type {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN_CHARS else "a long text"


def make_problems(location: ItemLocation, texts: Sequence[str]) -> Iterator[ItemProblem]:
    """Yield a problem for each text up to ``MAX_PROBLEMS``, and one that counts the rest."""
    for text in texts[:MAX_PROBLEMS]:
        yield ItemProblem(location, text)
    if len(texts) > MAX_PROBLEMS:
        yield ItemProblem(location, f"{len(texts) - MAX_PROBLEMS} more problems")


def _split_values(text: str) -> Iterator[tuple[ItemLocation, Any]]:
    """Yield the value of each item; for a line that cannot be read the error is the value."""
    # Not `splitlines`: it splits at U+2028 too, which may stand inside a JSON string.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    # A file whose first line is not complete JSON is one object over several lines.
    if text.lstrip().startswith("[") or (len(lines) > 1 and not _is_json(lines[0][1])):
        value = _load_json(text)
        values = value if type(value) is list else [value]
        yield from ((ItemLocation(index), item) for index, item in enumerate(values))
        return
    for index, (number, line) in enumerate(lines):
        try:
            yield ItemLocation(index, number), _load_json(line)
        except ValueError as error:
            yield ItemLocation(index, number), error


def _find_problems(location: ItemLocation, value: Any) -> Iterator[ItemProblem]:
    if isinstance(value, Exception):
        yield ItemProblem(location, f"is not a valid JSON object: {_describe_error(value)}")
    elif not isinstance(value, JsonObject):
        text = f'must be an object like {{"prompt": ...}}, not {describe_value(value)}'
        yield ItemProblem(location, text)
    else:
        counts = Counter(to_field_name(key) for key, _ in value)
        texts = [f"{shorten_key(key)}: is set twice" for key in sorted(counts) if counts[key] > 1]
        yield from make_problems(location, texts)
        if not all(map(is_text, counts)):
            yield ItemProblem(location, "a key contains an invalid character")


def _load_json(text: str) -> Any:
    return parse_json(text, object_pairs_hook=JsonObject, parse_constant=_reject_constant)


def _is_json(line: str) -> bool:
    try:
        _load_json(line)
    except ValueError:
        return False
    return True


def _reject_constant(name: str) -> None:
    # Python's parser accepts NaN and Infinity, which JSON does not have.
    raise ValueError(f"{name} is not JSON")


def _to_plain(value: Any) -> Any:
    """Return the value with each ``JsonObject`` as a ``dict``, keys spelled like fields."""
    if isinstance(value, JsonObject):
        return {to_field_name(key): _to_plain(inner) for key, inner in value}
    return [_to_plain(inner) for inner in value] if isinstance(value, list) else value


def to_field_name(key: str) -> str:
    """Return the name of a key or a column as a field is spelled."""
    # People copy keys from the command line, where the option is `--negative-prompt`, and columns
    # of a spreadsheet have spaces.
    return key.replace("-", "_").replace(" ", "_")


def _describe_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        line = f"line {error.lineno}, " if "\n" in error.doc else ""
        return f"{error.msg.lower()} ({line}column {error.colno})"
    return str(error)
