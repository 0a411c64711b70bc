"""`/sandbox/...`: inspect and control the sandbox. No key, no faults, no delay, no log."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from veo_sandbox.core import Core
from veo_sandbox.faults.registry import FAULTS
from veo_sandbox.faults.rules import FaultRules


class Control:
    """The handlers. A wrong value is refused with 400 and a text that says what is allowed."""

    def __init__(self, core: Core, rules: FaultRules) -> None:
        self._core = core
        self._rules = rules

    def list_bills(self, body: Any) -> Any:
        """GET: every charge and refund so far."""
        del body
        return self._core.account.list_bills(self._core.clock.now())

    def list_tasks(self, body: Any) -> Any:
        """GET: every task."""
        del body
        return self._core.describe_tasks()

    def list_requests(self, body: Any) -> Any:
        """GET: the requests of the wires that reached this process."""
        del body
        return self._core.request_log.list_entries()

    def clear_requests(self, body: Any) -> Any:
        """DELETE: clear that log."""
        del body
        self._core.request_log.clear()
        return []

    def list_leaks(self, body: Any) -> Any:
        """GET: requests that carried a key to the files port."""
        del body
        return self._core.leak_log.list_entries()

    def handle_clock(self, body: Any) -> Any:
        """GET: the time; POST {"advance": seconds}: advance it."""
        if body is not None:
            self._core.clock.advance(_require_member(body, "advance"))
        return {"now": self._core.clock.now(), "speed": self._core.clock.speed}

    def handle_settings(self, body: Any) -> Any:
        """GET: all settings; POST: change some."""
        if body is not None:
            self._core.change_settings(_require_object(body))
        return self._core.describe_settings()

    def handle_faults(self, body: Any) -> Any:
        """GET: the fault rules; POST {"rules": [...]}: add some."""
        if body is not None:
            rules = _require_member(body, "rules")
            if not isinstance(rules, list):
                raise TypeError("rules: must be a list")
            self._rules.add_rules([_require_object(rule) for rule in rules])
        return {"rules": self._rules.list_rules()}

    def clear_faults(self, body: Any) -> Any:
        """DELETE: remove all rules."""
        del body
        self._rules.clear_rules()
        return {"rules": []}

    def list_fault_names(self, body: Any) -> Any:
        """GET: the table of faults."""
        del body
        return [fault.to_json() for _, fault in sorted(FAULTS.items())]


def build_routes(core: Core, rules: FaultRules) -> list[BaseRoute]:
    """Build the control routes of a sandbox."""
    control = Control(core, rules)
    table: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
        ("GET", "bills", control.list_bills),
        ("GET", "tasks", control.list_tasks),
        ("GET", "requests", control.list_requests),
        ("DELETE", "requests", control.clear_requests),
        ("GET", "leaks", control.list_leaks),
        ("GET", "clock", control.handle_clock),
        ("POST", "clock", control.handle_clock),
        ("GET", "settings", control.handle_settings),
        ("POST", "settings", control.handle_settings),
        ("GET", "faults", control.handle_faults),
        ("POST", "faults", control.handle_faults),
        ("DELETE", "faults", control.clear_faults),
        ("GET", "faults/names", control.list_fault_names),
    )
    return [
        Route(f"/sandbox/{path}", _make_endpoint(core, rules, act), methods=[method])
        for method, path, act in table
    ]


def _make_endpoint(
    core: Core, rules: FaultRules, act: Callable[[Any], Any]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        core.refresh()
        rules.refresh()
        try:
            body = await request.json() if request.method == "POST" else None
            return JSONResponse(act(body))
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": str(error)}, 400)

    return endpoint


def _require_object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError("must be a JSON object")
    return body


def _require_member(body: Any, name: str) -> Any:
    if name not in _require_object(body):
        raise ValueError(f"{name}: missing")
    return body[name]
