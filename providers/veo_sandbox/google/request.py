"""Reading `predictLongRunning`: what is asked for, and all that can be wrong with it.

Where a text is known from users of the API it is that text; the others are worded like them.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from veo_sandbox.exchange import Call, Upload
from veo_sandbox.google.errors import bad, no_use_case, unsupported
from veo_sandbox.profiles.images import TAKEN, kind_of
from veo_sandbox.state.price_list import Model

MOST_BODY = 20 * 1024 * 1024
"""Bytes of a whole request (commonly reported)."""

_INSTANCE = frozenset({"prompt", "image", "lastFrame", "referenceImages", "video"})
_PIXELS = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
_RATIOS = ("16:9", "9:16")
_SECONDS = (4, 6, 8)
_MOST_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class Api:
    """The members that one of the two APIs takes.

    Attributes:
        top: Beside `instances` and `parameters`.
        parameters: Of `parameters`.
        video: Of an instance's `video`.
        persons: Values of `personGeneration` for text and extension, and for pictures.
    """

    top: frozenset[str]
    parameters: frozenset[str]
    video: frozenset[str]
    persons: tuple[frozenset[str], frozenset[str]]


@dataclass(slots=True)
class Asked:
    """A create that was understood; `seconds` are those of the finished video's new part."""

    prompt: str
    resolution: str = "720p"
    ratio: str = "16:9"
    seconds: int = 8
    start: Upload | None = None
    end: Upload | None = None
    references: list[Upload] = field(default_factory=list)
    video: dict[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = _PIXELS[self.resolution]
        return (width, height) if self.ratio == "16:9" else (height, width)

    @property
    def frames(self) -> list[Upload]:
        """Start, then end."""
        return [frame for frame in (self.start, self.end) if frame]


def read(api: Api, model: Model, call: Call) -> Asked:
    """Understand a create.

    Raises:
        Refusal: something is wrong with it; nothing is begun then.
    """
    instance, parameters = _halves(api, call)
    _only(instance, _INSTANCE, model)
    _only(parameters, api.parameters, model)
    asked = Asked(str(instance.get("prompt") or ""), parameters=parameters)
    _read_parameters(asked, model, parameters)
    _read_pictures(asked, instance)
    asked.video = _video(api, instance.get("video"))
    _check_mix(asked)
    _check_persons(api, asked, parameters)
    return asked


def _halves(api: Api, call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(call.body) > MOST_BODY:
        raise bad(f"Request payload size exceeds the limit: {MOST_BODY} bytes.")
    if call.malformed:
        raise bad(f"Invalid JSON payload received. {call.malformed}")
    if unknown := sorted(call.fields.keys() - api.top - {"instances", "parameters"}):
        told = f'Unknown name "{unknown[0]}": Cannot find field.'
        raise bad(f"Invalid JSON payload received. {told}")
    match call.fields.get("instances"):
        case [dict(instance)]:
            pass
        case _:
            raise bad("`instances` needs to be a list of one object.")
    parameters = call.fields.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise bad("`parameters` needs to be an object.")
    return instance, parameters


def _only(given: Mapping[str, Any], known: frozenset[str], model: Model | None = None) -> None:
    for name in given:
        if model and name == "video" and name in model.lacks:
            raise bad("Video extension is not allowed for this model")
        if name not in known or (model and name in model.lacks):
            raise unsupported(name)


def _read_parameters(asked: Asked, model: Model, given: Mapping[str, Any]) -> None:
    asked.seconds = _number(given, "durationSeconds", 8, _SECONDS)
    _number(given, "sampleCount", 1, (1,))
    _number(given, "seed", 0, range(2**32))
    asked.ratio = _choice(given, "aspectRatio", _RATIOS)
    asked.resolution = _choice(given, "resolution", tuple(_PIXELS))
    if not model.sells(asked.resolution):
        raise bad(f"{asked.resolution} is not supported by this model.")
    if asked.resolution != "720p" and asked.seconds != 8:
        told = f"for a duration of {asked.seconds} seconds."
        raise bad(f"{asked.resolution} is not supported {told}")


def _number(
    given: Mapping[str, Any], name: str, default: int, allowed: tuple[int, ...] | range
) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(f"The value type for `{name}` needs to be a number.")
    if value not in allowed:
        raise bad(
            f"The number value for `{name}` is out of bound. "
            f"Please provide a value between {allowed[0]} and {allowed[-1]}, inclusive."
        )
    return int(value)


def _choice(given: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = given.get(name, allowed[0])
    if value not in allowed:
        told = ", ".join(allowed)
        raise bad(f"The value {value!r} for `{name}` is not supported. Use one of: {told}.")
    return str(value)


def _read_pictures(asked: Asked, instance: Mapping[str, Any]) -> None:
    if "image" in instance:
        asked.start = _picture("image", instance["image"])
    if "lastFrame" in instance:
        asked.end = _picture("lastFrame", instance["lastFrame"])
    if "referenceImages" in instance:
        asked.references = _references(instance["referenceImages"])


def _references(given: object) -> list[Upload]:
    if not isinstance(given, list) or not 1 <= len(given) <= _MOST_REFERENCES:
        raise bad(f"`referenceImages` needs to be a list of 1 to {_MOST_REFERENCES} images.")
    return [_reference(each) for each in given]


def _reference(given: object) -> Upload:
    if not isinstance(given, dict):
        raise bad("`referenceImages` needs to be a list of objects.")
    _only(given, frozenset({"image", "referenceType"}))
    if str(given.get("referenceType")).lower() != "asset":
        raise no_use_case()
    return _picture("referenceImages", given.get("image"))


def _picture(name: str, given: object) -> Upload:
    if not isinstance(given, dict):
        raise bad(f"`{name}` needs to be an object.")
    _only(given, frozenset({"bytesBase64Encoded", "mimeType"}))
    if len(given) < 2:
        raise bad(
            "Input instance with `image` should contain both `bytesBase64Encoded` and `mimeType` "
            "in underlying struct value."
        )
    data = decoded(given["bytesBase64Encoded"], name)
    if kind_of(data) not in TAKEN:
        raise bad("Unable to process input image.")
    return Upload(name, "", str(given["mimeType"]), data)


def decoded(text: object, name: str) -> bytes:
    """The bytes of a base64 member.

    Raises:
        Refusal: it is none.
    """
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise bad(f"Base64 decoding failed for `{name}`.") from None


def _video(api: Api, given: object) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise bad("`video` needs to be an object.")
    _only(given, api.video)
    return given


def _check_mix(asked: Asked) -> None:
    """What does not go together (documented, and measured by users)."""
    if asked.references and (asked.frames or asked.video):
        raise unsupported("referenceImages")
    alone = asked.end and not asked.start
    short = asked.seconds != 8 and (asked.references or asked.video)
    if alone or short or (asked.video and asked.frames):
        raise no_use_case()
    if asked.video and asked.resolution != "720p":
        raise bad(f"{asked.resolution} is not supported for video extension.")
    if not asked.prompt.strip() and not asked.start:
        raise bad("`prompt` is required.")


def _check_persons(api: Api, asked: Asked, given: Mapping[str, Any]) -> None:
    value = given.get("personGeneration")
    allowed = api.persons[1 if asked.frames or asked.references else 0]
    if value is not None and str(value).lower() not in allowed:
        raise bad(f"{value} for personGeneration is currently not supported.")
