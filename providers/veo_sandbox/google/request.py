"""Parse `predictLongRunning`, and refuse everything that is wrong with it."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Upload
from veo_sandbox.google.errors import google_error
from veo_sandbox.google.storage import find_object
from veo_sandbox.profiles.images import ACCEPTED_FORMATS, image_format
from veo_sandbox.state.price_list import Model
from veo_sandbox.tables import load_table

ImageParser = Callable[[str, object], Upload]

MAX_BODY_BYTES = 20 * 1024 * 1024
"""Limit of a whole request (commonly reported)."""

_INSTANCE = frozenset({"prompt", "image", "lastFrame", "referenceImages", "video"})
_PIXELS = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
_RATIOS = ("16:9", "9:16")
_SECONDS = (4, 6, 8)
_MAX_REFERENCES = 3


@dataclass(frozen=True, slots=True)
class GoogleApi:
    """A row of `apis.toml`; `name` is the route and the profile of its tasks.

    `response_type` is the `@type` of an operation's `response`, and `response_member` the member
    of it that holds the rest, if there is one.
    """

    name: str
    top: Collection[str]
    parameters: Collection[str]
    video: Collection[str]
    image: Collection[str]
    persons: Sequence[Collection[str]]
    no_credit: str
    max_samples: int
    max_input_s: float
    fixed: Collection[str]
    filter_reason: str
    response_type: str
    response_member: str = ""

    @classmethod
    def load(cls, name: str) -> Self:
        return cls(name, **load_table("google/apis.toml")[name])

    def wrap_response(self, body: dict[str, Any]) -> dict[str, Any]:
        wrapped = {self.response_member: body} if self.response_member else body
        return {"@type": self.response_type} | wrapped


@dataclass(slots=True)
class VideoRequest:
    """A parsed create; `seconds` is the length of the new part of the video."""

    prompt: str
    resolution: str = "720p"
    ratio: str = "16:9"
    seconds: int = 8
    samples: int = 1
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


def parse_request(api: GoogleApi, model: Model, exchange: Exchange) -> VideoRequest:
    """Parse a create, or raise a Refusal."""
    instance, parameters = _split_body(api, exchange)
    _check_members(instance, _INSTANCE, model)
    _check_members(parameters, api.parameters, model)
    request = VideoRequest(str(instance.get("prompt") or ""), parameters=parameters)
    _read_parameters(request, api, model, parameters)
    _read_images(api, exchange.core, request, instance)
    if instance.get("video") is not None:
        request.video = _require_object("video", instance["video"], api.video)
    _check_combination(request)
    _check_person_generation(api, request, parameters)
    return request


def _split_body(api: GoogleApi, exchange: Exchange) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(exchange.body) > MAX_BODY_BYTES:
        raise google_error("too_large", bytes=MAX_BODY_BYTES)
    if exchange.malformed:
        raise google_error("invalid_json", reason=exchange.malformed)
    if unknown := sorted(exchange.fields.keys() - {"instances", "parameters", *api.top}):
        raise google_error("unknown_name", name=unknown[0])
    match exchange.fields.get("instances"):
        case [dict(instance)]:
            pass
        case _:
            raise google_error("instances")
    parameters = exchange.fields.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise google_error("not_an_object", name="parameters")
    return instance, parameters


def _check_members(
    members: Mapping[str, Any], known: Collection[str], model: Model | None = None
) -> None:
    for name in members:
        # The one member whose refusal has its own published text.
        if model and name == "video" and name in model.unsupported:
            raise google_error("no_extension")
        if name not in known or (model and name in model.unsupported):
            raise google_error("unsupported", name=name)


def _read_parameters(
    request: VideoRequest, api: GoogleApi, model: Model, members: Mapping[str, Any]
) -> None:
    if fixed := [name for name in api.fixed if members.get(name) is False]:
        raise google_error("fixed", name=fixed[0])
    request.seconds = _parse_number(members, "durationSeconds", 8, _SECONDS)
    request.samples = _parse_number(members, "sampleCount", 1, range(1, api.max_samples + 1))
    _parse_number(members, "seed", 0, range(2**32))
    request.ratio = _parse_choice(members, "aspectRatio", _RATIOS)
    request.resolution = _parse_choice(members, "resolution", tuple(_PIXELS))
    if not model.has_price(request.resolution):
        raise google_error("resolution", resolution=request.resolution)
    # Documented: 1080p and 4k only at 8 seconds.
    if request.resolution != "720p" and request.seconds != 8:
        raise google_error(
            "resolution_of_length", resolution=request.resolution, seconds=request.seconds
        )


def _parse_number(
    members: Mapping[str, Any], name: str, default: int, allowed: tuple[int, ...] | range
) -> int:
    value = members.get(name, default)
    # JSON has one kind of number: 8.0 is accepted for 8.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise google_error("not_a_number", name=name)
    if value not in allowed:
        raise google_error("out_of_bound", name=name, least=allowed[0], most=allowed[-1])
    return int(value)


def _parse_choice(members: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = members.get(name, allowed[0])
    if value not in allowed:
        raise google_error("bad_choice", value=value, name=name, known=", ".join(allowed))
    return str(value)


def _read_images(
    api: GoogleApi, core: Core, request: VideoRequest, instance: Mapping[str, Any]
) -> None:
    parse = partial(_parse_image, api, core)
    if "image" in instance:
        request.start = parse("image", instance["image"])
    if "lastFrame" in instance:
        request.end = parse("lastFrame", instance["lastFrame"])
    if "referenceImages" in instance:
        request.references = _parse_references(instance["referenceImages"], parse)


def _parse_references(members: object, parse: ImageParser) -> list[Upload]:
    if not isinstance(members, list) or not 1 <= len(members) <= _MAX_REFERENCES:
        raise google_error("reference_count", most=_MAX_REFERENCES)
    return [_parse_reference(each, parse) for each in members]


def _parse_reference(members: object, parse: ImageParser) -> Upload:
    if not isinstance(members, dict):
        raise google_error("reference_objects")
    _check_members(members, frozenset({"image", "referenceType"}))
    if str(members.get("referenceType")).lower() != "asset":
        raise google_error("use_case")
    return parse("referenceImages", members.get("image"))


def _parse_image(api: GoogleApi, core: Core, name: str, members: object) -> Upload:
    image = _require_object(name, members, api.image)
    # Of the known members, one holds the image and the other is its type.
    if "mimeType" not in image or len(image) != 2:
        raise google_error("missing_image_members")
    if uri := image.get("gcsUri"):
        stored = find_object(core, str(uri))
        if stored is None:
            bucket, _, name = str(uri).removeprefix("gs://").partition("/")
            raise google_error("no_object", bucket=bucket, object=name)
        data = stored.path.read_bytes()
    else:
        data = decode_base64(image["bytesBase64Encoded"], name)
    if image_format(data) not in ACCEPTED_FORMATS:
        raise google_error("bad_image")
    return Upload(name, "", str(image["mimeType"]), data)


def decode_base64(text: object, name: str) -> bytes:
    """Return the bytes of a base64 member, or raise a Refusal."""
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError:
        raise google_error("bad_base64", name=name) from None


def _require_object(name: str, members: object, known: Collection[str]) -> dict[str, Any]:
    if not isinstance(members, dict):
        raise google_error("not_an_object", name=name)
    _check_members(members, known)
    return members


def _check_combination(request: VideoRequest) -> None:
    """Refuse features that cannot be combined (documented, and measured by users)."""
    if request.references and (request.frames or request.video):
        raise google_error("unsupported", name="referenceImages")
    has_only_end = request.end and not request.start
    has_short_length = request.seconds != 8 and (request.references or request.video)
    if has_only_end or has_short_length or (request.video and request.frames):
        raise google_error("use_case")
    if request.video and request.resolution != "720p":
        raise google_error("resolution_of_extension", resolution=request.resolution)
    if not request.prompt.strip() and not request.start:
        raise google_error("no_prompt")


def _check_person_generation(
    api: GoogleApi, request: VideoRequest, members: Mapping[str, Any]
) -> None:
    value = members.get("personGeneration")
    # The values depend on whether images are sent.
    allowed = api.persons[1 if request.frames or request.references else 0]
    if value is not None and str(value).lower() not in allowed:
        raise google_error("bad_person_generation", value=value)
