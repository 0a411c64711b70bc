"""`/sandbox/...`: inspect and control the sandbox. No key, no faults, no delay, no log.

The list of these paths, and what each does, is in the docstring of `veo_sandbox`.
"""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from veo_sandbox.core import Core
from veo_sandbox.faults.registry import FAULTS
from veo_sandbox.faults.rules import FaultRules

Act = Callable[[Any], object]
"""Changes the sandbox by the JSON of a POST, or reads it; returns the JSON of the response."""


def build_routes(core: Core, rules: FaultRules) -> list[BaseRoute]:
    def advance(body: Any) -> None:
        core.clock.advance(_require_member(body, "advance"))

    def add_rules(body: Any) -> None:
        bodies = _require_member(body, "rules")
        if not isinstance(bodies, list):
            raise TypeError("rules: must be a list")
        rules.add_rules([_require_object(rule) for rule in bodies])

    def read_clock(_: Any) -> object:
        return {"now": core.clock.now(), "speed": core.clock.speed}

    # Path, what GET returns, what POST and DELETE do before the same is returned.
    table: tuple[tuple[str, Act, Act | None, Act | None], ...] = (
        ("bills", lambda _: core.account.list_bills(core.clock.now()), None, None),
        ("tasks", lambda _: core.describe_tasks(), None, None),
        (
            "requests",
            lambda _: core.request_log.list_entries(),
            None,
            lambda _: core.request_log.clear(),
        ),
        ("leaks", lambda _: core.leak_log.list_entries(), None, None),
        ("clock", read_clock, advance, None),
        (
            "settings",
            lambda _: core.describe_settings(),
            lambda body: core.change_settings(_require_object(body)),
            None,
        ),
        (
            "faults",
            lambda _: {"rules": rules.list_rules()},
            add_rules,
            lambda _: rules.clear_rules(),
        ),
        ("faults/names", lambda _: [FAULTS[name].to_json() for name in sorted(FAULTS)], None, None),
    )

    def make_route(path: str, method: str, read: Act, act: Act | None) -> Route:
        async def endpoint(request: Request) -> Response:
            core.refresh()
            rules.refresh()
            try:
                if act:
                    act(await request.json() if method == "POST" else None)
                return JSONResponse(read(None))
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 400)

        return Route(f"/sandbox/{path}", endpoint, methods=[method])

    return [
        make_route(path, method, read, act)
        for path, read, post, delete in table
        for method, act in (("GET", None), ("POST", post), ("DELETE", delete))
        if method == "GET" or act
    ]


def _require_object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError("must be a JSON object")
    return body


def _require_member(body: Any, name: str) -> Any:
    if name not in _require_object(body):
        raise ValueError(f"{name}: missing")
    return body[name]
