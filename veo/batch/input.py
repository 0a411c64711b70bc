"""The text of a batch file as raw items: a JSON list, or JSON Lines. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veo.problems import ItemLocation, ItemProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = ItemLocation(None)
_SHORT = 40


class ObjectPairs(list[tuple[str, Any]]):
    """A JSON object as it was written, so that a key that comes twice is seen."""


@dataclass(frozen=True, slots=True)
class RawItem:
    """One item as it was written: its keys and values, none of them looked at."""

    location: ItemLocation
    body: dict[str, Any]


def parse_items(data: bytes) -> tuple[list[RawItem], list[ItemProblem]]:
    """The items of a batch, and what cannot be read of it.

    Args:
        data: UTF-8: a JSON list of objects, one object, or one object a line (JSON Lines).

    Returns:
        Items in order, and problems in order. Items are counted whether they can be read or not.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return [], [ItemProblem(ItemLocation(None, line), "is not UTF-8 text")]
    try:
        values = list(_split_values(text))
    except (ValueError, RecursionError) as error:
        return [], [ItemProblem(WHOLE, f"is no JSON list: {_error_text(error)}")]
    items, problems = [], []
    for location, value in values:
        found = list(_find_problems(location, value))
        problems += found
        if not found:
            items.append(RawItem(location, _to_plain(value)))
    if not values:
        problems.append(ItemProblem(WHOLE, "there are no items in it"))
    return items, problems


def describe_value(value: object) -> str:
    """A JSON value as a message names it: itself when it is short, else what it is."""
    if isinstance(value, list | dict):
        return "a list" if type(value) is list else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else "a long text"


def _split_values(text: str) -> Iterator[tuple[ItemLocation, Any]]:
    """Every item's value; a line that cannot be read is the error itself."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if text.lstrip().startswith("[") or (len(lines) > 1 and not _is_json(lines[0][1])):
        whole = _load_json(text)
        listed = (
            whole if isinstance(whole, list) and not isinstance(whole, ObjectPairs) else [whole]
        )
        yield from ((ItemLocation(index), value) for index, value in enumerate(listed))
        return
    for index, (number, line) in enumerate(lines):
        try:
            yield ItemLocation(index, number), _load_json(line)
        except (ValueError, RecursionError) as error:
            yield ItemLocation(index, number), error


def _find_problems(location: ItemLocation, value: Any) -> Iterator[ItemProblem]:
    if isinstance(value, Exception):
        yield ItemProblem(location, f"is no JSON object: {_error_text(value)}")
    elif not isinstance(value, ObjectPairs):
        yield ItemProblem(
            location, f'must be an object like {{"prompt": ...}}, not {describe_value(value)}'
        )
    else:
        keys = [_field_name(key) for key, _ in value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        yield from (ItemProblem(location, f"{key}: is said twice") for key in twice)


def _load_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=ObjectPairs, parse_constant=_reject_constant)


def _is_json(line: str) -> bool:
    try:
        _load_json(line)
    except (ValueError, RecursionError):
        return False
    return True


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _to_plain(value: Any) -> Any:
    """The value without ``Pairs``; the keys of an item as its request has them."""
    if isinstance(value, ObjectPairs):
        return {_field_name(key): _to_plain(inner) for key, inner in value}
    return [_to_plain(inner) for inner in value] if isinstance(value, list) else value


def _field_name(name: str) -> str:
    """``negative-prompt`` is ``negative_prompt``: the option's name is as good as the field's."""
    return name.replace("-", "_")


def _error_text(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        line = f"line {error.lineno}, " if "\n" in error.doc else ""
        return f"{error.msg.lower()} ({line}column {error.colno})"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
