"""What OpenAI's video endpoint has beyond `/v1/videos`: lists, remixes, edits, characters.

These routes exist in the profile `openai` only, a remix also at new-api for Google's models. To
every other profile they are unknown addresses.
"""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import JSONResponse, Response

from veo_sandbox.clips import ClipSpec, Footage
from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal
from veo_sandbox.profiles import OpenAI
from veo_sandbox.profiles.base import random_token
from veo_sandbox.routes import RouteSpec, mount
from veo_sandbox.routes.videos import remix_task, unknown_url
from veo_sandbox.state.price_list import load_models
from veo_sandbox.state.tasks import Task, TaskSpec

_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100
_ADDED_SECONDS = ("4", "8", "12", "16", "20")
_LARGE_SIDE = 1280
"""Pixels. A video with a longer side has the price of 1080p."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A video to change or continue, own or uploaded."""

    path: Path
    size: tuple[int, int]
    seconds: float
    model: str


async def list_videos(core: Core, exchange: Exchange) -> Response:
    """List the videos of the account: the newest first, or the oldest with `order=asc`."""
    profile, query = OpenAI(core), exchange.query
    limit = query.get("limit", str(_DEFAULT_LIMIT))
    if not limit.isdecimal() or not 1 <= int(limit) <= _MAX_LIMIT:
        raise profile.invalid_request("invalid_value", f"limit: 1 to {_MAX_LIMIT}", "limit")
    tasks = [task for task in core.tasks.list_tasks() if _is_listed(core, task)]
    if query.get("order", "desc") != "asc":
        tasks.reverse()
    ids = [task.id for task in tasks]
    # A page begins behind the last video of the page before.
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    page = tasks[start : start + int(limit)]
    return JSONResponse(
        {
            "object": "list",
            "data": [profile.video_body(task) for task in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": start + len(page) < len(tasks),
        }
    )


async def delete_video(core: Core, exchange: Exchange) -> Response:
    profile = OpenAI(core)
    task = _find_task(profile, exchange.params["task"])
    if not core.task_state(task).has_ended:
        text = "Only completed or failed videos can be deleted."
        raise profile.invalid_request("invalid_value", text, "video_id")
    core.tasks.add_mark(task, "deleted", core.clock.now())
    return JSONResponse({"id": task.id, "object": "video.deleted", "deleted": True})


async def remix(core: Core, exchange: Exchange) -> Response:
    """Remix a video as OpenAI does, or as new-api."""
    if core.profile != OpenAI.name:
        return await remix_task(core, exchange)
    _authorize(core, exchange)
    profile = OpenAI(core)
    source = _describe_task(profile, exchange.params["task"])
    return _change_video(exchange, profile, source, remixed=exchange.params["task"])


async def edit_video(core: Core, exchange: Exchange) -> Response:
    profile = OpenAI(core)
    source = await _find_source(exchange, profile)
    return _change_video(exchange, profile, source)


async def extend_video(core: Core, exchange: Exchange) -> Response:
    profile, seconds = OpenAI(core), exchange.fields.get("seconds")
    if seconds not in _ADDED_SECONDS:
        raise profile.value_error("seconds", seconds, _ADDED_SECONDS)
    source = await _find_source(exchange, profile)
    spec = ClipSpec(_read_prompt(exchange, profile), *source.size, float(seconds))
    length = source.seconds + spec.seconds
    clip = core.clips.plan_extension(source.path, spec, length)
    return _accept(exchange, profile, source, clip, made_s=spec.seconds, length=length)


async def create_character(core: Core, exchange: Exchange) -> Response:
    profile = OpenAI(core)
    name, videos = exchange.fields.get("name"), exchange.files
    if not name or len(videos) != 1:
        raise profile.invalid_request("invalid_value", "name and one video are required", "video")
    await asyncio.to_thread(_read_upload, profile, videos[0].data)
    character = {
        "id": f"char_{random_token(24).lower()}",
        "object": "character",
        "created_at": int(core.clock.now()),
        "name": str(name),
    }
    core.store.put_setting(_character_key(str(character["id"])), character)
    return JSONResponse(character)


async def get_character(core: Core, exchange: Exchange) -> Response:
    character = core.store.get_setting(_character_key(exchange.params["character"]), None)
    if character is None:
        raise Refusal(OpenAI(core).known_error("missing"))
    return JSONResponse(character)


def _authorize(core: Core, exchange: Exchange) -> None:
    if core.profile != OpenAI.name:
        raise Refusal(unknown_url(core, exchange))
    OpenAI(core).check_key(exchange)


def _is_listed(core: Core, task: Task) -> bool:
    is_ours = task.spec.route == "videos" and task.spec.profile == OpenAI.name
    return (
        is_ours and core.clock.now() < task.expires_at and not core.tasks.has_mark(task, "deleted")
    )


def _find_task(profile: OpenAI, task_id: str) -> Task:
    task = profile.core.tasks.find(task_id)
    if task is None or not _is_listed(profile.core, task):
        raise Refusal(profile.known_error("missing"))
    return task


def _describe_task(profile: OpenAI, task_id: str) -> _Source:
    core, task = profile.core, _find_task(profile, task_id)
    if core.task_state(task).name != "completed":
        raise profile.invalid_request("invalid_value", "The video is not completed.", "video")
    clip = task.spec.clip
    seconds = task.spec.extra.get("length", clip.seconds)
    return _Source(core.clips.clip_path(task), clip.size, seconds, task.spec.model)


async def _find_source(exchange: Exchange, profile: OpenAI) -> _Source:
    """Return the video that `video` names, in JSON or a form, or the one that it is."""
    if exchange.files:
        return await asyncio.to_thread(_read_upload, profile, exchange.files[0].data)
    video = exchange.fields.get("video")
    named = exchange.fields.get("video[id]") or (isinstance(video, dict) and video.get("id"))
    if not isinstance(named, str):
        raise profile.invalid_request("invalid_value", "video: an id or a file", "video")
    return _describe_task(profile, named)


def _read_upload(profile: OpenAI, data: bytes) -> _Source:
    path = Path(profile.core.clips.save_input(data))
    try:
        footage = Footage.read(path)
    except ValueError:
        text = "The file is not a video."
        raise profile.invalid_request("invalid_value", text, "video") from None
    return _Source(path, (footage.width, footage.height), footage.seconds, profile.default_model)


def _read_prompt(exchange: Exchange, profile: OpenAI) -> str:
    prompt = exchange.fields.get("prompt")
    if exchange.malformed or not isinstance(prompt, str) or not prompt.strip():
        raise profile.invalid_request("invalid_request", "prompt is required", "prompt")
    return prompt


def _change_video(
    exchange: Exchange, profile: OpenAI, source: _Source, remixed: str | None = None
) -> Response:
    length = source.seconds
    spec = ClipSpec(_read_prompt(exchange, profile), *source.size, length)
    clip = profile.core.clips.plan_change(source.path, spec)
    return _accept(exchange, profile, source, clip, made_s=length, length=length, remixed=remixed)


def _accept(  # noqa: PLR0913 - the facts of one new video
    exchange: Exchange,
    profile: OpenAI,
    source: _Source,
    clip: ClipSpec,
    *,
    made_s: float,
    length: float,
    remixed: str | None = None,
) -> Response:
    # A model that only the setting `offered` knew may be gone.
    model = profile.find_row(source.model) or load_models()[profile.default_model]
    is_large = max(source.size) > _LARGE_SIDE and model.has_price("1080p")
    spec = TaskSpec(
        route="videos",
        profile=profile.name,
        id=profile.new_id(),
        model=model.id,
        prompt=clip.prompt,
        clip=clip,
        amount=model.price_micros(made_s, "1080p" if is_large else "720p"),
        outcome=exchange.forced_outcome,
        service_s=exchange.forced_service_s,
        request={"prompt": clip.prompt, "seconds": length, "remixed": remixed},
        extra={"length": length, "remixed": remixed},
    )
    return profile.accept_task(exchange, spec)


def _character_key(character: str) -> str:
    return f"character:{json.dumps(character)}"


ROUTES = (
    RouteSpec("POST", "/v1/videos/{task}/remix", "create", remix),
    *mount(
        ("/v1/videos",),
        _authorize,
        RouteSpec("GET", "", "other", list_videos),
        RouteSpec("DELETE", "/{task}", "other", delete_video),
        RouteSpec("POST", "/edits", "create", edit_video),
        RouteSpec("POST", "/extensions", "create", extend_video),
        RouteSpec("POST", "/characters", "other", create_character),
        RouteSpec("GET", "/characters/{character}", "other", get_character),
    ),
)
