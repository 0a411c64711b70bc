"""The legacy `veo-3.1*` route: as captured on 2025-11-27, and as its documentation says."""

from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.exchange import Call, Upload
from veo_sandbox.profiles.base import NO_FRAME, Asked, Profile
from veo_sandbox.profiles.images import check_pictures
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Outcome, State, Task

_REFERENCE = {"input_reference", "input_reference[]"}


class Legacy(Profile):
    """How both dresses read a create: the model's name says it all."""

    families = ("legacy", "official")

    def read(self, call: Call, model: Model) -> Asked:
        """JSON carries no picture: `image_urls` and the like are accepted and mean nothing."""
        width, height = (int(side) for side in model.size.split("x"))
        images = self._images(call, model)
        lacks = model.frames > 0 and not images
        outcome = Outcome("failed", "get_task_failed", "get_task_failed", NO_FRAME)
        prompt = str(call.fields.get("prompt", ""))
        return Asked(prompt, width, height, images=images, outcome=outcome if lacks else None)

    def _images(self, call: Call, model: Model) -> list[Upload]:
        images = [upload for upload in call.files if upload.name in _REFERENCE]
        if images and not model.frames:
            text = f"model {model.id} does not support image input"
            raise self.invalid("model_not_support_image", text, "input_reference")
        return check_pictures(self, images, most=2)


class Capture(Legacy):
    """As one real task was seen to answer, oddities included."""

    name = "capture-2025-11"

    def created(self, task: Task) -> dict[str, Any]:
        """As documented, with `created_at` beside `created`; no capture of this body exists."""
        created = int(task.created_at)
        return {
            "id": task.id,
            "object": "video",
            "created": created,
            "created_at": created,
            "status": "queued",
            "model": task.order.model,
        }

    def running(self, task: Task, state: State) -> dict[str, Any]:
        """The completed body is the captured one: wrong model, wrong seconds, three addresses."""
        url = f"{self.core.files_url}/flow/{task.file}.mp4"
        done = state.name == "completed"
        size = task.order.clip
        body = {
            "completed_at": int(task.done_at),
            "created_at": int(task.created_at),
            "id": task.id,
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
        hidden = set() if done else {"completed_at", "result_url", "url", "video_url"}
        return {key: value for key, value in body.items() if key not in hidden}


class Docs(Legacy):
    """As the documentation says."""

    name = "docs"

    def created(self, task: Task) -> dict[str, Any]:
        """The documented create answer."""
        return self._head(task) | {"status": "queued", "model": task.order.model}

    def running(self, task: Task, state: State) -> dict[str, Any]:
        """No progress and no address; the prompt once it is completed."""
        word = "processing" if state.name == "running" else state.name
        body = self._head(task) | {"status": word, "model": task.order.model}
        return body | ({"prompt": task.order.prompt} if state.name == "completed" else {})

    def content(self, task: Task, state: State) -> Response | None:
        """JSON with the address of the file."""
        clip = task.order.clip
        body = self.running(task, state) | {
            "url": f"{self.core.files_url}/flow/{task.file}.mp4",
            "duration": int(clip.seconds),
            "resolution": f"{clip.width}x{clip.height}",
        }
        return JSONResponse(body)

    def not_ready(self, state: State) -> Response:
        """The documented 404 for anything that is not there."""
        del state
        return self.missing()

    def missing(self) -> Response:
        """A task that is missing or expired."""
        return self.error(
            404, "Task not found or expired", "invalid_request_error", "task_not_found"
        )

    def no_content(self) -> Response:
        """The same."""
        return self.missing()

    def unauthorized(self) -> Response:
        """The documented 401."""
        return self.error(401, "Invalid API key", "authentication_error", "invalid_api_key")

    def no_model(self, model: str) -> Response:
        """The documented 404."""
        text = f"The model `{model}` does not exist"
        return self.error(404, text, "invalid_request_error", "model_not_found")

    def broke(self, balance: float) -> Response:
        """The documented 402."""
        text = f"Insufficient balance: ${balance:.2f} left"
        return self.error(402, text, "insufficient_quota", "insufficient_balance")

    def task_error(self, status: int, code: str, message: str) -> Response:
        """All documented errors have an `error` object."""
        return self.error(status, message, "invalid_request_error", code)

    def _head(self, task: Task) -> dict[str, Any]:
        return {"id": task.id, "object": "video", "created": int(task.created_at)}
