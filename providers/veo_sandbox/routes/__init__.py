"""The wires: one module each, with a tuple `ROUTES`."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call
from veo_sandbox.state.tasks import Task

Handler = Callable[[Core, Call], Awaitable[Response]]
Finder = Callable[[Core, Call], Task | None]


def by_path(core: Core, call: Call) -> Task | None:
    """The task of `/v1/videos/{task}`, or of the video `{file}`."""
    if "file" in call.params:
        return core.tasks.of_file(call.params["file"])
    task = core.tasks.find(call.params.get("task", ""))
    return task if task and task.order.route == "videos" else None


class At(NamedTuple):
    """A route of a wire.

    `step` is what faults are aimed at: create, stream (a create too), poll, content, file or
    other. `find` tells the pipeline, before faults and handler run, which task is asked for.
    """

    method: str
    path: str
    step: str
    handler: Handler
    find: Finder = by_path
