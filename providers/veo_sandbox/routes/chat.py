"""`/v1/chat/completions`: one call that ends with the video; charged when it is accepted."""

from collections.abc import AsyncIterator
from uuid import uuid4

from starlette.responses import Response

from veo_sandbox.chat.dialects import DRESSES, Capture, Ended
from veo_sandbox.chat.request import Chat, Gateway
from veo_sandbox.chat.stream import EventStream
from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal
from veo_sandbox.profiles.base import NO_FRAME
from veo_sandbox.responses import HangUp
from veo_sandbox.routes import At, files
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Order, Outcome, Task

_SECONDS = 8.0
_GLANCE = 0.05
"""Real seconds between two looks at a clock that anybody may advance."""


async def create(core: Core, call: Call) -> Response:
    """POST /v1/chat/completions: make the videos while the client listens."""
    gateway = Gateway(core)
    if call.bearer != core.key:
        raise Refusal(gateway.unauthorized())
    model = gateway.model(call)
    chat = gateway.chat(call, model)
    try:
        tasks = core.accept_all(_orders(core, call, model, chat))
    except BalanceError as error:
        raise Refusal(gateway.broke(error.balance)) from None
    call.accepted = tasks[0]
    dress = DRESSES[tasks[0].order.dress](core, tasks[0])
    if chat.stream:
        return EventStream(_told(core, call, dress, tasks))
    ended = await _ended(core, call, tasks)
    return Response(dress.whole(ended), media_type="application/json") if ended else HangUp()


async def _told(core: Core, call: Call, dress: Capture, tasks: list[Task]) -> AsyncIterator[str]:
    """The payloads of a stream, each when its time has come."""
    for payload in dress.opening():
        yield payload
    last = max(tasks, key=lambda task: task.done_at)
    for share, payload in dress.steps():
        if await _passed(core, call, last.created_at + share * last.service):
            yield payload
    if ended := await _ended(core, call, tasks):
        for payload in [*dress.ending(ended), "[DONE]"]:
            yield payload


async def _passed(core: Core, call: Call, moment: float) -> bool:
    """Wait until the sandbox's clock shows a moment; False if nobody listens any more."""
    while not call.over:
        core.refresh()
        missing = (moment - core.clock.now()) / core.clock.speed
        if missing <= 0:
            return True
        await call.pause(min(missing, _GLANCE))
    return False


async def _ended(core: Core, call: Call, tasks: list[Task]) -> Ended:
    """The tasks with their last states; none if nobody listens any more."""
    while not call.over:
        core.refresh()
        states = [(task, core.state(task)) for task in tasks]
        if all(state.name in {"completed", "failed", "gone"} for _, state in states):
            return states
        await call.pause(_GLANCE)
    return []


def _orders(core: Core, call: Call, model: Model, chat: Chat) -> list[Order]:
    """One order for each video; the first bears the id that the client is told."""
    name = f"foaicmpl-{uuid4()}"
    names = [name] + [f"{name}-{number}" for number in range(2, chat.videos + 1)]
    return [_order(core, call, model, chat, each) for each in names]


def _order(core: Core, call: Call, model: Model, chat: Chat, name: str) -> Order:
    width, height = (int(side) for side in model.size.split("x"))
    spec = ClipSpec(chat.prompt, width, height, _SECONDS)
    lacks = model.frames > 0 and not chat.pictures and not chat.linked
    return Order(
        route="chat",
        dress=call.dress or Capture.name,
        id=name,
        model=model.id,
        prompt=chat.prompt,
        clip=core.studio.plan(spec, [picture.data for picture in chat.pictures]),
        amount=model.price(_SECONDS),
        billing="on_accept",
        outcome=call.outcome or (Outcome("failed", message=NO_FRAME) if lacks else None),
        service=call.service,
        request={
            "prompt": chat.prompt,
            "size": model.size,
            "stream": chat.stream,
            "images": [picture.as_json() for picture in chat.pictures],
            "linked": chat.linked,
        },
    )


ROUTES = (At("POST", "/v1/chat/completions", "stream", create),)
FILES = (At("GET", "/signed/{file}", "file", files.video),)
