"""Editing videos: change one with words. Each edit is a job, and makes a new file."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from veo.continuation.sources import plan_with_video
from veo.planning.source import VideoSource, VideoTask, check_source, choose_video, keep_shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from veo.model import Model
    from veo.planning.plan import Plan
    from veo.problems import Problem
    from veo.request import Request
    from veo.session import Session


class _EditTask(VideoTask):
    use = "edit"

    def find_problems(self, model: Model, catalogue: Collection[Model]) -> Iterable[Problem]:
        return check_source(self.source, model, "edit", self.now, catalogue)

    def build_request(self, model: Model) -> Request:
        # A model that cannot edit is reported once, by the check.
        is_able = "edit" in model.features
        video = choose_video(self.source, model, self.now) if is_able else None
        fields = ("resolution",) if is_able else ()
        shape: dict[str, Any] = keep_shape(self.source, self.request, model, fields)
        return replace(self.request, model=model.name, edit=video, **shape)


def plan_edit(
    session: Session, source: VideoSource, request: Request, *, provider: str | None = None
) -> Plan:
    """Return what an edit would send and cost. Nothing is sent, stored or reserved.

    ``plan_with_video`` says which provider and model it is for. Length and aspect ratio are those
    of the video, and so is the resolution unless the request names another.

    Raises:
        InvalidRequestError: The video cannot be edited like this; the error lists every problem.
        UnknownModelError: The provider has no such model.
    """
    return plan_with_video(session, _EditTask(source, request, time.time()), provider)
