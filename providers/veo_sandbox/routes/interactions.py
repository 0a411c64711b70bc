"""Gemini Omni on the Interactions API: at the Developer API and at the Agent Platform.

An interaction is accepted and billed once its request has passed every check. In the background
it is polled; else the connection is held, or the events are streamed, until it has ended.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.responses import JSONResponse, Response

from veo_sandbox.chat.stream import EventStream
from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal
from veo_sandbox.google.errors import google_error, unknown_url_page
from veo_sandbox.google.interaction_bodies import (
    created_body,
    format_event,
    interaction_body,
    opening_events,
    stream_events,
)
from veo_sandbox.google.interaction_request import check_body, parse_interaction
from veo_sandbox.google.interaction_source import find_interaction
from veo_sandbox.google.interactions import build_spec
from veo_sandbox.google.omni_api import OmniApi
from veo_sandbox.responses import DropConnection
from veo_sandbox.routes import Authorize, RouteSpec, gemini, mount
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.tasks import Task, TaskState

_PLATFORM = OmniApi.load("vertex")
_LOCATION = "global"
"""The only location that serves this wire (documented)."""


class Interactions(NamedTuple):
    """The handlers of one API."""

    api: OmniApi

    async def create(self, core: Core, exchange: Exchange) -> Response:
        check_body(self.api, exchange)
        model = self.api.find_model(core, exchange.fields.get("model"))
        request = parse_interaction(self.api, model, exchange)
        # Reads and writes files of the request.
        spec = await asyncio.to_thread(build_spec, exchange, self.api, model, request)
        try:
            exchange.accepted_task = task = core.accept_task(spec)
        except BalanceError:
            name = "no_credit" if self.api.name == "gemini" else "no_billing"
            raise google_error(name) from None
        if request.stream:
            return _stream_response(core, exchange, task)
        if request.background:
            return JSONResponse(created_body(task))
        ended = await exchange.wait_for_end([task])
        return await self._respond(core, *ended[0]) if ended else DropConnection()

    async def get(self, core: Core, exchange: Exchange) -> Response:
        task, state = self._find(core, exchange)
        if exchange.query.get("stream") == "true":
            return _stream_response(core, exchange, task)
        return await self._respond(core, task, state)

    async def cancel(self, core: Core, exchange: Exchange) -> Response:
        task, _ = self._find(core, exchange)
        if not core.account.cancel_task(task, core.clock.now()):
            raise self.api.error("finished")
        return await self._respond(core, task, core.task_state(task))

    async def delete(self, core: Core, exchange: Exchange) -> Response:
        """Forget an interaction; one that runs goes on and is billed (not documented)."""
        task, _ = self._find(core, exchange)
        core.tasks.add_mark(task, "deleted", core.clock.now())
        return JSONResponse({})

    def find_task(self, core: Core, exchange: Exchange) -> Task | None:
        return find_interaction(core, self.api, exchange.params["interaction"])

    def _find(self, core: Core, exchange: Exchange) -> tuple[Task, TaskState]:
        self.api.check_id(exchange.params["interaction"])
        if exchange.task is None:
            raise self.api.error("not_found")
        return exchange.task, core.task_state(exchange.task)

    async def _respond(self, core: Core, task: Task, state: TaskState) -> Response:
        # Reads and encodes images and videos.
        return JSONResponse(await asyncio.to_thread(interaction_body, core, task, state))


def _authorize_platform(core: Core, exchange: Exchange) -> None:
    if exchange.google_key:
        text = "API keys are not supported by this API"
        raise Refusal(_PLATFORM.error_response(401, "", text))
    if exchange.bearer_key != core.key:
        raise google_error("no_credentials")
    # A regional location builds a host that nothing serves.
    if exchange.params.get("location", _LOCATION) != _LOCATION:
        raise Refusal(unknown_url_page(exchange.path))


def _stream_response(core: Core, exchange: Exchange, task: Task) -> Response:
    return EventStream(_stream_payloads(core, exchange, task), frame="event: {}\n\n")


async def _stream_payloads(core: Core, exchange: Exchange, task: Task) -> AsyncIterator[str]:
    """Yield each event when it is due, from behind the one that a resumed stream names."""
    last_seen = exchange.query.get("last_event_id", "")
    skipped = int(last_seen) if last_seen.isdecimal() else 0
    events = list(opening_events(task))
    for number, event in enumerate(events, 1):
        if number > skipped:
            yield format_event(event, number)
    ended = await exchange.wait_for_end([task])
    if not ended:
        return
    closing = await asyncio.to_thread(lambda: list(stream_events(core, *ended[0])))
    for number, event in enumerate(closing, len(events) + 1):
        if number > skipped:
            yield format_event(event, number)
    yield "done\ndata: [DONE]"


def _build_routes(api: OmniApi, authorize: Authorize, *folders: str) -> tuple[RouteSpec, ...]:
    handlers = Interactions(api)
    find_task, one = handlers.find_task, "/interactions/{interaction}"
    return mount(
        folders,
        authorize,
        RouteSpec("POST", "/interactions", "create", handlers.create),
        RouteSpec("GET", one, "poll", handlers.get, find_task),
        RouteSpec("POST", f"{one}/cancel", "cancel", handlers.cancel, find_task),
        RouteSpec("DELETE", one, "other", handlers.delete, find_task),
    )


ROUTES = (
    *_build_routes(OmniApi.load("gemini"), gemini.authorize, *gemini.FOLDERS),
    *_build_routes(
        _PLATFORM,
        _authorize_platform,
        "/v1beta1/projects/{project}/locations/{location}",
        # Where google-genai sends an API key; the service refuses those.
        "/v1beta1",
    ),
)
