"""The legacy `veo-3.1*` route: as captured on 2025-11-27, and as documents describe it."""

from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.exchange import Exchange, Upload
from veo_sandbox.profiles.base import NO_FRAME_TEXT, Profile, VideoRequest, random_token
from veo_sandbox.profiles.images import check_images
from veo_sandbox.state.clock import format_time
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Outcome, Task, TaskState

_REFERENCE = {"input_reference", "input_reference[]"}


class Legacy(Profile):
    """How both profiles parse a create: the model's name decides everything."""

    families = ("legacy", "official", "resold")

    def parse_request(self, exchange: Exchange, model: Model) -> VideoRequest:
        """Parse a create. JSON carries no image: `image_urls` and the like are ignored."""
        images = self._read_images(exchange, model)
        lacks_image = model.max_images > 0 and not images
        outcome = Outcome("failed", "get_task_failed", "get_task_failed", NO_FRAME_TEXT)
        return VideoRequest(model.size, images=images, outcome=outcome if lacks_image else None)

    def _common_members(self, task: Task) -> dict[str, Any]:
        return {"id": task.id, "object": "video", "created": int(task.created_at)}

    def _read_images(self, exchange: Exchange, model: Model) -> list[Upload]:
        images = [upload for upload in exchange.files if upload.name in _REFERENCE]
        # Documented: a model without image input refuses images instead of ignoring them.
        if images and not model.max_images:
            text = f"model {model.id} does not support image input"
            raise self.invalid_request("model_not_support_image", text, "input_reference")
        return check_images(self, images, maximum=2)


class Capture(Legacy):
    """As one real task was seen to respond, oddities included."""

    name = "capture-2025-11"

    def created_body(self, task: Task) -> dict[str, Any]:
        """As documented, plus `created_at`; no capture of this body exists."""
        more = {"created_at": int(task.created_at), "status": "queued", "model": task.spec.model}
        return self._common_members(task) | more

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        """As captured when completed: wrong model, wrong seconds, three addresses."""
        url = self.core.file_url(task)
        done = state.name == "completed"
        size = task.spec.clip
        body = {
            "completed_at": int(task.done_at),
            "created_at": int(task.created_at),
            "id": task.id,
            # The captured service reported another model and another length than requested.
            "model": "sora2_video_generation",
            "object": "video",
            "progress": 100 if done or state.name == "failed" else int(state.progress * 100),
            "result_url": url,
            "seconds": "4",
            "size": f"{size.width}x{size.height}",
            "status": "in_progress" if state.name == "running" else state.name,
            "url": url,
            "video_url": url,
        }
        # Before completion the captured polls had none of these members.
        hidden = set() if done else {"completed_at", "result_url", "url", "video_url"}
        return {key: value for key, value in body.items() if key not in hidden}


class Docs(Legacy):
    """As the documentation says."""

    name = "docs"
    wraps_errors = True  # all documented errors

    def created_body(self, task: Task) -> dict[str, Any]:
        return self._common_members(task) | {"status": "queued", "model": task.spec.model}

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        """No progress and no address; the prompt once it is completed."""
        word = "processing" if state.name == "running" else state.name
        body = self._common_members(task) | {"status": word, "model": task.spec.model}
        return body | ({"prompt": task.spec.prompt} if state.name == "completed" else {})

    def content_response(self, task: Task, state: TaskState) -> Response | None:
        clip = task.spec.clip
        body = self.task_body(task, state) | {
            "url": self.core.file_url(task),
            "duration": int(clip.seconds),
            "resolution": f"{clip.width}x{clip.height}",
        }
        return JSONResponse(body)


class Seed(Legacy):
    """As two users' guides say; examples that were written after them run unchanged.

    One prints the responses and reads `output.url`, the other reads `video_url` or `url`.
    """

    name = "seed"

    def new_id(self) -> str:
        return f"task_{random_token(12).lower()}"

    def created_body(self, task: Task) -> dict[str, Any]:
        """The time is a text here."""
        created_at = format_time(int(task.created_at))
        return {"id": task.id, "status": "queued", "created_at": created_at}

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        word = "processing" if state.name == "running" else state.name
        body: dict[str, Any] = {"id": task.id, "status": word}
        if state.name == "running":
            return body | {"progress": int(state.progress * 100)}
        if state.name != "completed":
            return body
        clip = task.spec.clip
        url = self.core.file_url(task)
        output = {"url": url, "duration": int(clip.seconds), "resolution": f"{min(clip.size)}p"}
        return body | {"output": output, "url": url}

    def content_response(self, task: Task, state: TaskState) -> Response | None:
        body = {"id": task.id, "status": state.name, "url": self.core.file_url(task)}
        return JSONResponse(body)
