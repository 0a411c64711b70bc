"""The async route: create a task, poll it, and download the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from veo.model import ProviderFacts, load_facts
from veo_laozhang.base import LaoZhangProvider
from veo_laozhang.request_bodies import (
    build_form_fields,
    build_form_files,
    build_task_body,
    task_path,
    uses_form,
)
from veo_laozhang.responses import read_poll, read_submit_response

if TYPE_CHECKING:
    from veo.provider import Pingable, ProviderClass
    from veo.request import Request
    from veo.update import Update, UpdateCallback


class LaoZhangAsync(LaoZhangProvider):
    """``POST /v1/videos``; charged when a task completes, according to the documents."""

    facts: ClassVar[ProviderFacts] = load_facts("veo_laozhang", "laozhang-async")

    def submit(self, request: Request, report: UpdateCallback) -> Update:
        """Create a task; the error table decides whether a refusal was charged."""
        from veo.http.failures import before_sending  # noqa: PLC0415 - as in the base class

        model = self.models[request.model or ""]
        if uses_form(request, model):
            with before_sending():
                fields, files = build_form_fields(request, model), build_form_files(request, model)
            response = self._http.post_form("videos", fields, files)
        else:
            with before_sending():
                body = build_task_body(request, model)
            response = self._http.post_json("videos", body)
        return read_submit_response(response, model)

    async def poll(self, task_id: str) -> Update:
        return read_poll(await self._http.get_async(task_path(task_id)), task_id)


if TYPE_CHECKING:
    _class: ProviderClass = LaoZhangAsync
    _pingable: type[Pingable] = LaoZhangAsync
