"""`/v1/chat/completions`: one request that ends with the video; charged when it is accepted."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

from starlette.responses import Response

from veo_sandbox.chat.dialects import DIALECTS, Dialect
from veo_sandbox.chat.request import ChatRequest, Gateway
from veo_sandbox.chat.stream import EventStream
from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import CLOCK_CHECK_S, Exchange, Refusal
from veo_sandbox.profiles.base import NO_FRAME_TEXT
from veo_sandbox.responses import DropConnection
from veo_sandbox.routes import RouteSpec, files
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Outcome, Task, TaskSpec

_SECONDS = 8.0


async def create_chat(core: Core, exchange: Exchange) -> Response:
    gateway = Gateway(core)
    gateway.check_key(exchange)
    model = gateway.find_model(exchange)
    chat = gateway.parse_chat(exchange, model)
    try:
        tasks = core.accept_tasks(_build_specs(core, exchange, model, chat))
    except BalanceError as error:
        raise Refusal(gateway.known_error("balance", balance=error.balance)) from None
    # The client gets one id, whatever the number of videos.
    exchange.accepted_task = tasks[0]
    dialect = DIALECTS[tasks[0].spec.profile](core, tasks[0])
    if chat.stream:
        return EventStream(_stream_payloads(core, exchange, dialect, tasks))
    ended = await exchange.wait_for_end(tasks)
    return (
        Response(dialect.full_response(ended), media_type="application/json")
        if ended
        else DropConnection()
    )


async def _stream_payloads(
    core: Core, exchange: Exchange, dialect: Dialect, tasks: list[Task]
) -> AsyncIterator[str]:
    for payload in dialect.opening_payloads():
        yield payload
    # Progress follows the slowest of the videos.
    last = max(tasks, key=lambda task: task.done_at)
    for share, payload in dialect.progress_payloads():
        if await _wait_until(core, exchange, last.created_at + share * last.service_s):
            yield payload
    if ended := await exchange.wait_for_end(tasks):
        for payload in [*dialect.ending_payloads(ended), "[DONE]"]:
            yield payload


async def _wait_until(core: Core, exchange: Exchange, moment: float) -> bool:
    """Wait until the sandbox's clock shows a moment; return False if the client is gone."""
    while not exchange.is_abandoned:
        # Another process may have changed speed or time of the clock.
        core.refresh()
        remaining_s = (moment - core.clock.now()) / core.clock.speed
        if remaining_s <= 0:
            return True
        await exchange.wait_seconds(min(remaining_s, CLOCK_CHECK_S))
    return False


def _build_specs(core: Core, exchange: Exchange, model: Model, chat: ChatRequest) -> list[TaskSpec]:
    """Return the spec of each video; the first has the id that the client gets."""
    width, height = (int(side) for side in model.size.split("x"))
    clip = ClipSpec(chat.prompt, width, height, _SECONDS)
    lacks_image = model.max_images > 0 and not chat.images and not chat.linked_images
    spec = TaskSpec(
        route="chat",
        profile=exchange.dialect or Dialect.name,
        id=f"foaicmpl-{uuid4()}",
        model=model.id,
        prompt=chat.prompt,
        clip=core.clips.plan_clip(clip, [image.data for image in chat.images]),
        amount=model.price_micros(_SECONDS),
        billing="on_accept",
        outcome=exchange.forced_outcome
        or (Outcome("failed", message=NO_FRAME_TEXT) if lacks_image else None),
        service_s=exchange.forced_service_s,
        request={
            "prompt": chat.prompt,
            "size": model.size,
            "stream": chat.stream,
            "images": [image.to_json() for image in chat.images],
            "linked": chat.linked_images,
        },
    )
    numbers = range(2, chat.videos + 1)
    return [spec, *(replace(spec, id=f"{spec.id}-{number}") for number in numbers)]


ROUTES = (RouteSpec("POST", "/v1/chat/completions", "stream", create_chat),)
FILES = (RouteSpec("GET", "/signed/{file}", "file", files.get_video),)
