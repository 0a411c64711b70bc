"""`/sandbox/...`: inspect and control the sandbox. No key, no faults, no delay, no log.

The list of these paths, and what each does, is in the docstring of `veo_sandbox`. Web pages cannot
use them: a page has the origin of its own site, and behind a name that a foreign site has pointed
at this machine it sends that name as the host.
"""

import json
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from veo_sandbox.core import Core
from veo_sandbox.faults.registry import FAULTS
from veo_sandbox.faults.rules import FaultRules

_HOSTS = {"127.0.0.1", "localhost", "::1"}
_MAX_BODY_BYTES = 16 * 1024 * 1024
"""Fault rules may hold a response, which is far smaller."""

Read = Callable[[Core, FaultRules], object]
Change = Callable[[Core, FaultRules, Any], None]


def _add_rules(_core: Core, rules: FaultRules, body: Any) -> None:
    bodies = _require_member(body, "rules")
    if not isinstance(bodies, list):
        raise TypeError("rules: must be a list")
    rules.add_rules([_require_object(rule) for rule in bodies])


# Every method returns what GET returns, POST and DELETE after their change.
_READS: dict[str, Read] = {
    "bills": lambda core, _: core.account.list_bills(core.clock.now()),
    "tasks": lambda core, _: core.describe_tasks(),
    "requests": lambda core, _: list(core.request_log),
    "leaks": lambda core, _: core.list_leaks(),
    "clock": lambda core, _: {"now": core.clock.now(), "speed": core.clock.speed},
    "settings": lambda core, _: core.describe_settings(),
    "faults": lambda _, rules: {"rules": rules.list_rules()},
    "faults/names": lambda *_: [FAULTS[name].to_json() for name in sorted(FAULTS)],
}
_CHANGES: dict[tuple[str, str], Change] = {
    ("clock", "POST"): lambda core, _, body: core.clock.advance(_require_member(body, "advance")),
    ("settings", "POST"): lambda core, _, body: core.change_settings(_require_object(body)),
    ("faults", "POST"): _add_rules,
    ("faults", "DELETE"): lambda _, rules, __: rules.clear_rules(),
    ("requests", "DELETE"): lambda core, *_: core.request_log.clear(),
}


async def _respond(request: Request) -> Response:
    if not _is_local(request):
        return JSONResponse({"error": "only for clients of this machine"}, 403)
    core: Core = request.scope["core"]
    rules: FaultRules = request.scope["rules"]
    core.refresh()
    rules.refresh()
    path = request.url.path.removeprefix("/sandbox/")
    try:
        if change := _CHANGES.get((path, request.method)):
            change(core, rules, await _read_json(request) if request.method == "POST" else None)
        return JSONResponse(_READS[path](core, rules))
    except (TypeError, ValueError) as error:
        return JSONResponse({"error": str(error)}, 400)


ROUTES = [
    Route(f"/sandbox/{path}", _respond, methods=[method])
    for path, method in (*((path, "GET") for path in _READS), *_CHANGES)
]


def _is_local(request: Request) -> bool:
    """Return whether a request names this machine, and comes from no page of another site."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    try:
        is_own_host = urlsplit(f"//{host}").hostname in _HOSTS
        return is_own_host and (origin is None or urlsplit(origin).netloc == host)
    # Brackets that do not match are no host.
    except ValueError:
        return False


async def _read_json(request: Request) -> Any:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY_BYTES:
            raise ValueError(f"the body has more than {_MAX_BODY_BYTES} bytes")
    return json.loads(body, parse_float=_parse_float, parse_constant=_parse_float)


def _parse_float(text: str) -> float:
    """Parse a number; one that is infinite or none at all cannot be stored or sent as JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text}: must be a finite number")
    return number


def _require_object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError("must be a JSON object")
    return body


def _require_member(body: Any, name: str) -> Any:
    if name not in _require_object(body):
        raise ValueError(f"{name}: missing")
    return body[name]
