"""The wires: one module each, with a tuple `ROUTES`."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response

from veo_sandbox.call import Call
from veo_sandbox.core import Core

Handler = Callable[[Core, Call], Awaitable[Response]]


class At(NamedTuple):
    """A route of a wire.

    `step` is what faults are aimed at: create, poll, content, file or other. A path parameter
    `{task}` or `{file}` makes the pipeline find the task before the handler runs.
    """

    method: str
    path: str
    step: str
    handler: Handler
