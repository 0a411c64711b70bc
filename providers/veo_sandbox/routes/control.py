"""`/sandbox/...`: look at the sandbox and steer it. No key, no faults, no delay, no record."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from veo_sandbox.core import Core
from veo_sandbox.faults.registry import FAULTS
from veo_sandbox.faults.rules import Rules


class Control:
    """The handlers. A wrong value is answered 400 with what is allowed."""

    def __init__(self, core: Core, rules: Rules) -> None:
        self._core = core
        self._rules = rules

    def bills(self, body: Any) -> Any:
        """GET: every charge and refund so far."""
        del body
        return self._core.account.bills(self._core.clock.now())

    def tasks(self, body: Any) -> Any:
        """GET: every id given out."""
        del body
        return self._core.tasks_now()

    def requests(self, body: Any) -> Any:
        """GET: the requests of the wires that reached this process."""
        del body
        return self._core.record.all()

    def forget(self, body: Any) -> Any:
        """DELETE: empty that record."""
        del body
        self._core.record.clear()
        return []

    def leaks(self, body: Any) -> Any:
        """GET: requests that carried a key to the files port."""
        del body
        return self._core.leaks.all()

    def clock(self, body: Any) -> Any:
        """GET: the time; POST {"advance": seconds}: let some pass."""
        if body is not None:
            self._core.clock.advance(_member(body, "advance"))
        return {"now": self._core.clock.now(), "speed": self._core.clock.speed}

    def settings(self, body: Any) -> Any:
        """GET: all settings; POST: change some."""
        if body is not None:
            self._core.change(_object(body))
        return self._core.settings_now()

    def faults(self, body: Any) -> Any:
        """GET: the rules; POST {"rules": [...]}: add some."""
        if body is not None:
            rules = _member(body, "rules")
            if not isinstance(rules, list):
                raise TypeError("rules: must be a list")
            self._rules.add([_object(rule) for rule in rules])
        return {"rules": self._rules.all()}

    def heal(self, body: Any) -> Any:
        """DELETE: drop all rules."""
        del body
        self._rules.clear()
        return {"rules": []}

    def names(self, body: Any) -> Any:
        """GET: the table of faults."""
        del body
        return [fault.as_json() for _, fault in sorted(FAULTS.items())]


def routes(core: Core, rules: Rules) -> list[BaseRoute]:
    """The control routes of a sandbox."""
    control = Control(core, rules)
    table: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
        ("GET", "bills", control.bills),
        ("GET", "tasks", control.tasks),
        ("GET", "requests", control.requests),
        ("DELETE", "requests", control.forget),
        ("GET", "leaks", control.leaks),
        ("GET", "clock", control.clock),
        ("POST", "clock", control.clock),
        ("GET", "settings", control.settings),
        ("POST", "settings", control.settings),
        ("GET", "faults", control.faults),
        ("POST", "faults", control.faults),
        ("DELETE", "faults", control.heal),
        ("GET", "faults/names", control.names),
    )
    return [
        Route(f"/sandbox/{path}", _endpoint(core, rules, act), methods=[method])
        for method, path, act in table
    ]


def _endpoint(
    core: Core, rules: Rules, act: Callable[[Any], Any]
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


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise TypeError("must be a JSON object")
    return body


def _member(body: Any, name: str) -> Any:
    if name not in _object(body):
        raise ValueError(f"{name}: missing")
    return body[name]
