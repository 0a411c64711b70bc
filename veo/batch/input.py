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


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, so that a key that comes twice is seen."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One item as it was written: its keys and values, none of them looked at."""

    spot: ItemLocation
    body: dict[str, Any]


def parse(data: bytes) -> tuple[list[Raw], list[ItemProblem]]:
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
        values = list(_values(text))
    except (ValueError, RecursionError) as error:
        return [], [ItemProblem(WHOLE, f"is no JSON list: {_reason(error)}")]
    items, problems = [], []
    for spot, value in values:
        found = list(_troubles(spot, value))
        problems += found
        if not found:
            items.append(Raw(spot, _plain(value)))
    if not values:
        problems.append(ItemProblem(WHOLE, "there are no items in it"))
    return items, problems


def shown(value: object) -> str:
    """A JSON value as a message names it: itself when it is short, else what it is."""
    if isinstance(value, list | dict):
        return "a list" if type(value) is list else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else "a long text"


def _values(text: str) -> Iterator[tuple[ItemLocation, Any]]:
    """Every item's value; a line that cannot be read is the error itself."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if text.lstrip().startswith("[") or (len(lines) > 1 and not _reads(lines[0][1])):
        whole = _load(text)
        listed = whole if isinstance(whole, list) and not isinstance(whole, Pairs) else [whole]
        yield from ((ItemLocation(index), value) for index, value in enumerate(listed))
        return
    for index, (number, line) in enumerate(lines):
        try:
            yield ItemLocation(index, number), _load(line)
        except (ValueError, RecursionError) as error:
            yield ItemLocation(index, number), error


def _troubles(spot: ItemLocation, value: Any) -> Iterator[ItemProblem]:
    if isinstance(value, Exception):
        yield ItemProblem(spot, f"is no JSON object: {_reason(value)}")
    elif not isinstance(value, Pairs):
        yield ItemProblem(spot, f'must be an object like {{"prompt": ...}}, not {shown(value)}')
    else:
        keys = [_key(key) for key, _ in value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        yield from (ItemProblem(spot, f"{key}: is said twice") for key in twice)


def _load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=Pairs, parse_constant=_refuse)


def _reads(line: str) -> bool:
    try:
        _load(line)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _plain(value: Any) -> Any:
    """The value without ``Pairs``; the keys of an item as its request has them."""
    if isinstance(value, Pairs):
        return {_key(key): _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _key(name: str) -> str:
    """``negative-prompt`` is ``negative_prompt``: the option's name is as good as the field's."""
    return name.replace("-", "_")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        line = f"line {error.lineno}, " if "\n" in error.doc else ""
        return f"{error.msg.lower()} ({line}column {error.colno})"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
