"""Operations: how one is ordered, and how it is told while it runs and when it is over."""

import secrets
import string
from typing import Any, Literal, Protocol

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, summarize_json
from veo_sandbox.google.errors import bad_request_error, use_case_error
from veo_sandbox.google.request import VideoRequest
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import DAY, Order, Outcome, Task, TaskState

RETENTION_S = 2 * DAY
"""For how long Google keeps a video (documented), in seconds."""

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
        """A video that was kept back."""

    def empty_response(self) -> dict[str, Any]:
        """Neither a video nor a reason."""


def random_id(length: int = 12) -> str:
    """An id as Google's: lower-case letters and digits, which its SDK does not cut short."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def build_order(
    exchange: Exchange, model: Model, asked: VideoRequest, source: Task | None, **facts: Any
) -> Order:
    """What a create asks for; `facts` are its route, dress and id, and what else differs."""
    clip, seconds, length = _plan_clip(exchange.core, asked, source)
    kept = {"length": length, "resolution": asked.resolution, "ratio": asked.ratio}
    return Order(
        model=model.id,
        prompt=asked.prompt,
        clip=clip,
        amount=model.price_micros(seconds, asked.resolution),
        outcome=exchange.forced_outcome,
        service_s=exchange.forced_service_s,
        retention_s=RETENTION_S,
        request=_summarize_request(asked, length),
        extra=kept | facts.pop("extra", {}),
        **facts,
    )


def check_source(asked: VideoRequest, source: Task) -> None:
    """Refuse to extend what cannot be.

    Raises:
        Refusal: another ratio (a video of 9:16 is only taken if 9:16 is asked for, as measured in
            June 2026), another resolution than 720p, or too long.
    """
    earlier = source.order.extra
    if earlier["ratio"] != asked.ratio:
        told = f"must be {asked.ratio}, but got: {earlier['ratio']}"
        raise bad_request_error(f"Aspect ratio of the input video {told}")
    if earlier["resolution"] != "720p":
        raise use_case_error()
    if earlier["length"] > _MAX_INPUT_S:
        raise bad_request_error(f"The input video is longer than {_MAX_INPUT_S:g} seconds.")


def operation_body(task: Task, state: TaskState, telling: ResponseFormat) -> dict[str, Any]:
    """The operation as a poll answers it; `done` is left out while it is not."""
    body: dict[str, Any] = {"name": task.id}
    if state.name == "completed":
        return body | {"done": True, "response": telling.video_response(task)}
    if state.name == "failed":
        return body | {"done": True} | _failure_body(task.outcome, telling)
    return body


def _plan_clip(
    core: Core, asked: VideoRequest, source: Task | None
) -> tuple[ClipSpec, float, float]:
    """The clip, the seconds that are paid for, and the seconds of the finished file."""
    if source:
        length = source.order.extra["length"] + _EXTENSION_S
        return (
            core.clips.plan_extension(source, asked.prompt, _EXTENSION_S, length),
            _EXTENSION_S,
            length,
        )
    seconds = float(asked.seconds)
    frames = [frame.data for frame in asked.frames]
    references = [each.data for each in asked.references]
    spec = ClipSpec(asked.prompt, *asked.size, seconds)
    return core.clips.plan_clip(spec, frames, references), seconds, seconds


def _summarize_request(asked: VideoRequest, length: float) -> dict[str, Any]:
    width, height = asked.size
    return {
        "prompt": asked.prompt,
        "size": f"{width}x{height}",
        "seconds": length,
        "images": [image.to_json() for image in (*asked.frames, *asked.references)],
        "video": summarize_json(asked.video),
        "parameters": dict(asked.parameters),
    }


def _failure_body(outcome: Outcome, telling: ResponseFormat) -> dict[str, Any]:
    match _failure_kind(outcome):
        case "filtered":
            return {"response": telling.filtered_response(outcome.message or telling.filter_reason)}
        case "empty":
            return {"response": telling.empty_response()}
    code = int(outcome.code) if outcome.code.isdecimal() else 13
    return {"error": {"code": code, "message": outcome.message or _INTERNAL}}


def _failure_kind(outcome: Outcome) -> Literal["filtered", "empty", "error"]:
    if outcome.shape == "filtered" or outcome.code == "content_policy_violation":
        return "filtered"
    return "empty" if outcome.shape == "empty" else "error"
