"""A request for one video, and the table of its fields from which everything else is derived."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, Unpack, get_type_hints

from veo.errors import UsageError
from veo.image import Image
from veo.text.spelling import NORMALIZERS
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    ImageSource = Image | str | Path | bytes


@dataclass(frozen=True, slots=True)
class RequestField:
    """The facts about a field of a request that are the same for every provider and model.

    ``check``, the names of a model's features, the keys of a batch item, the options of the
    command line and the tables of the documentation are derived from it.
    """

    # A ``name`` is a text that must not be empty.
    kind: Literal["text", "name", "integer", "flag", "image", "images", "video"]
    help: str  # one line for a person
    metavar: str = ""  # stands for its value in the help of the command line
    values: tuple[str, ...] = ()  # its usual values; without ``model_values`` only these are valid
    # The attribute of ``Model`` with the values it accepts, the default first.
    model_values: str | None = None
    is_feature: bool = False  # whether a model accepts the field only if its ``features`` name it
    is_option: bool = True  # of a command, and a key of an item
    label: str = ""  # in tables; by default its name with spaces


# Repeats the fields, because type checkers cannot derive a TypedDict; a test compares the two.
class RequestKwargs(TypedDict, total=False):
    """The fields of a ``Request`` except its prompt, as keyword arguments of ``Client.submit``."""

    model: str | None
    start_frame: ImageSource | None
    end_frame: ImageSource | None
    reference: ImageSource | Sequence[ImageSource]
    negative_prompt: str | None
    aspect_ratio: str | None
    resolution: str | None
    duration: int | str | None
    seed: int | None
    person_generation: str | None
    fit: str | None
    extend: RemoteVideo | None
    edit: RemoteVideo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request for one video. A field that is None is left to the model's default.

    Images may be given as anything that ``Image.of`` accepts: paths, URLs, data URIs, bytes.
    What a field means and which values it has stands beside it.

    Raises:
        ImageError: A data URI cannot be decoded.
    """

    prompt: Annotated[str, RequestField("text", "What the video shows.", is_option=False)]
    model: Annotated[
        str | None, RequestField("name", "Chosen from the request by default.", "NAME")
    ] = None
    start_frame: Annotated[
        Image | None,
        RequestField("image", "Image to start with: a file or a URL.", "IMAGE", is_feature=True),
    ] = None
    end_frame: Annotated[
        Image | None,
        RequestField("image", "Image to end with; needs a start frame.", "IMAGE", is_feature=True),
    ] = None
    reference: Annotated[
        tuple[Image, ...],
        RequestField("images", "Reference image; can be repeated.", "IMAGE", is_feature=True),
    ] = ()
    negative_prompt: Annotated[
        str | None, RequestField("text", "What the video must not show.", "TEXT", is_feature=True)
    ] = None
    aspect_ratio: Annotated[
        str | None,
        RequestField(
            "name",
            "Aspect ratio: 16:9 (landscape) or 9:16 (portrait).",
            "W:H",
            values=("16:9", "9:16"),
            model_values="aspect_ratios",
        ),
    ] = None
    resolution: Annotated[
        str | None,
        RequestField(
            "name",
            "Resolution: 360p, 720p, 1080p or 4k.",
            "SIZE",
            values=("360p", "720p", "1080p", "4k"),
            model_values="resolutions",
        ),
    ] = None
    duration: Annotated[
        int | None,
        RequestField("integer", "Length of the video.", "SECONDS", model_values="durations"),
    ] = None
    seed: Annotated[
        int | None,
        RequestField(
            "integer", "Seed; equal seeds give similar videos.", "NUMBER", is_feature=True
        ),
    ] = None
    person_generation: Annotated[
        str | None,
        RequestField(
            "name",
            "People in the video: allow_all, allow_adult or dont_allow.",
            "RULE",
            values=("allow_all", "allow_adult", "dont_allow"),
            is_feature=True,
        ),
    ] = None
    fit: Annotated[
        str | None,
        RequestField(
            "name",
            "Frames of another shape: crop cuts them to that of the video, pad adds bars.",
            "HOW",
            values=("crop", "pad"),
        ),
    ] = None
    extend: Annotated[
        RemoteVideo | None,
        RequestField(
            "video", "The video to extend.", is_feature=True, is_option=False, label="extension"
        ),
    ] = None
    edit: Annotated[
        RemoteVideo | None,
        RequestField(
            "video", "The video to change.", is_feature=True, is_option=False, label="edit"
        ),
    ] = None

    if TYPE_CHECKING:  # it accepts more than the fields hold: `__post_init__` converts it

        def __init__(self, *, prompt: str, **fields: Unpack[RequestKwargs]) -> None: ...

    def __post_init__(self) -> None:
        # The only place where sources become images, so every way to make a request has it.
        for name in _names_of_kind("image"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Image.of(getattr(self, name)))
        for name in _names_of_kind("images"):
            object.__setattr__(self, name, _to_images(getattr(self, name)))
        for name, normalize in NORMALIZERS.items():
            object.__setattr__(self, name, normalize(getattr(self, name)))

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in self._given_fields())
        return f"Request({', '.join(given)})"

    @classmethod
    def of(cls, request: Request | str, **options: Unpack[RequestKwargs]) -> Request:
        """Return a request, given whole or as a prompt, with the fields in ``options``."""
        values: dict[str, Any] = dict(options)
        if isinstance(request, Request):
            return replace(request, **values) if values else request
        if not isinstance(request, str):
            kind = type(request).__name__
            raise UsageError(f"a request is a text or a veo.Request, not an object of type {kind}")
        return cls(prompt=request, **values)

    @property
    def frames(self) -> tuple[Image, ...]:
        """The start frame and the end frame, as far as given."""
        return tuple(frame for frame in (self.start_frame, self.end_frame) if frame)

    @property
    def images(self) -> tuple[Image, ...]:
        """Every image of the request: start frame, end frame, references."""
        return tuple(image for _, image in self.named_images())

    @property
    def source(self) -> RemoteVideo | None:
        """The video that the request extends or changes."""
        return self.extend or self.edit

    def named_images(self) -> Iterator[tuple[str, Image]]:
        """Yield every image with the name of its field, as in ``reference[0]``."""
        for name in _names_of_kind("image"):
            if image := getattr(self, name):
                yield name, image
        for name in _names_of_kind("images"):
            for number, image in enumerate(getattr(self, name)):
                yield f"{name}[{number}]", image

    def map_images(self, change: Callable[[Image], Image]) -> Request:
        """Return the request with every image replaced by ``change(image)``."""
        if not self.images:
            return self
        changes: dict[str, Any] = {}
        for name in _names_of_kind("image"):
            image = getattr(self, name)
            changes[name] = image and change(image)
        for name in _names_of_kind("images"):
            changes[name] = tuple(map(change, getattr(self, name)))
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are given; images as source and sha256, without their bytes."""
        return {name: _to_json(value) for name, value in self._given_fields()}

    def _given_fields(self) -> Iterator[tuple[str, Any]]:
        for name in REQUEST_FIELDS:
            if is_given(value := getattr(self, name)):
                yield name, value

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Request:
        """Return the request that ``to_json`` described; its images are references to files."""
        values = dict(body)
        for name in values.keys() & set(_names_of_kind("image")):
            values[name] = Image(**values[name])
        for name in values.keys() & set(_names_of_kind("images")):
            values[name] = tuple(Image(**image) for image in values[name])
        for name in values.keys() & set(_names_of_kind("video")):
            values[name] = RemoteVideo(**values[name])
        return cls(**values)

    def fingerprint(self) -> str:
        """Return a sha256 of the request; an image counts by its content, not by its path."""
        body = self.map_images(lambda image: Image(image.sha256 or image.source)).to_json()
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


# Facts stand in the annotations, so that a field cannot be added without them.
REQUEST_FIELDS: Mapping[str, RequestField] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Request, include_extras=True).items()
}
FEATURES = tuple(name for name, row in REQUEST_FIELDS.items() if row.is_feature)
OPTIONS = {name: row for name, row in REQUEST_FIELDS.items() if row.is_option}
# The attribute of a model that lists the allowed values of a field, by the field's name.
MODEL_VALUES = {name: row.model_values for name, row in REQUEST_FIELDS.items() if row.model_values}


def is_given(value: Any) -> bool:
    """Return whether a field has a value; a ``False`` or a 0 is one."""
    return value is not None and value != ()


@cache
def _names_of_kind(kind: str) -> tuple[str, ...]:
    return tuple(name for name, row in REQUEST_FIELDS.items() if row.kind == kind)


def _to_images(sources: Any) -> tuple[Image, ...]:
    # A single path or URL is one image, although a text can be iterated over.
    several = sources if isinstance(sources, tuple | list) else (sources,)
    return tuple(Image.of(source) for source in several if source is not None)


def _to_json(value: Any) -> Any:
    if isinstance(value, Image):
        return {"source": value.source, "sha256": value.sha256}
    if isinstance(value, RemoteVideo):
        return value.to_json()
    return [_to_json(item) for item in value] if isinstance(value, tuple) else value
