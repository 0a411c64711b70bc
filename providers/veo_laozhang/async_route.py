"""The asynchronous route: create a task, ask how it is doing, fetch the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from veo.model import Facts, load_facts
from veo_laozhang import request_bodies as bodies
from veo_laozhang import responses as wire
from veo_laozhang.base import Route

if TYPE_CHECKING:
    from veo.http import Response
    from veo.provider import Pingable, ProviderClass
    from veo.request import Request
    from veo.update import Report, Update


class LaoZhangAsync(Route):
    """``POST /v1/videos`` and what follows; charged when a task completes, as documented."""

    facts: ClassVar[Facts] = load_facts("veo_laozhang", "laozhang-async")

    def submit(self, request: Request, report: Report) -> Update:
        """Create a task; what an error says in ``charged`` is the table's word."""
        return wire.read_submit_response(
            self._create(request), self.models.get(request.model or "")
        )

    async def poll(self, task_id: str) -> Update:
        """Send one GET of the task."""
        return wire.read_poll(await self._http.get_async(bodies.task_path(task_id)), task_id)

    def _create(self, request: Request) -> Response:
        model = self.models[request.model or ""]
        if not bodies.uses_form(request, model):
            return self._http.post_json("videos", bodies.build_task_body(request))
        return self._http.post_form(
            "videos", bodies.build_form_fields(request, model), bodies.build_form_files(request)
        )


if TYPE_CHECKING:
    _class: ProviderClass = LaoZhangAsync

    def _pings(route: LaoZhangAsync) -> Pingable:
        return route
