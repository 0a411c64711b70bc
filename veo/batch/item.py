"""One item of a batch: its keys, their types, the request that it asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from veo.batch.input import describe_value
from veo.errors import ImageError
from veo.image import Image
from veo.model import find_similar
from veo.problems import ItemLocation, ItemProblem
from veo.request import Request

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


class Keys(BaseModel):
    """The keys that an item may have, and their types; null is as good as not said."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prompt: Text
    provider: Name | None = None
    model: Name | None = None
    output: Name | None = None
    start_frame: Name | None = None
    end_frame: Name | None = None
    reference: Annotated[list[Name] | None, BeforeValidator(_listed)] = None
    negative_prompt: Text | None = None
    aspect_ratio: Name | None = None
    resolution: Name | None = None
    duration: int | None = None
    seed: int | None = None
    person_generation: Name | None = None


def read_item(raw: RawItem, defaults: Mapping[str, Any]) -> tuple[Item | None, list[ItemProblem]]:
    """An item, or every problem of its keys.

    Args:
        raw: As it was written.
        defaults: Values of keys that it does not say.
    """
    said = {key: value for key, value in raw.body.items() if value is not None or key == "prompt"}
    try:
        keys = Keys.model_validate({**defaults, **said})
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


def _item(location: ItemLocation, keys: Keys) -> tuple[Item | None, list[ItemProblem]]:
    problems: list[ItemProblem] = []

    def image(key: str, source: str | None) -> Image | None:
        try:
            return Image.of(source) if source is not None else None
        except ImageError as error:
            problems.extend(error.to_item_problems(location, key))
            return None

    start, end = image("start_frame", keys.start_frame), image("end_frame", keys.end_frame)
    sources = enumerate(keys.reference or ())
    reference = [image(f"reference[{number}]", source) for number, source in sources]
    if problems:
        return None, problems
    request = Request(
        prompt=keys.prompt,
        model=keys.model,
        aspect_ratio=keys.aspect_ratio,
        resolution=keys.resolution,
        duration=keys.duration,
        negative_prompt=keys.negative_prompt,
        seed=keys.seed,
        person_generation=keys.person_generation,
        start_frame=start,
        end_frame=end,
        reference=tuple(picture for picture in reference if picture),
    )
    return Item(location, request, keys.provider, keys.output), []


def _problems(location: ItemLocation, error: ValidationError) -> Iterator[ItemProblem]:
    for problem in error.errors(include_url=False):
        key, *rest = problem["loc"]
        name = str(key) + "".join(f"[{part}]" for part in rest)
        yield ItemProblem(location, f"{name}: {_words(str(key), dict(problem))}")


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "list_type": "a list of pictures",
}


def _words(key: str, problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "extra_forbidden":
        meant = find_similar(key, list(Keys.model_fields))
        return "there is no such key" + (f"; did you mean {meant}?" if meant else "")
    if wanted := _WANTED.get(problem["type"]):
        return f"must be {wanted}, not {describe_value(problem['input'])}"
    return str(problem["msg"])
