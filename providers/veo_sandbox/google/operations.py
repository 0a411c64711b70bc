"""Operations: how one is ordered, and how it is told while it runs and when it is over."""

import secrets
import string
from typing import Any, Literal, Protocol

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, brief
from veo_sandbox.google.errors import bad, no_use_case
from veo_sandbox.google.request import Asked
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import DAY, Order, Outcome, State, Task

KEEP = 2 * DAY
"""For how long Google keeps a video (documented), in seconds."""

_ADDED = 7.0
_LONGEST_INPUT = 141.0
_INTERNAL = (
    "Video generation failed due to an internal server issue. Please try again in a few minutes."
)
_LETTERS = string.ascii_lowercase + string.digits


class Telling(Protocol):
    """How an API words the end of an operation: the `response` of each kind."""

    reason: str

    def made(self, task: Task) -> dict[str, Any]:
        """A video."""

    def filtered(self, reason: str) -> dict[str, Any]:
        """A video that was kept back."""

    def nothing(self) -> dict[str, Any]:
        """Neither a video nor a reason."""


def token(length: int = 12) -> str:
    """An id as Google's: lower-case letters and digits, which its SDK does not cut short."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def order(call: Call, model: Model, asked: Asked, source: Task | None, **facts: Any) -> Order:
    """What a create asks for; `facts` are its route, dress and id, and what else differs."""
    clip, seconds, length = _clip(call.core, asked, source)
    kept = {"length": length, "resolution": asked.resolution, "ratio": asked.ratio}
    return Order(
        model=model.id,
        prompt=asked.prompt,
        clip=clip,
        amount=model.price(seconds, asked.resolution),
        outcome=call.outcome,
        service=call.service,
        keep=KEEP,
        request=_summary(asked, length),
        extra=kept | facts.pop("extra", {}),
        **facts,
    )


def check_source(asked: Asked, source: Task) -> None:
    """Refuse to extend what cannot be.

    Raises:
        Refusal: another ratio (a video of 9:16 is only taken if 9:16 is asked for, as measured in
            June 2026), another resolution than 720p, or too long.
    """
    earlier = source.order.extra
    if earlier["ratio"] != asked.ratio:
        told = f"must be {asked.ratio}, but got: {earlier['ratio']}"
        raise bad(f"Aspect ratio of the input video {told}")
    if earlier["resolution"] != "720p":
        raise no_use_case()
    if earlier["length"] > _LONGEST_INPUT:
        raise bad(f"The input video is longer than {_LONGEST_INPUT:g} seconds.")


def operation_body(task: Task, state: State, telling: Telling) -> dict[str, Any]:
    """The operation as a poll answers it; `done` is left out while it is not."""
    body: dict[str, Any] = {"name": task.id}
    if state.name == "completed":
        return body | {"done": True, "response": telling.made(task)}
    if state.name == "failed":
        return body | {"done": True} | _failure(task.outcome, telling)
    return body


def _clip(core: Core, asked: Asked, source: Task | None) -> tuple[ClipSpec, float, float]:
    """The clip, the seconds that are paid for, and the seconds of the finished file."""
    if source:
        length = source.order.extra["length"] + _ADDED
        return core.studio.sequel(source, asked.prompt, _ADDED, length), _ADDED, length
    seconds = float(asked.seconds)
    frames = [frame.data for frame in asked.frames]
    references = [each.data for each in asked.references]
    spec = ClipSpec(asked.prompt, *asked.size, seconds)
    return core.studio.plan(spec, frames, references), seconds, seconds


def _summary(asked: Asked, length: float) -> dict[str, Any]:
    width, height = asked.size
    return {
        "prompt": asked.prompt,
        "size": f"{width}x{height}",
        "seconds": length,
        "images": [image.as_json() for image in (*asked.frames, *asked.references)],
        "video": brief(asked.video),
        "parameters": dict(asked.parameters),
    }


def _failure(outcome: Outcome, telling: Telling) -> dict[str, Any]:
    match _kind(outcome):
        case "filtered":
            return {"response": telling.filtered(outcome.message or telling.reason)}
        case "empty":
            return {"response": telling.nothing()}
    code = int(outcome.code) if outcome.code.isdecimal() else 13
    return {"error": {"code": code, "message": outcome.message or _INTERNAL}}


def _kind(outcome: Outcome) -> Literal["filtered", "empty", "error"]:
    if outcome.shape == "filtered" or outcome.code == "content_policy_violation":
        return "filtered"
    return "empty" if outcome.shape == "empty" else "error"
