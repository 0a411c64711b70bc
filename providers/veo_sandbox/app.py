"""The ASGI application: which route belongs to which API, and what happens around each exchange.

An API is a module of `veo_sandbox.routes` with a tuple `ROUTES`; add it to `API_MODULES`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal
from veo_sandbox.faults.registry import FAULTS
from veo_sandbox.faults.rules import FaultRule, FaultRules
from veo_sandbox.google.errors import unknown_url_page
from veo_sandbox.responses import proxy_page
from veo_sandbox.routes import (
    Handler,
    RouteSpec,
    account,
    chat,
    control,
    files,
    gemini,
    google_files,
    interactions,
    openai_videos,
    vertex,
    videos,
)

API_MODULES = (videos, openai_videos, chat, gemini, google_files, interactions, vertex, account)


@dataclass(frozen=True)
class Endpoint:
    """The pipeline around a handler: read, log, delay, apply faults, respond.

    Routes are shared by all sandboxes of a process; `build_app` adds the sandbox to the scope.
    """

    route: RouteSpec

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        core: Core = scope["core"]
        rules: FaultRules = scope["rules"]
        core.refresh()
        rules.refresh()
        exchange = Exchange(core, self.route.kind, scope, receive, send)
        await exchange.read_request()
        exchange.set_task(self.route.find_task(core, exchange))
        entry = exchange.to_log_entry()
        core.request_log.append(entry)
        # Logged before the delay, so that tests can wait for a request to arrive.
        if core.settings.delay:
            await asyncio.sleep(core.settings.delay)
        response = await self._apply_faults(rules.select_rules(exchange), exchange)
        # Marked before it is sent, so that a client that has the response finds it in the log.
        if exchange.accepted_task and not exchange.connection.is_closed and response.status_code:
            core.tasks.mark_responded(exchange.accepted_task.id, core.clock.now())
        entry["status"] = response.status_code  # 0 if no response is sent
        await response(scope, receive, send)

    async def _apply_faults(self, rules: list[FaultRule], exchange: Exchange) -> Response:
        """Call the handler, with the fault of the first rule around those of the other rules."""

        async def proceed() -> Response:
            return await self._apply_faults(rules[1:], exchange)

        try:
            if exchange.is_too_large:
                # The proxy in front of a service cuts such a request off.
                return proxy_page(413, "Request Entity Too Large")
            if rules:
                return await FAULTS[rules[0].fault].act(exchange, proceed, **rules[0].params)
            if self.route.authorize:
                self.route.authorize(exchange.core, exchange)
            return await self.route.handler(exchange.core, exchange)
        # A refusal is a response like any other: faults around it still change it.
        except Refusal as refusal:
            return refusal.response


class _ExactRoute(Route):
    """A route that another method does not match: no service answers with Starlette's 405."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return (Match.NONE, {}) if match is Match.PARTIAL else (match, child_scope)


async def _unknown_url(core: Core, exchange: Exchange) -> Response:
    if exchange.path.startswith(("/v1beta", "/v1/projects/", "/upload/")):
        return unknown_url_page(exchange.path)
    return videos.unknown_url(core, exchange)


def _build_routes(routes: Iterable[RouteSpec]) -> list[BaseRoute]:
    return [_ExactRoute(each.path, Endpoint(each), methods=[each.method]) for each in routes]


def _build_router(routes: list[BaseRoute], default: Handler) -> Router:
    other = Endpoint(RouteSpec("", "", "other", default))
    # The services do not redirect `/v1/videos/` either.
    return Router(routes, redirect_slashes=False, default=other)


# Built once: compiling the paths takes milliseconds, and tests start thousands of sandboxes.
_API = _build_router(
    [*_build_routes(route for module in API_MODULES for route in module.ROUTES), *control.ROUTES],
    _unknown_url,
)
_STORE = _build_router(_build_routes((*files.ROUTES, *chat.FILES, *vertex.FILES)), files.not_found)


def build_app(core: Core, rules: FaultRules) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        port = _STORE if scope["server"][1] == core.files_port else _API
        await port({**scope, "core": core, "rules": rules}, receive, send)

    return app
