"""The imitated APIs: one module each, with a tuple `ROUTES`."""

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from starlette.responses import Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.state.tasks import Task

Handler = Callable[[Core, Exchange], Awaitable[Response]]
TaskFinder = Callable[[Core, Exchange], Task | None]
Authorize = Callable[[Core, Exchange], None]


def find_by_path(core: Core, exchange: Exchange) -> Task | None:
    if "file" in exchange.params:
        return core.tasks.find_by_file(exchange.params["file"])
    task = core.tasks.find(exchange.params.get("task", ""))
    if task is None or task.spec.route != "videos":
        return None
    # Only OpenAI's own endpoint deletes; looking this up would slow the polls of all others.
    if task.spec.profile == "openai" and core.tasks.has_mark(task, "deleted"):
        return None
    return task


class RouteSpec(NamedTuple):
    """A route of an API.

    `kind` is what fault rules select: create, stream (also a create), poll, cancel, content,
    file, upload; or other. `find_task` returns the requested task before faults and handler run.
    `authorize` raises a Refusal before the handler runs; without it the handler checks the key.
    """

    method: str
    path: str
    kind: str
    handler: Handler
    find_task: TaskFinder = find_by_path
    authorize: Authorize | None = None


def mount(
    folders: Iterable[str], authorize: Authorize, *routes: RouteSpec
) -> tuple[RouteSpec, ...]:
    """Return the routes of an API, below each of its folders."""
    return tuple(
        route._replace(path=folder + route.path, authorize=authorize)
        for folder in folders
        for route in routes
    )
