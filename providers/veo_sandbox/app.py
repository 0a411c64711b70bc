"""The ASGI application: which route is whose, and what happens around every exchange.

A wire is a module of `veo_sandbox.routes` with a tuple `ROUTES`; adding one is a line in `WIRES`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal
from veo_sandbox.faults.registry import FAULTS
from veo_sandbox.faults.rules import Rule, Rules
from veo_sandbox.responses import HangUp
from veo_sandbox.routes import At, Handler, account, chat, control, files, gemini, vertex, videos

WIRES = (videos, chat, gemini, vertex, account)


class Endpoint:
    """The pipeline around a handler: read, record, wait, misbehave, answer."""

    def __init__(self, core: Core, rules: Rules, at: At) -> None:
        self._core = core
        self._rules = rules
        self._at = at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        core = self._core
        core.refresh()
        self._rules.refresh()
        call = Call(core, self._at.step, scope, receive, send)
        await call.read()
        call.ask_for(self._at.find(core, call))
        entry = core.record.add(call.summary())
        if core.settings.delay:
            await asyncio.sleep(core.settings.delay)
        answer = await self._answer(call)
        # Before it is sent: who has the answer must find it told in the record.
        if call.accepted and not call.connection.left and not isinstance(answer, HangUp):
            core.tasks.answered(call.accepted.id, core.clock.now())
        entry["status"] = 0 if isinstance(answer, HangUp) else answer.status_code
        await answer(scope, receive, send)

    async def _answer(self, call: Call) -> Response:
        rules = self._rules.striking(call)
        try:
            return await self._through(rules, call)
        except Refusal as refusal:
            return refusal.answer

    async def _through(self, rules: list[Rule], call: Call) -> Response:
        """The handler with the first rule's fault around the rest."""
        if not rules:
            return await self._at.handler(self._core, call)
        rule, *rest = rules

        async def proceed() -> Response:
            try:
                return await self._through(rest, call)
            except Refusal as refusal:
                return refusal.answer

        return await FAULTS[rule.fault].act(call, proceed, **rule.params)


def build(core: Core, rules: Rules) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application for both ports of a sandbox."""
    api = _router(core, rules, [at for wire in WIRES for at in wire.ROUTES], _nowhere)
    api.routes.extend(control.routes(core, rules))
    store = _router(core, rules, [*files.ROUTES, *chat.FILES, *vertex.FILES], files.not_found)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        port = store if scope["server"][1] == core.files_port else api
        await port(scope, receive, send)

    return app


async def _nowhere(core: Core, call: Call) -> Response:
    """An address that no wire has, answered as whoever's it looks like."""
    google = call.path.startswith("/v1beta")
    return await (gemini.nowhere if google else videos.no_such_url)(core, call)


def _router(core: Core, rules: Rules, routes: list[At], default: Handler) -> Router:
    table: list[BaseRoute] = [
        Route(at.path, Endpoint(core, rules, at), methods=[at.method]) for at in routes
    ]
    other = At("", "", "other", default)
    return Router(table, redirect_slashes=False, default=Endpoint(core, rules, other))
