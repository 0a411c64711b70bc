"""Editing videos: change one with words. Each edit is a job, and makes a new file."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from veo.continuation.sources import plan_with_video
from veo.planning.source import VideoSource, VideoTask

if TYPE_CHECKING:
    from veo.model import Model
    from veo.planning.plan import Plan
    from veo.request import Request
    from veo.session import Session


class _EditTask(VideoTask):
    use = "edit"

    def build_request(self, model: Model) -> Request:
        # A model that cannot edit is reported once, by the check.
        shape = self.keep_shape(model, ("resolution",) if "edit" in model.features else ())
        return replace(self.request, model=model.name, edit=self.choose_video(model), **shape)


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
