"""The async route: create a task, poll it, and download the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from veo.model import Facts, load_facts
from veo_laozhang import request_bodies, responses
from veo_laozhang.base import LaoZhangProvider

if TYPE_CHECKING:
    from veo.http import Response
    from veo.provider import Pingable, ProviderClass
    from veo.request import Request
    from veo.update import Update, UpdateCallback


class LaoZhangAsync(LaoZhangProvider):
    """``POST /v1/videos``; charged when a task completes, according to the documents."""

    facts: ClassVar[Facts] = load_facts("veo_laozhang", "laozhang-async")

    def submit(self, request: Request, report: UpdateCallback) -> Update:
        """Create a task; the error table decides whether a refusal was charged."""
        return responses.read_submit_response(
            self._create_task(request), self.models.get(request.model or "")
        )

    async def poll(self, task_id: str) -> Update:
        """Send one GET of the task."""
        return responses.read_poll(
            await self._http.get_async(request_bodies.task_path(task_id)), task_id
        )

    def _create_task(self, request: Request) -> Response:
        model = self.models[request.model or ""]
        if not request_bodies.uses_form(request, model):
            return self._http.post_json("videos", request_bodies.build_task_body(request, model))
        return self._http.post_form(
            "videos",
            request_bodies.build_form_fields(request, model),
            request_bodies.build_form_files(request, model),
        )


if TYPE_CHECKING:
    _class: ProviderClass = LaoZhangAsync

    def _pings(route: LaoZhangAsync) -> Pingable:
        return route
