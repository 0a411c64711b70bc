"""Faults that decide how a new task will end; fixed when it is accepted."""

from starlette.responses import Response

from veo_sandbox.call import Call
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.tasks import Outcome

_MODERATED = "The request was blocked: the prompt or the picture violates the content policy."


async def failed(
    call: Call,
    proceed: Proceed,
    *,
    shape: str = "",
    code: str = "",
    message: str = "",
) -> Response:
    """The task will fail; what is not given is told as its wire does."""
    call.outcome = Outcome("failed", shape, code, message)
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


_FAILURES = {
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
}

for _name, (_doc, _fixed) in _FAILURES.items():
    register(_name, f"The task {_doc}.", ("create",), failed, **_fixed)
