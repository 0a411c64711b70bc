"""Faults that decide how a new task ends; fixed when it is accepted."""

from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.state.tasks import Outcome

_MODERATED_TEXT = "The request was blocked: the prompt or the picture violates the content policy."

_REFUSED_TEXT = (
    "Veo could not generate videos because the input image violates Vertex AI's usage guidelines. "
    "If you think this was an error, send feedback. Support codes: 15236754"
)


async def failed(
    exchange: Exchange, proceed: Proceed, *, shape: str = "", code: str = "", message: str = ""
) -> Response:
    """The task will fail; its wire fills in what is not given."""
    exchange.forced_outcome = Outcome("failed", shape, str(code), message)
    return await proceed()


@fault("create")
async def never_finishes(exchange: Exchange, proceed: Proceed) -> Response:
    """The task runs until its 24 hours are over, then is gone and refunded."""
    exchange.forced_outcome = Outcome("never")
    return await proceed()


@fault("create")
async def slow_task(exchange: Exchange, proceed: Proceed, *, seconds: float = 600.0) -> Response:
    """The task takes `seconds` of the sandbox's clock, whatever the latency is."""
    exchange.forced_service_s = float(seconds)
    return await proceed()


# Name, end of the description, fixed parameters of `failed`.
_FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "failed": ("fails, reported as the profile does", {}),
    "failed_object": ("fails with an `error` object", {"shape": "object"}),
    "failed_string": ("fails with a text as `error`", {"shape": "string"}),
    "failed_silent": ("fails without a reason", {"shape": "none"}),
    "failed_message": ("fails with a top-level `message`", {"shape": "message"}),
    "failed_reason": ("fails with a top-level `fail_reason`", {"shape": "fail_reason"}),
    "get_task_failed": ("fails; every poll of it is a 500", {"shape": "get_task_failed"}),
    "moderated": (
        "is refused by moderation",
        {"shape": "object", "code": "content_policy_violation", "message": _MODERATED_TEXT},
    ),
    "filtered": ("of Google's is filtered for safety", {"shape": "filtered", "code": ""}),
    "empty": ("of Google's ends with neither a video nor a reason", {"shape": "empty", "code": ""}),
    "refused_late": (
        "of Google's fails because of the input",
        {"code": "3", "message": _REFUSED_TEXT},
    ),
}

for _name, (_doc, _fixed) in _FAILURES.items():
    register(_name, f"The task {_doc}.", ("create",), failed, **_fixed)
