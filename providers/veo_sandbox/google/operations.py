"""Operations: how one is created, and its JSON while it runs and when it has ended."""

import secrets
import string
from typing import Any, Literal, Protocol

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.google.errors import bad_request_error, use_case_error
from veo_sandbox.google.request import VideoRequest
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.request_log import summarize_json
from veo_sandbox.state.tasks import DAY, Outcome, Task, TaskSpec, TaskState

RETENTION_S = 2 * DAY
"""Google keeps a video for two days (documented)."""

_EXTENSION_S = 7.0
_MAX_INPUT_S = 141.0
_INTERNAL = (
    "Video generation failed due to an internal server issue. Please try again in a few minutes."
)
_LETTERS = string.ascii_lowercase + string.digits


class ResponseFormat(Protocol):
    """How an API words the end of an operation: the `response` of each kind."""

    filter_reason: str

    def video_response(self, task: Task) -> dict[str, Any]:
        """A video."""

    def filtered_response(self, reason: str) -> dict[str, Any]:
        """A video that was filtered."""

    def empty_response(self) -> dict[str, Any]:
        """Neither a video nor a reason."""


def random_id(length: int = 12) -> str:
    """Return an id like Google's: letters and digits, which its SDK does not truncate."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def build_spec(
    exchange: Exchange, model: Model, request: VideoRequest, source: Task | None, **facts: Any
) -> TaskSpec:
    """Return the spec of a new task; `facts` are its route, profile, id and what else differs."""
    clip, seconds, length = _plan_clip(exchange.core, request, source)
    clip_facts = {"length": length, "resolution": request.resolution, "ratio": request.ratio}
    return TaskSpec(
        model=model.id,
        prompt=request.prompt,
        clip=clip,
        amount=model.price_micros(seconds, request.resolution),
        outcome=exchange.forced_outcome,
        service_s=exchange.forced_service_s,
        retention_s=RETENTION_S,
        request=_summarize_request(request, length),
        extra=clip_facts | facts.pop("extra", {}),
        **facts,
    )


def check_source(request: VideoRequest, source: Task) -> None:
    """Check that a video can be extended.

    Raises:
        Refusal: another ratio (a 9:16 video is accepted only if 9:16 is requested, as measured in
            June 2026), another resolution than 720p, or too long.
    """
    earlier = source.spec.extra
    if earlier["ratio"] != request.ratio:
        mismatch = f"must be {request.ratio}, but got: {earlier['ratio']}"
        raise bad_request_error(f"Aspect ratio of the input video {mismatch}")
    if earlier["resolution"] != "720p":
        raise use_case_error()
    # The length that Google documents for videos to extend.
    if earlier["length"] > _MAX_INPUT_S:
        raise bad_request_error(f"The input video is longer than {_MAX_INPUT_S:g} seconds.")


def operation_body(task: Task, state: TaskState, response_format: ResponseFormat) -> dict[str, Any]:
    """Return the operation as a poll shows it; `done` is left out while it runs."""
    body: dict[str, Any] = {"name": task.id}
    if state.name == "completed":
        # `done` is absent, not false, while an operation runs: proto3 omits defaults.
        return body | {"done": True, "response": response_format.video_response(task)}
    if state.name == "failed":
        return body | {"done": True} | _failure_body(task.outcome, response_format)
    return body


def _plan_clip(
    core: Core, request: VideoRequest, source: Task | None
) -> tuple[ClipSpec, float, float]:
    """Return the clip, the seconds that are paid for, and the length of the finished file."""
    if source:
        length = source.spec.extra["length"] + _EXTENSION_S
        return (
            core.clips.plan_extension(source, request.prompt, _EXTENSION_S, length),
            _EXTENSION_S,
            length,
        )
    seconds = float(request.seconds)
    frames = [frame.data for frame in request.frames]
    references = [each.data for each in request.references]
    spec = ClipSpec(request.prompt, *request.size, seconds)
    return core.clips.plan_clip(spec, frames, references), seconds, seconds


def _summarize_request(request: VideoRequest, length: float) -> dict[str, Any]:
    width, height = request.size
    return {
        "prompt": request.prompt,
        "size": f"{width}x{height}",
        "seconds": length,
        "images": [image.to_json() for image in (*request.frames, *request.references)],
        "video": summarize_json(request.video),
        "parameters": dict(request.parameters),
    }


def _failure_body(outcome: Outcome, response_format: ResponseFormat) -> dict[str, Any]:
    match _failure_kind(outcome):
        case "filtered":
            return {
                "response": response_format.filtered_response(
                    outcome.message or response_format.filter_reason
                )
            }
        case "empty":
            return {"response": response_format.empty_response()}
    # 13 is INTERNAL in google.rpc.Code.
    code = int(outcome.code) if outcome.code.isdecimal() else 13
    return {"error": {"code": code, "message": outcome.message or _INTERNAL}}


def _failure_kind(outcome: Outcome) -> Literal["filtered", "empty", "error"]:
    if outcome.shape == "filtered" or outcome.code == "content_policy_violation":
        return "filtered"
    return "empty" if outcome.shape == "empty" else "error"
