"""Turns the raw items of a batch into requests, and names every problem of their keys. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError

from veo.batch.columns import fill_columns, find_meant_key
from veo.batch.input import (
    MAX_PROBLEMS,
    RawItem,
    describe_value,
    make_problems,
    shorten_key,
)
from veo.errors import ImageError
from veo.image import Image
from veo.request import OPTIONS, Request
from veo.text.parsing import is_text
from veo.text.spelling import NORMALIZERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from veo.problems import ItemLocation, ItemProblem


@dataclass(frozen=True, slots=True)
class Item:
    location: ItemLocation
    request: Request  # its images were not read yet
    provider: str | None = None  # None for that of the batch
    output: str | None = None  # below the output folder; None for a generated name
    tags: tuple[str, ...] = ()  # words to find its job again
    columns: Mapping[str, Any] = field(default_factory=dict)  # its free keys, kept with its job


def _check_characters(text: str) -> str:
    # JSON escapes can spell a NUL, which no path may hold, and half of a surrogate pair.
    if "\0" in text or not is_text(text):
        raise PydanticCustomError("invalid_character", "contains an invalid character")
    return text


def _wrap_single(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(_check_characters)]
Name = Annotated[str, Field(min_length=1), AfterValidator(_check_characters)]

_TYPES: dict[str, Any] = {
    "text": Text,
    "name": Name,
    "integer": int,
    "flag": bool,
    "image": Name,
    "images": Annotated[list[Name], BeforeValidator(_wrap_single)],
}
_TEXTS = {"missing": "is missing", "string_too_short": "must not be empty"}
_TYPE_NAMES = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list of images",
}


class _ItemKeys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prompt: Text
    provider: Name | None = None
    output: Name | None = None
    tags: Annotated[list[Name], BeforeValidator(_wrap_single)] | None = None


# Numbers are checked strictly, so that "8s" has to become 8 before.
_OPTION_KEYS: dict[str, Any] = {
    name: (
        Annotated[
            _TYPES[row.kind] | None, BeforeValidator(NORMALIZERS.get(name, lambda value: value))
        ],
        None,
    )
    for name, row in OPTIONS.items()
}
ItemSchema = create_model("ItemSchema", __base__=_ItemKeys, **_OPTION_KEYS)
KNOWN_KEYS = tuple(ItemSchema.model_fields)


def read_item(raw: RawItem, defaults: Mapping[str, Any]) -> tuple[Item | None, list[ItemProblem]]:
    """Return the item, or every problem of its keys; a key that is null is not set."""
    # A prompt has no default, so that its null stays, and is reported as such.
    values = {key: value for key, value in raw.body.items() if value is not None or key == "prompt"}
    body = {**raw.body, **defaults, **values}
    body, columns, problems = fill_columns(raw.location, body, KNOWN_KEYS)
    if problems:
        return None, problems
    try:
        keys = ItemSchema.model_validate(body)
    except ValidationError as error:
        return None, list(_convert_problems(raw.location, error))
    return _build_item(raw.location, keys, columns)


def read_items(
    raw_items: Iterable[RawItem], defaults: Mapping[str, Any] | None = None
) -> tuple[list[Item], list[ItemProblem]]:
    items, problems = [], []
    for raw in raw_items:
        item, item_problems = read_item(raw, defaults or {})
        problems += item_problems
        if item:
            items.append(item)
    return items, problems


def expand_takes(items: Iterable[Item], takes: int) -> list[Item]:
    """Return each item as often as there are takes, with numbered outputs and other seeds."""
    return [
        replace(
            item,
            request=take_request(item.request, number),
            output=take_output(item.output, number) if item.output else None,
        )
        for item in items
        for number in range(1, takes + 1)
    ]


def take_request(request: Request, number: int) -> Request:
    """Return the request of a take; a seed counts up, because equal ones give equal videos."""
    if request.seed is None or number == 1:
        return request
    return replace(request, seed=request.seed + number - 1)


def take_output(output: str, number: int) -> str:
    """Return ``clips/lion-2.mp4`` for the second take of ``clips/lion.mp4``."""
    path = PurePath(output)
    return str(path.with_name(f"{path.stem}-{number}{path.suffix}"))


def _build_item(
    location: ItemLocation, keys: _ItemKeys, columns: Mapping[str, Any]
) -> tuple[Item | None, list[ItemProblem]]:
    values = {name: value for name, value in keys if value is not None}
    provider, output = values.pop("provider", None), values.pop("output", None)
    tags = tuple(values.pop("tags", ()))
    problems: list[ItemProblem] = []
    for name, row in OPTIONS.items():
        if row.kind in {"image", "images"} and name in values:
            problems += _find_image_problems(location, name, values[name])
    if problems:
        return None, problems
    return Item(location, Request(**values), provider, output, tags, columns), []


def _find_image_problems(
    location: ItemLocation, name: str, sources: str | list[str]
) -> Iterator[ItemProblem]:
    keys = {f"{name}[{number}]": source for number, source in enumerate(sources)}
    for key, source in ({name: sources} if isinstance(sources, str) else keys).items():
        try:
            Image.of(source)
        except ImageError as error:
            yield from error.to_item_problems(location, key)


def _convert_problems(location: ItemLocation, error: ValidationError) -> Iterator[ItemProblem]:
    found = error.errors(include_url=False)
    # Only of as many as are shown: a similar key takes a while to find.
    texts = [_describe_details(dict(details)) for details in found[:MAX_PROBLEMS]]
    yield from make_problems(location, texts + [""] * (len(found) - len(texts)))


def _describe_details(details: Mapping[str, Any]) -> str:
    key, *rest = details["loc"]
    name = shorten_key(str(key)) + "".join(f"[{part}]" for part in rest)
    return f"{name}: {_describe_problem(str(key), details)}"


def _describe_problem(key: str, details: Mapping[str, Any]) -> str:
    if text := _TEXTS.get(details["type"]):
        return text
    if details["type"] == "extra_forbidden":
        similar = find_meant_key(key, KNOWN_KEYS)
        return "is not a known key" + (f"; did you mean {similar}?" if similar else "")
    if type_name := _TYPE_NAMES.get(details["type"]):
        return f"must be {type_name}, not {describe_value(details['input'])}"
    return str(details["msg"])
