"""Parse `predictLongRunning`, and refuse everything that is wrong with it.

Error texts that users of the API published are exact; the others are worded like them.
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
"""Limit of a whole request (commonly reported)."""

COMMON_PARAMETERS = frozenset(
    {
        "aspectRatio",
        "durationSeconds",
        "enhancePrompt",
        "negativePrompt",
        "personGeneration",
        "resolution",
        "sampleCount",
        "seed",
    }
)
"""Members of `parameters` that both APIs know."""

_INSTANCE = frozenset({"prompt", "image", "lastFrame", "referenceImages", "video"})
_PIXELS = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
_RATIOS = ("16:9", "9:16")
_SECONDS = (4, 6, 8)
_MAX_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class ApiFields:
    """The members that one of the two APIs knows.

    Attributes:
        top: Beside `instances` and `parameters`.
        parameters: Of `parameters`.
        video: Of an instance's `video`.
        persons: Values of `personGeneration` for text and extension, and for images.
    """

    top: frozenset[str]
    parameters: frozenset[str]
    video: frozenset[str]
    persons: tuple[frozenset[str], frozenset[str]]


@dataclass(slots=True)
class VideoRequest:
    """A parsed create; `seconds` is the length of the new part of the video."""

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
        width, height = _PIXELS[self.resolution]
        return (width, height) if self.ratio == "16:9" else (height, width)

    @property
    def frames(self) -> list[Upload]:
        return [frame for frame in (self.start, self.end) if frame]


def parse_request(api: ApiFields, model: Model, exchange: Exchange) -> VideoRequest:
    """Parse a create.

    Raises:
        Refusal: something in it is wrong.
    """
    instance, parameters = _split_body(api, exchange)
    _check_members(instance, _INSTANCE, model)
    _check_members(parameters, api.parameters, model)
    request = VideoRequest(str(instance.get("prompt") or ""), parameters=parameters)
    _read_parameters(request, model, parameters)
    _read_images(request, instance)
    request.video = _parse_video(api, instance.get("video"))
    _check_combination(request)
    _check_person_generation(api, request, parameters)
    return request


def _split_body(api: ApiFields, exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(exchange.body) > MAX_BODY_BYTES:
        raise bad_request_error(f"Request payload size exceeds the limit: {MAX_BODY_BYTES} bytes.")
    if exchange.malformed:
        raise bad_request_error(f"Invalid JSON payload received. {exchange.malformed}")
    if unknown := sorted(exchange.fields.keys() - api.top - {"instances", "parameters"}):
        raise bad_request_error(
            f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.'
        )
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
    members: Mapping[str, Any], known: frozenset[str], model: Model | None = None
) -> None:
    for name in members:
        # The one member whose refusal has its own published text.
        if model and name == "video" and name in model.unsupported:
            raise bad_request_error("Video extension is not allowed for this model")
        if name not in known or (model and name in model.unsupported):
            raise unsupported_error(name)


def _read_parameters(request: VideoRequest, model: Model, members: Mapping[str, Any]) -> None:
    request.seconds = _parse_number(members, "durationSeconds", 8, _SECONDS)
    _parse_number(members, "sampleCount", 1, (1,))
    _parse_number(members, "seed", 0, range(2**32))
    request.ratio = _parse_choice(members, "aspectRatio", _RATIOS)
    request.resolution = _parse_choice(members, "resolution", tuple(_PIXELS))
    if not model.has_price(request.resolution):
        raise bad_request_error(f"{request.resolution} is not supported by this model.")
    # Documented: 1080p and 4k only at 8 seconds.
    if request.resolution != "720p" and request.seconds != 8:
        raise bad_request_error(
            f"{request.resolution} is not supported for a duration of {request.seconds} seconds."
        )


def _parse_number(
    members: Mapping[str, Any], name: str, default: int, allowed: tuple[int, ...] | range
) -> int:
    value = members.get(name, default)
    # JSON has one kind of number: 8.0 is accepted for 8.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_request_error(f"The value type for `{name}` needs to be a number.")
    if value not in allowed:
        raise bad_request_error(
            f"The number value for `{name}` is out of bound. "
            f"Please provide a value between {allowed[0]} and {allowed[-1]}, inclusive."
        )
    return int(value)


def _parse_choice(members: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = members.get(name, allowed[0])
    if value not in allowed:
        allowed_text = ", ".join(allowed)
        raise bad_request_error(
            f"The value {value!r} for `{name}` is not supported. Use one of: {allowed_text}."
        )
    return str(value)


def _read_images(request: VideoRequest, instance: Mapping[str, Any]) -> None:
    if "image" in instance:
        request.start = _parse_image("image", instance["image"])
    if "lastFrame" in instance:
        request.end = _parse_image("lastFrame", instance["lastFrame"])
    if "referenceImages" in instance:
        request.references = _parse_references(instance["referenceImages"])


def _parse_references(members: object) -> list[Upload]:
    if not isinstance(members, list) or not 1 <= len(members) <= _MAX_REFERENCES:
        raise bad_request_error(
            f"`referenceImages` needs to be a list of 1 to {_MAX_REFERENCES} images."
        )
    return [_parse_reference(each) for each in members]


def _parse_reference(members: object) -> Upload:
    if not isinstance(members, dict):
        raise bad_request_error("`referenceImages` needs to be a list of objects.")
    _check_members(members, frozenset({"image", "referenceType"}))
    if str(members.get("referenceType")).lower() != "asset":
        raise use_case_error()
    return _parse_image("referenceImages", members.get("image"))


def _parse_image(name: str, members: object) -> Upload:
    if not isinstance(members, dict):
        raise bad_request_error(f"`{name}` needs to be an object.")
    _check_members(members, frozenset({"bytesBase64Encoded", "mimeType"}))
    # Both members are known names here, so fewer than two means one is missing.
    if len(members) < 2:
        raise bad_request_error(
            "Input instance with `image` should contain both `bytesBase64Encoded` and `mimeType` "
            "in underlying struct value."
        )
    data = decode_base64(members["bytesBase64Encoded"], name)
    if image_format(data) not in ACCEPTED_FORMATS:
        raise bad_request_error("Unable to process input image.")
    return Upload(name, "", str(members["mimeType"]), data)


def decode_base64(text: object, name: str) -> bytes:
    """Return the bytes of a base64 member.

    Raises:
        Refusal: it is not base64.
    """
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise bad_request_error(f"Base64 decoding failed for `{name}`.") from None


def _parse_video(api: ApiFields, members: object) -> dict[str, Any] | None:
    if members is None:
        return None
    if not isinstance(members, dict):
        raise bad_request_error("`video` needs to be an object.")
    _check_members(members, api.video)
    return members


def _check_combination(request: VideoRequest) -> None:
    """Refuse features that cannot be combined (documented, and measured by users)."""
    if request.references and (request.frames or request.video):
        raise unsupported_error("referenceImages")
    has_only_end = request.end and not request.start
    has_short_length = request.seconds != 8 and (request.references or request.video)
    if has_only_end or has_short_length or (request.video and request.frames):
        raise use_case_error()
    if request.video and request.resolution != "720p":
        raise bad_request_error(f"{request.resolution} is not supported for video extension.")
    if not request.prompt.strip() and not request.start:
        raise bad_request_error("`prompt` is required.")


def _check_person_generation(
    api: ApiFields, request: VideoRequest, members: Mapping[str, Any]
) -> None:
    value = members.get("personGeneration")
    # The values depend on whether images are sent.
    allowed = api.persons[1 if request.frames or request.references else 0]
    if value is not None and str(value).lower() not in allowed:
        raise bad_request_error(f"{value} for personGeneration is currently not supported.")
