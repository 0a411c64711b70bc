"""The free keys of an item: they are kept with its job, and stand for ``{{name}}``. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any

from veo.batch.input import describe_value, make_problems, shorten_key, to_field_name
from veo.errors import UsageError
from veo.request import OPTIONS
from veo.text.parsing import is_text

if TYPE_CHECKING:
    from veo.problems import ItemLocation, ItemProblem

_VARIABLE = re.compile(r"\{\{([\w -]*)\}\}")
_WHOLE_NUMBER = re.compile(r"[+-]?\d+")
_LIST_SEPARATOR = ";"
# ``promt`` and ``tag`` are mistakes, ``scene`` (0.67 to ``seed``) and ``mood`` are columns.
_TYPO_RATIO = 0.8
_MAX_COLUMNS = 100
_MAX_NAME_CHARS = 100  # comparing takes the square of the length


def fill_columns(
    location: ItemLocation, body: Mapping[str, Any], known: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any], list[ItemProblem]]:
    """Return the keys of an item with their variables filled in, its columns, and the problems.

    A key that looks like a mistake for a known one stays among the keys, to be refused there.
    """
    free = [key for key in body if key not in known]
    # More than that are a mistake, and take long to compare.
    names = {key for key in free if _is_column(key, known)} if len(free) <= _MAX_COLUMNS else set()
    columns = {key: body[key] for key in free if key in names and body[key] is not None}
    texts = [*_find_value_problems(columns)]
    texts += sorted(
        f"{{{{{name}}}}}: there is no such column"
        for name in set(_list_variables([*body.values()])) - body.keys()
    )
    if texts:
        return {}, {}, list(make_problems(location, texts))
    keys = {key: _fill_value(key, body[key], body) for key in body if key not in names}
    return keys, columns, []


def check_columns(columns: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raise a UsageError for a column of a single request that no item of a batch could have."""
    names = [name for name in columns if not _is_column(name, known)]
    texts = [f"{shorten_key(name)}: is not a valid name of a column" for name in names]
    if problems := [*texts, *_find_value_problems(columns)]:
        raise UsageError(
            "; ".join(f"column {text}" for text in problems),
            hint="A name must not be that of an option, nor look like a mistake for one.",
        )


def _find_value_problems(columns: Mapping[str, Any]) -> Iterator[str]:
    for key, value in columns.items():
        if not _is_plain(value):
            yield f"{shorten_key(key)}: must be a text or a number, not {describe_value(value)}"


@lru_cache(maxsize=1024)  # all items of a file have the same columns
def find_meant_key(key: str, known: tuple[str, ...]) -> str | None:
    """Return the key that a free one is probably a mistake for: a typo, or a word of its name."""
    if len(key) > _MAX_NAME_CHARS:
        return None
    typos = get_close_matches(key, known, 1, _TYPO_RATIO)
    return next(iter(typos or (name for name in known if key in name.split("_"))), None)


def _is_column(key: str, known: tuple[str, ...]) -> bool:
    return 0 < len(key) <= _MAX_NAME_CHARS and not find_meant_key(key, known)


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return is_text(value)
    return isinstance(value, int) or (isinstance(value, float) and isfinite(value))


def convert_cell(name: str, text: str) -> Any:
    """Return a text as the type of its key: a whole number, or a list."""
    kind = OPTIONS[name].kind if name in OPTIONS else "text"
    if kind == "integer" and _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if (kind == "images" or name == "tags") and not _VARIABLE.search(text):
        return [part.strip() for part in text.split(_LIST_SEPARATOR) if part.strip()]
    return text


def _list_variables(values: list[Any]) -> Iterator[str]:
    # Not deeper than `_fill_value`: a list from YAML can hold itself.
    for text in chain.from_iterable(each if isinstance(each, list) else [each] for each in values):
        if isinstance(text, str):
            yield from (to_field_name(name.strip()) for name in _VARIABLE.findall(text))


def _fill_value(key: str, value: Any, body: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_fill_text(each, body) if isinstance(each, str) else each for each in value]
    if isinstance(value, str) and _VARIABLE.search(value):
        return convert_cell(key, _fill_text(value, body))
    return value


def _fill_text(text: str, body: Mapping[str, Any]) -> str:
    return _VARIABLE.sub(lambda match: _to_text(body[to_field_name(match[1].strip())]), text)


def _to_text(value: Any) -> str:
    return "" if value is None else str(value)
