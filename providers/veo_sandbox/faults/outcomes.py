"""Faults that decide how a new task will end; fixed when it is accepted."""

from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Call
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.state.tasks import Outcome

_MODERATED = "The request was blocked: the prompt or the picture violates the content policy."

_REFUSED = (
    "Veo could not generate videos because the input image violates Vertex AI's usage guidelines. "
    "If you think this was an error, send feedback. Support codes: 15236754"
)


async def failed(
    call: Call,
    proceed: Proceed,
    *,
    shape: str = "",
    code: str = "",
    message: str = "",
) -> Response:
    """The task will fail; what is not given is told as its wire does."""
    call.outcome = Outcome("failed", shape, str(code), message)
    return await proceed()


@fault("create")
async def never_finishes(call: Call, proceed: Proceed) -> Response:
    """The task runs until its 24 hours are over, then is gone and refunded."""
    call.outcome = Outcome("never")
    return await proceed()


@fault("create")
async def slow_task(call: Call, proceed: Proceed, *, seconds: float = 600.0) -> Response:
    """The task takes `seconds` of the sandbox's clock, whatever the latency says."""
    call.service = float(seconds)
    return await proceed()


_FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "failed": ("fails, told as the profile does", {}),
    "failed_object": ("fails with an `error` object", {"shape": "object"}),
    "failed_string": ("fails with a text as `error`", {"shape": "string"}),
    "failed_silent": ("fails without a word why", {"shape": "none"}),
    "failed_message": ("fails with a top-level `message`", {"shape": "message"}),
    "failed_reason": ("fails with a top-level `fail_reason`", {"shape": "fail_reason"}),
    "get_task_failed": ("fails; every poll of it is a 500", {"shape": "get_task_failed"}),
    "moderated": (
        "is refused by moderation",
        {"shape": "object", "code": "content_policy_violation", "message": _MODERATED},
    ),
    "filtered": ("of Google's is kept back by a safety filter", {"shape": "filtered", "code": ""}),
    "empty": ("of Google's ends with neither a video nor a reason", {"shape": "empty", "code": ""}),
    "refused_late": ("of Google's fails for what was sent", {"code": "3", "message": _REFUSED}),
}

for _name, (_doc, _fixed) in _FAILURES.items():
    register(_name, f"The task {_doc}.", ("create",), failed, **_fixed)
