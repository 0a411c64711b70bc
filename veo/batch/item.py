"""One item of a batch: its keys, their types, the request that it asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError

from veo.batch.input import describe_value
from veo.errors import ImageError
from veo.image import Image
from veo.model import find_similar
from veo.problems import ItemLocation, ItemProblem
from veo.request import OPTIONS, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from veo.batch.input import RawItem


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a batch.

    Attributes:
        location: Where it stands.
        request: What is asked for; images as they were written, not looked at yet.
        provider: Its route; None for the batch's.
        output: Its file, under the batch's output folder; None for a name of its own making.
    """

    location: ItemLocation
    request: Request
    provider: str | None = None
    output: str | None = None


def _sound(text: str) -> str:
    if "\0" in text or not _encodes(text):
        raise PydanticCustomError("unsound", "holds a character that is none")
    return text


def _named(text: str) -> str:
    if not text:
        raise PydanticCustomError("unnamed", "must not be empty")
    return text


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, AfterValidator(_sound)]
Name = Annotated[Text, AfterValidator(_named)]


_TYPES: dict[str, Any] = {
    "text": Text,
    "name": Name,
    "integer": int,
    "flag": bool,
    "image": Name,
    "images": Annotated[list[Name], BeforeValidator(_listed)],
}


class _ItemKeys(BaseModel):
    """The keys of an item that are no options of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prompt: Text
    provider: Name | None = None
    output: Name | None = None


# ``null`` is as good as a key that is not given.
_OPTION_KEYS: dict[str, Any] = {
    name: (_TYPES[row.kind] | None, None) for name, row in OPTIONS.items()
}
ItemSchema = create_model("ItemSchema", __base__=_ItemKeys, **_OPTION_KEYS)


def read_item(raw: RawItem, defaults: Mapping[str, Any]) -> tuple[Item | None, list[ItemProblem]]:
    """An item, or every problem of its keys.

    Args:
        raw: As it was written.
        defaults: Values of keys that it does not say.
    """
    said = {key: value for key, value in raw.body.items() if value is not None or key == "prompt"}
    try:
        keys = ItemSchema.model_validate({**defaults, **said})
    except ValidationError as error:
        return None, list(_problems(raw.location, error))
    return _item(raw.location, keys)


def read_items(
    raws: Iterable[RawItem], defaults: Mapping[str, Any] | None = None
) -> tuple[list[Item], list[ItemProblem]]:
    """All items that can be read, and every problem of the others."""
    items, problems = [], []
    for raw in raws:
        item, found = read_item(raw, defaults or {})
        problems += found
        if item:
            items.append(item)
    return items, problems


def _item(location: ItemLocation, keys: _ItemKeys) -> tuple[Item | None, list[ItemProblem]]:
    values = {name: value for name, value in keys if value is not None}
    provider, output = values.pop("provider", None), values.pop("output", None)
    problems: list[ItemProblem] = []
    for name, row in OPTIONS.items():
        if row.kind in {"image", "images"} and name in values:
            problems += _find_image_problems(location, name, values[name])
    if problems:
        return None, problems
    return Item(location, Request(**values), provider, output), []


def _find_image_problems(
    location: ItemLocation, name: str, sources: str | list[str]
) -> Iterator[ItemProblem]:
    """Yield a problem for each source that ``Request`` would refuse."""
    keys = {f"{name}[{number}]": source for number, source in enumerate(sources)}
    for key, source in ({name: sources} if isinstance(sources, str) else keys).items():
        try:
            Image.of(source)
        except ImageError as error:
            yield from error.to_item_problems(location, key)


def _problems(location: ItemLocation, error: ValidationError) -> Iterator[ItemProblem]:
    for problem in error.errors(include_url=False):
        key, *rest = problem["loc"]
        name = str(key) + "".join(f"[{part}]" for part in rest)
        yield ItemProblem(location, f"{name}: {_words(str(key), dict(problem))}")


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list of images",
}


def _words(key: str, problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "extra_forbidden":
        meant = find_similar(key, list(ItemSchema.model_fields))
        return "there is no such key" + (f"; did you mean {meant}?" if meant else "")
    if wanted := _WANTED.get(problem["type"]):
        return f"must be {wanted}, not {describe_value(problem['input'])}"
    return str(problem["msg"])
