"""Parse the create of an interaction, and refuse all that is wrong with it before billing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from veo_sandbox.exchange import Exchange
from veo_sandbox.google.interaction_input import InputPart, parse_input
from veo_sandbox.google.interaction_roles import Roles, assign_roles
from veo_sandbox.google.omni import OmniModel
from veo_sandbox.google.omni_api import OmniApi

MAX_BODY_BYTES = 100 * 1024 * 1024
"""Limit of a whole request, since January 2026 (second-hand)."""

SHORT_SIDES = {"360p": 360, "720p": 720, "1080p": 1080, "4k": 2160}
"""Pixels of the shorter side of a video (measured by users)."""

_RATIOS = {"16:9": 16 / 9, "9:16": 9 / 16}
_SOURCE_TASKS = ("edit", "extend", "upscale")
_IMAGE_TASKS = ("image_to_video", "reference_to_video")
_DEFAULT_SECONDS = 10.0
MIN_SECONDS, _MAX_ADDED_SECONDS = 3, 10
_DURATION = re.compile(r"(\d{1,4}(?:\.\d{1,9})?)s")
_CONFIG = ("video_config", "thinking_level", "seed")
_THINKING_LEVELS = ("low", "high")
# Of the format: a changed video keeps its shape and its length, a longer one its shape.
_FIXED_MEMBERS = {
    "edit": ("aspect_ratio", "duration"),
    "upscale": ("aspect_ratio", "duration"),
    "extend": ("aspect_ratio",),
}
_FORMAT, _TASK = "response_format", "generation_config.video_config.task"


@dataclass(slots=True)
class InteractionRequest:
    """A parsed create.

    Attributes:
        task: What the model does; the request's own word, or what follows from its input.
        seconds: The length of the video, or of what an extension adds. An edit keeps its own.
        folder: The `gs://` folder for the video, or "".
        format: `response_format` as it came, for the echo; None if there was none.
    """

    parts: list[InputPart]
    roles: Roles
    task: str
    resolution: str = "720p"
    ratio: str = "16:9"
    seconds: float = _DEFAULT_SECONDS
    delivery: str = "inline"
    folder: str = ""
    background: bool = False
    stream: bool = False
    store: bool = True
    previous: str = ""
    format: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_source(self) -> bool:
        return self.task in _SOURCE_TASKS

    @property
    def source_part(self) -> InputPart | None:
        """The video that is edited or extended; an earlier interaction may stand in its place."""
        videos = [part for part in self.parts if part.kind == "video"]
        return videos[0] if videos and self.needs_source else None

    @property
    def size(self) -> tuple[int, int]:
        return fit_size(self.resolution, _RATIOS[self.ratio])


def fit_size(resolution: str, ratio: float) -> tuple[int, int]:
    """Return width and height of a resolution at any ratio; both are even."""
    short = SHORT_SIDES[resolution]
    long = round(short * max(ratio, 1 / ratio) / 2) * 2
    return (long, short) if ratio >= 1 else (short, long)


def parse_interaction(api: OmniApi, model: OmniModel, exchange: Exchange) -> InteractionRequest:
    """Parse a create, or raise a Refusal."""
    fields = exchange.fields
    api.check_members(fields, api.top)
    config = _parse_config(api, model, fields.get("generation_config", {}))
    parts = parse_input(api, fields.get("input"))
    roles = assign_roles(api, parts)
    previous = fields.get("previous_interaction_id") or ""
    if not isinstance(previous, str):
        raise api.error("invalid_input", path="previous_interaction_id")
    added = _has_duration(fields.get(_FORMAT))
    task = _choose_task(api, config, parts, roles, previous, is_longer=added)
    request = InteractionRequest(parts, roles, task, previous=previous, config=config)
    request.background = _parse_flag(api, fields, "background", default=False)
    request.stream = _parse_flag(api, fields, "stream", default=False)
    request.store = _parse_flag(api, fields, "store", default=True)
    _read_format(api, model, request, fields.get(_FORMAT))
    _check_store(api, request)
    return request


def check_body(api: OmniApi, exchange: Exchange) -> None:
    """Refuse a body that is too large or is no JSON object."""
    if len(exchange.body) > MAX_BODY_BYTES:
        raise api.error("too_large", bytes=MAX_BODY_BYTES)
    if exchange.malformed:
        raise api.error("invalid_json", reason=exchange.malformed)


def _parse_flag(api: OmniApi, fields: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise api.error("invalid_input", path=name)
    return value


def _parse_config(api: OmniApi, model: OmniModel, config: Any) -> dict[str, Any]:
    path = "generation_config"
    if not isinstance(config, dict):
        raise api.error("invalid_input", path=path)
    api.check_members(config, _CONFIG, path)
    level = config.get("thinking_level")
    if level is not None and level not in _THINKING_LEVELS:
        known = ", ".join(_THINKING_LEVELS)
        raise api.error("bad_thinking_level", value=level, known=known)
    seed = config.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise api.error("invalid_input", path=path)
    video = config.get("video_config", {})
    if not isinstance(video, dict):
        raise api.error("invalid_input", path=path)
    api.check_members(video, ("task",), f"{path}.video_config")
    if video.get("task") == "extend" and "extend" not in model.tasks:
        raise api.error("no_extension")
    if "task" in video:
        api.check_value(_TASK, video["task"], model.list_tasks(api.name))
    return config


def _has_duration(value: object) -> bool:
    forms = value if isinstance(value, list) else [value]
    return any(isinstance(form, dict) and "duration" in form for form in forms)


def _choose_task(
    api: OmniApi,
    config: Mapping[str, Any],
    parts: list[InputPart],
    roles: Roles,
    previous: str,
    *,
    is_longer: bool,
) -> str:
    """Return the task that is asked for, or the one that the input suggests; check its input."""
    videos = [part for part in parts if part.kind == "video"]
    task = str(config.get("video_config", {}).get("task", ""))
    if not task and (previous or (videos and not roles.video_references)):
        # A length is refused for an edit, so that it can only be meant as one to add.
        task = "extend" if is_longer else "edit"
    if not task:
        task = "image_to_video" if roles.frames else "reference_to_video"
        task = task if roles.frames or roles.references else "text_to_video"
    if task in _SOURCE_TASKS and not videos and not previous:
        raise api.error("missing_video", task=task)
    if task in _IMAGE_TASKS and not any(part.kind != "text" for part in parts):
        raise api.error("missing_image", task=task)
    if task == "image_to_video" and not roles.frames:
        # Without tags the model decides; an image to start from is what the task is named after.
        roles.frames, roles.references = roles.references[:1], roles.references[1:]
    return task


def _read_format(api: OmniApi, model: OmniModel, request: InteractionRequest, members: Any) -> None:
    request.format = members
    members = _unwrap_format(api, members)
    choices = {"delivery": ("inline", "uri"), "aspect_ratio": _RATIOS, "resolution": SHORT_SIDES}
    values = {
        name: api.check_value(f"{_FORMAT}.{name}", members[name], known)
        for name, known in choices.items()
        if name in members
    }
    for name in _FIXED_MEMBERS.get(request.task, ()):
        if name in members:
            raise api.error("unsupported", path=f"{_FORMAT}.{name}", task=request.task)
    request.delivery = values.get("delivery", "inline")
    request.ratio = values.get("aspect_ratio", "16:9")
    resolution = values.get("resolution", "720p")
    # The first preview ignores the requested resolution (tried live by users).
    request.resolution = resolution if resolution in model.video_tokens else "720p"
    most = _MAX_ADDED_SECONDS if request.task == "extend" else model.max_seconds
    request.seconds = _parse_duration(api, members.get("duration", f"{_DEFAULT_SECONDS:g}s"), most)
    request.folder = _parse_folder(api, request, members.get("gcs_uri"))


def _unwrap_format(api: OmniApi, members: Any) -> dict[str, Any]:
    """Return the members of the format, which may be an object, a list of one, or left out."""
    if isinstance(members, list) and len(members) == 1:
        members = members[0]
    if members is None:
        members = {"type": "video"}
    if not isinstance(members, dict) or "type" not in members:
        raise api.error("invalid_input", path=_FORMAT)
    api.check_members(members, api.format, _FORMAT)
    api.check_value(f"{_FORMAT}.type", members["type"], ("video",))
    return members


def _parse_duration(api: OmniApi, text: object, most: int) -> float:
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    # A number, or a text without its unit, gets no better message from the service.
    if match is None:
        raise api.error("invalid_input", path=_FORMAT)
    seconds = float(match[1])
    if seconds > most:
        raise api.error("bad_duration_high", got=_describe(seconds), limit=_describe(most))
    if seconds < MIN_SECONDS:
        raise api.error("bad_duration_low", got=_describe(seconds), limit=_describe(MIN_SECONDS))
    return seconds


def _describe(seconds: float) -> str:
    """Write a duration as the service does: `12s 0ns`."""
    return f"{int(seconds)}s {round(seconds % 1 * 1e9)}ns"


def _parse_folder(api: OmniApi, request: InteractionRequest, uri: object) -> str:
    if uri is None:
        if api.name == "vertex" and request.delivery == "uri":
            raise api.error("missing_storage_uri")
        return ""
    if not isinstance(uri, str) or not re.fullmatch(r"gs://[^/]+(/.*)?", uri):
        raise api.error("bad_storage_uri")
    return uri.rstrip("/")


def _check_store(api: OmniApi, request: InteractionRequest) -> None:
    if request.store:
        return
    if request.background:
        raise api.error("store_for_background")
    if request.delivery == "uri":
        raise api.error("store_for_uri")
