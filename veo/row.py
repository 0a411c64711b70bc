"""Frozen rows of values, whose annotations say what is valid: facts of models, and settings.

pydantic validates what users and programs write. It is imported with the first such row, since
that takes as long as the rest of a short command. Rows that ship with a package are only
converted; tests make sure that they are valid.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from functools import cache, partial
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from veo.text.spelling import find_similar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails


class InvalidRowError(ValueError):
    """A row is not valid; no text of it contains a value, which may be a key.

    Attributes:
        problems: The location of each problem, as keys and indexes, and what is wrong there.
    """

    def __init__(self, problems: list[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, loc))}: {text}" for loc, text in problems))
        self.problems = problems


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Row:
    """A frozen dataclass with keyword arguments that are validated. An unknown key is an error.

    Raises:
        InvalidRowError: A value is not valid.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, init=False, eq=False)(cls)

    def __init__(self, /, **values: Any) -> None:
        row = _validate(type(self), values) if values else self.convert({})
        vars(self).update(vars(row))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self)))  # only the names, since some values are dictionaries

    @classmethod
    def convert(cls, values: Mapping[str, Any]) -> Self:
        """Return a row of a file that ships with a package; only its keys are validated."""
        kind: Any = cls  # for mypy, a class is hashable if its instances are
        converters, defaults = _converters(kind), _defaults(kind)
        if not converters.keys() - defaults.keys() <= values.keys() <= converters.keys():
            _validate(cls, values)  # says what is wrong
        row = object.__new__(cls)
        for name, convert in converters.items():
            vars(row)[name] = convert(values[name]) if name in values else defaults[name]()
        return row

    def replace(self, **changes: Any) -> Self:
        """Return the row with other values, which are not validated."""
        row = object.__new__(type(self))
        vars(row).update(vars(self), **changes)
        return row

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON has them: an amount or a path is a text, a set a list."""
        return {name: _to_json(value) for name, value in vars(self).items()}


class Bounds:
    """Bounds of a value, as ``pydantic.Field`` has them: ``ge``, ``min_length``, ``pattern``."""

    def __init__(self, **bounds: Any) -> None:
        self._bounds = bounds

    def __get_pydantic_core_schema__(self, kind: Any, build: Callable[[Any], Any]) -> Any:
        return build(kind) | self._bounds


class Check:
    """A function that returns the value, or raises a ValueError; before or after conversion."""

    def __init__(self, function: Callable[[Any], Any], mode: str = "after") -> None:
        self._function, self._mode = function, mode

    def __get_pydantic_core_schema__(self, kind: Any, build: Callable[[Any], Any]) -> Any:
        function = {"type": "no-info", "function": self._function}
        return {"type": f"function-{self._mode}", "function": function, "schema": build(kind)}


@cache
def adapt(kind: Any) -> TypeAdapter[Any]:
    """Return what validates a kind of rows, and describes it as a JSON Schema."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - see the beginning of this file

    return TypeAdapter(kind)


def _validate(kind: Any, values: Mapping[str, Any]) -> Any:
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    try:
        return adapt(kind).validate_python(values)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False, include_context=False)
        raise InvalidRowError(
            [(each["loc"], _problem_text(kind, each)) for each in details]
        ) from None


# What a value of a type is in a file, by the first word of pydantic's error.
_TEXTS = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "path": "a path",
    "dataclass": "a table",
    "dict": "a table",
    "tuple": "a list",
    "frozen": "a list",  # frozen_set_type
    "list": "a list",
    "date": "a date",
}


def _problem_text(kind: type[Row], problem: ErrorDetails) -> str:
    if problem["type"] != "unexpected_keyword_argument":
        text = problem["msg"].removeprefix("Value error, ")
        word, _, rest = problem["type"].partition("_")
        if word in _TEXTS and rest.startswith(("type", "parsing", "from", "set")):
            return f"must be {_TEXTS[word]}"
        return text.replace("Input should be", "must be")
    *path, name = map(str, problem["loc"])
    row: Any = kind
    for each in path:
        row = _hints(row).get(each) if is_row(row) else None
    similar = find_similar(name, list(_hints(row))) if is_row(row) else None
    if similar is None:  # perhaps it belongs to another table
        tables = dict(_list_settings(kind))
        if similar := find_similar(name, list(tables)):
            similar += f" of [{tables[similar]}]" if tables[similar] else ", before all tables"
    return "no such setting" + (f"; did you mean {similar}?" if similar else "")


def _list_settings(kind: Any, table: str = "") -> Iterator[tuple[str, str]]:
    """Yield every setting of a row and of the tables in it, with the name of its table."""
    for name, hint in _hints(kind).items():
        yield name, table
        row, row_table = hint, f"{table}.{name}".lstrip(".")
        if get_origin(hint) is dict:
            row, row_table = get_args(hint)[1], f"{row_table}.NAME"
        if is_row(row):
            yield from _list_settings(row, row_table)


def _to_json(value: Any) -> Any:
    if isinstance(value, Row):
        return value.to_json()
    if isinstance(value, dict):
        return {str(key): _to_json(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        value = sorted(value)
    if isinstance(value, tuple | list):
        return [_to_json(each) for each in value]
    return value if isinstance(value, str | int | float | NoneType) else str(value)


def is_row(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Row)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Return the type of each field."""
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name] for each in fields(kind)}


@cache
def _defaults(kind: Any) -> dict[str, Callable[[], Any]]:
    """Return what makes the default of each field that has one."""
    makers: dict[str, Any] = {}
    for each in fields(kind):
        if each.default is not MISSING:
            makers[each.name] = partial(_identity, each.default)
        elif each.default_factory is not MISSING:
            makers[each.name] = each.default_factory
    return makers


def _identity(value: Any) -> Any:
    return value


@cache
def _converters(kind: Any) -> dict[str, Callable[[Any], Any]]:
    return {name: _make_converter(hint) for name, hint in _hints(kind).items()}


def _make_converter(kind: Any) -> Callable[[Any], Any]:
    """Return what converts a value of TOML, a number, text, list or table, to a type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _make_converter(arguments[0])
    if origin in (Union, UnionType):  # a value or a table of them; TOML has no None
        choices = [_make_converter(each) for each in arguments if each is not NoneType]
        return lambda value: choices[isinstance(value, dict) and len(choices) > 1](value)
    if origin in (tuple, frozenset):
        inner = _make_converter(arguments[0])
        return lambda values: origin(map(inner, values))
    if origin is dict:
        inner = _make_converter(arguments[1])
        return lambda table: {key: inner(value) for key, value in table.items()}
    if kind is Decimal:
        return Decimal
    return kind.convert if is_row(kind) else _identity
