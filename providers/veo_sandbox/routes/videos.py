"""`/v1/videos`: create, poll, content. The profile decides what the responses look like."""

import asyncio

from starlette.responses import Response

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.profiles import PROFILES, Profile, VideoRequest
from veo_sandbox.profiles.official import generation_response
from veo_sandbox.responses import VideoResponse
from veo_sandbox.routes import RouteSpec
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import TaskSpec

_CACHE = {"Cache-Control": "public, max-age=86400"}


async def create_video(core: Core, exchange: Exchange) -> Response:
    profile = _authorize(core, exchange)
    model = profile.find_model(exchange)
    # These families always respond in their own way.
    if model.family in {"official", "resold"} and profile.name != "openai":
        profile = PROFILES[model.family](core)
    request = profile.parse_request(exchange, model)
    prompt = str(exchange.fields.get("prompt", ""))
    if not prompt.strip():
        raise profile.invalid_request("invalid_request", "prompt is required", "prompt")
    spec = _build_spec(profile, exchange, model, request, prompt)
    return profile.accept_task(exchange, spec)


async def poll_video(core: Core, exchange: Exchange) -> Response:
    profile = _authorize(core, exchange)
    if exchange.task is None or exchange.state is None or exchange.state.name == "gone":
        return profile.known_error("missing")
    profile = PROFILES[exchange.task.spec.profile](core)
    return profile.poll_response(exchange.task, exchange.state)


async def get_content(core: Core, exchange: Exchange) -> Response:
    profile = _authorize(core, exchange)
    task, state = exchange.task, exchange.state
    if task is None or state is None or state.name == "gone":
        return profile.known_error("no_content")
    profile = PROFILES[task.spec.profile](core)
    # The official route was seen to report a video some seconds before it could send it.
    lag = core.settings.content_lag if profile.content_lag else 0.0
    if state.name != "completed" or core.clock.now() < task.done_at + lag:
        return profile.not_ready_response(state)
    variant = await asyncio.to_thread(profile.variant_response, task, exchange.query.get("variant"))
    return (
        variant
        or profile.content_response(task, state)
        or VideoResponse(core.clips.clip_path(task), _CACHE)
    )


async def poll_generation(core: Core, exchange: Exchange) -> Response:
    profile = _authorize(core, exchange)
    if exchange.task is None or exchange.state is None or exchange.state.name == "gone":
        return profile.known_error("missing")
    return generation_response(core, exchange.task, exchange.state)


async def remix_task(core: Core, exchange: Exchange) -> Response:
    """Make a new video of a task's model, from the prompt alone.

    new-api does this for Google's models, whose channel has no remix; other routes have none.
    """
    profile = _authorize(core, exchange)
    source = exchange.task
    if source is None and profile.name == "official":
        return profile.known_error("no_source")
    if source is None or source.spec.profile != "official":
        return unknown_url(core, exchange)
    exchange.fields["model"] = source.spec.model
    return await create_video(core, exchange)


def unknown_url(core: Core, exchange: Exchange) -> Response:
    text = f"Invalid URL ({exchange.method} {exchange.path})"
    return PROFILES[core.profile](core).error_response(404, text, "invalid_request_error")


def _authorize(core: Core, exchange: Exchange) -> Profile:
    profile = PROFILES[core.profile](core)
    profile.check_key(exchange)
    return profile


def _build_spec(
    profile: Profile, exchange: Exchange, model: Model, request: VideoRequest, prompt: str
) -> TaskSpec:
    width, height = (int(side) for side in request.size.split("x"))
    spec = ClipSpec(prompt, width, height, request.seconds)
    frames = [image.data for image in request.images]
    references = [image.data for image in request.references]
    return TaskSpec(
        route="videos",
        profile=profile.name,
        id=profile.new_id(),
        model=model.id,
        prompt=prompt,
        clip=profile.core.clips.plan_clip(spec, frames, references),
        amount=model.price_micros(request.seconds, request.resolution),
        outcome=exchange.forced_outcome or request.outcome,
        service_s=exchange.forced_service_s,
        retention_s=model.retention_s,
        request={
            "prompt": prompt,
            "size": request.size,
            "seconds": request.seconds,
            "images": [image.to_json() for image in [*request.images, *request.references]],
        },
    )


ROUTES = (
    RouteSpec("POST", "/v1/videos", "create", create_video),
    RouteSpec("GET", "/v1/videos/{task}", "poll", poll_video),
    RouteSpec("GET", "/v1/videos/{task}/content", "content", get_content),
    RouteSpec("POST", "/v1/video/generations", "create", create_video),
    RouteSpec("GET", "/v1/video/generations/{task}", "poll", poll_generation),
)
