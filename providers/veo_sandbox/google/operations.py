"""Operations: how one is created, and its JSON while it runs and when it has ended."""

from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.google.errors import google_error
from veo_sandbox.google.request import GoogleApi, VideoRequest
from veo_sandbox.profiles.base import random_token
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.request_log import summarize_json
from veo_sandbox.state.tasks import DAY, Outcome, Task, TaskSpec

_EXTENSION_S = 7.0
_INTERNAL = (
    "Video generation failed due to an internal server issue. Please try again in a few minutes."
)


def random_id() -> str:
    """Return an id of lower-case letters and digits, which Google's SDK does not truncate."""
    return random_token(12).lower()


def accept_video(
    api: GoogleApi,
    exchange: Exchange,
    model: Model,
    request: VideoRequest,
    source: Task | None,
    **facts: Any,
) -> Response:
    """Accept a create; `facts` are the task's id and what else differs between the APIs."""
    core = exchange.core
    spec = _build_spec(exchange, model, request, source, route=api.name, profile=api.name, **facts)
    try:
        exchange.accepted_task = core.accept_task(spec)
    except BalanceError:
        raise google_error(api.no_credit) from None
    if source:
        core.tasks.restart_retention(source, core.clock.now())
    return JSONResponse({"name": spec.id})


def _build_spec(
    exchange: Exchange, model: Model, request: VideoRequest, source: Task | None, **facts: Any
) -> TaskSpec:
    width, height = request.size
    clip, seconds, length = _plan_clip(exchange.core, request, source)
    clip_facts = {
        "length": length,
        "resolution": request.resolution,
        "ratio": request.ratio,
        "samples": request.samples,
    }
    return TaskSpec(
        model=model.id,
        prompt=request.prompt,
        clip=clip,
        amount=model.price_micros(seconds, request.resolution) * request.samples,
        outcome=exchange.forced_outcome,
        service_s=exchange.forced_service_s,
        retention_s=2 * DAY,  # documented
        request={
            "prompt": request.prompt,
            "size": f"{width}x{height}",
            "seconds": length,
            "images": [image.to_json() for image in (*request.frames, *request.references)],
            "video": summarize_json(request.video),
            "parameters": dict(request.parameters),
        },
        extra=clip_facts | facts.pop("extra", {}),
        **facts,
    )


def check_source(api: GoogleApi, request: VideoRequest, source: Task) -> None:
    """Raise a Refusal if a video cannot be extended."""
    earlier = source.spec.extra
    # A 9:16 video is accepted only if 9:16 is requested (measured in June 2026).
    if earlier["ratio"] != request.ratio:
        raise google_error("bad_ratio", ratio=request.ratio, got=earlier["ratio"])
    if earlier["resolution"] != "720p":
        raise google_error("use_case")
    if earlier["length"] > api.max_input_s:
        raise google_error("input_too_long", seconds=api.max_input_s)


def operation_body(
    exchange: Exchange, api: GoogleApi, describe_video: Callable[[Core, Task], dict[str, Any]]
) -> dict[str, Any]:
    """Return the operation as a poll shows it, or raise a Refusal if it is not known any more."""
    task, state = exchange.task, exchange.state
    if task is None or state is None or state.name == "gone":
        raise google_error("not_found")
    # `done` is absent, not false, while an operation runs: proto3 omits defaults.
    body: dict[str, Any] = {"name": task.id}
    if state.name == "completed":
        response = api.wrap_response(describe_video(exchange.core, task))
        return body | {"done": True, "response": response}
    if state.name == "failed":
        return body | {"done": True} | _failure_body(task.outcome, api)
    return body


def _plan_clip(
    core: Core, request: VideoRequest, source: Task | None
) -> tuple[ClipSpec, float, float]:
    """Return the clip, the seconds that are paid for, and the length of the finished file."""
    if source:
        length = source.spec.extra["length"] + _EXTENSION_S
        added = ClipSpec(request.prompt, *source.spec.clip.size, _EXTENSION_S)
        earlier = core.clips.clip_path(source)
        return core.clips.plan_extension(earlier, added, length), _EXTENSION_S, length
    seconds = float(request.seconds)
    frames = [frame.data for frame in request.frames]
    references = [each.data for each in request.references]
    spec = ClipSpec(request.prompt, *request.size, seconds)
    return core.clips.plan_clip(spec, frames, references), seconds, seconds


def _failure_body(outcome: Outcome, api: GoogleApi) -> dict[str, Any]:
    if outcome.shape == "filtered" or outcome.code == "content_policy_violation":
        reasons = [outcome.message or api.filter_reason]
        filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": reasons}
        return {"response": api.wrap_response(filtered)}
    if outcome.shape == "empty":
        return {"response": api.wrap_response({})}
    # 13 is INTERNAL in google.rpc.Code.
    code = int(outcome.code) if outcome.code.isdecimal() else 13
    return {"error": {"code": code, "message": outcome.message or _INTERNAL}}
