"""Reading `predictLongRunning`: what is asked for, and all that can be wrong with it.

Where a text is known from users of the API it is that text; the others are worded like them.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from veo_sandbox.exchange import Exchange, Upload
from veo_sandbox.google.errors import bad_request_error, unsupported_error, use_case_error
from veo_sandbox.profiles.images import ACCEPTED_FORMATS, image_format
from veo_sandbox.state.price_list import Model

MAX_BODY_BYTES = 20 * 1024 * 1024
"""Bytes of a whole request (commonly reported)."""

_INSTANCE = frozenset({"prompt", "image", "lastFrame", "referenceImages", "video"})
_PIXELS = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
_RATIOS = ("16:9", "9:16")
_SECONDS = (4, 6, 8)
_MAX_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class ApiFields:
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
class VideoRequest:
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


def parse_request(api: ApiFields, model: Model, exchange: Exchange) -> VideoRequest:
    """Understand a create.

    Raises:
        Refusal: something is wrong with it; nothing is begun then.
    """
    instance, parameters = _split_body(api, exchange)
    _check_members(instance, _INSTANCE, model)
    _check_members(parameters, api.parameters, model)
    asked = VideoRequest(str(instance.get("prompt") or ""), parameters=parameters)
    _read_parameters(asked, model, parameters)
    _read_images(asked, instance)
    asked.video = _parse_video(api, instance.get("video"))
    _check_combination(asked)
    _check_person_generation(api, asked, parameters)
    return asked


def _split_body(api: ApiFields, exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(exchange.body) > MAX_BODY_BYTES:
        raise bad_request_error(f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes.")
    if exchange.malformed:
        raise bad_request_error(f"Invalid JSON payload received. {exchange.malformed}")
    if unknown := sorted(exchange.fields.keys() - api.top - {"instances", "parameters"}):
        told = f'Unknown name "{unknown[0]}": Cannot find field.'
        raise bad_request_error(f"Invalid JSON payload received. {told}")
    match exchange.fields.get("instances"):
        case [dict(instance)]:
            pass
        case _:
            raise bad_request_error("`instances` needs to be a list of one object.")
    parameters = exchange.fields.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise bad_request_error("`parameters` needs to be an object.")
    return instance, parameters


def _check_members(
    given: Mapping[str, Any], known: frozenset[str], model: Model | None = None
) -> None:
    for name in given:
        if model and name == "video" and name in model.unsupported:
            raise bad_request_error("Video extension is not allowed for this model")
        if name not in known or (model and name in model.unsupported):
            raise unsupported_error(name)


def _read_parameters(asked: VideoRequest, model: Model, given: Mapping[str, Any]) -> None:
    asked.seconds = _parse_number(given, "durationSeconds", 8, _SECONDS)
    _parse_number(given, "sampleCount", 1, (1,))
    _parse_number(given, "seed", 0, range(2**32))
    asked.ratio = _parse_choice(given, "aspectRatio", _RATIOS)
    asked.resolution = _parse_choice(given, "resolution", tuple(_PIXELS))
    if not model.has_price(asked.resolution):
        raise bad_request_error(f"{asked.resolution} is not supported by this model.")
    if asked.resolution != "720p" and asked.seconds != 8:
        told = f"for a duration of {asked.seconds} seconds."
        raise bad_request_error(f"{asked.resolution} is not supported {told}")


def _parse_number(
    given: Mapping[str, Any], name: str, default: int, allowed: tuple[int, ...] | range
) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_request_error(f"The value type for `{name}` needs to be a number.")
    if value not in allowed:
        raise bad_request_error(
            f"The number value for `{name}` is out of bound. "
            f"Please provide a value between {allowed[0]} and {allowed[-1]}, inclusive."
        )
    return int(value)


def _parse_choice(given: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = given.get(name, allowed[0])
    if value not in allowed:
        told = ", ".join(allowed)
        raise bad_request_error(
            f"The value {value!r} for `{name}` is not supported. Use one of: {told}."
        )
    return str(value)


def _read_images(asked: VideoRequest, instance: Mapping[str, Any]) -> None:
    if "image" in instance:
        asked.start = _parse_image("image", instance["image"])
    if "lastFrame" in instance:
        asked.end = _parse_image("lastFrame", instance["lastFrame"])
    if "referenceImages" in instance:
        asked.references = _parse_references(instance["referenceImages"])


def _parse_references(given: object) -> list[Upload]:
    if not isinstance(given, list) or not 1 <= len(given) <= _MAX_REFERENCES:
        raise bad_request_error(
            f"`referenceImages` needs to be a list of 1 to {_MAX_REFERENCES} images."
        )
    return [_parse_reference(each) for each in given]


def _parse_reference(given: object) -> Upload:
    if not isinstance(given, dict):
        raise bad_request_error("`referenceImages` needs to be a list of objects.")
    _check_members(given, frozenset({"image", "referenceType"}))
    if str(given.get("referenceType")).lower() != "asset":
        raise use_case_error()
    return _parse_image("referenceImages", given.get("image"))


def _parse_image(name: str, given: object) -> Upload:
    if not isinstance(given, dict):
        raise bad_request_error(f"`{name}` needs to be an object.")
    _check_members(given, frozenset({"bytesBase64Encoded", "mimeType"}))
    if len(given) < 2:
        raise bad_request_error(
            "Input instance with `image` should contain both `bytesBase64Encoded` and `mimeType` "
            "in underlying struct value."
        )
    data = decode_base64(given["bytesBase64Encoded"], name)
    if image_format(data) not in ACCEPTED_FORMATS:
        raise bad_request_error("Unable to process input image.")
    return Upload(name, "", str(given["mimeType"]), data)


def decode_base64(text: object, name: str) -> bytes:
    """The bytes of a base64 member.

    Raises:
        Refusal: it is none.
    """
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise bad_request_error(f"Base64 decoding failed for `{name}`.") from None


def _parse_video(api: ApiFields, given: object) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise bad_request_error("`video` needs to be an object.")
    _check_members(given, api.video)
    return given


def _check_combination(asked: VideoRequest) -> None:
    """What does not go together (documented, and measured by users)."""
    if asked.references and (asked.frames or asked.video):
        raise unsupported_error("referenceImages")
    alone = asked.end and not asked.start
    short = asked.seconds != 8 and (asked.references or asked.video)
    if alone or short or (asked.video and asked.frames):
        raise use_case_error()
    if asked.video and asked.resolution != "720p":
        raise bad_request_error(f"{asked.resolution} is not supported for video extension.")
    if not asked.prompt.strip() and not asked.start:
        raise bad_request_error("`prompt` is required.")


def _check_person_generation(api: ApiFields, asked: VideoRequest, given: Mapping[str, Any]) -> None:
    value = given.get("personGeneration")
    allowed = api.persons[1 if asked.frames or asked.references else 0]
    if value is not None and str(value).lower() not in allowed:
        raise bad_request_error(f"{value} for personGeneration is currently not supported.")
