"""OpenAI's own video endpoint, as its client `openai-python` 3.x sends to and reads from it."""

import json
from typing import Any

from starlette.responses import Response

from veo_sandbox.clips.stills import draw_spritesheet, draw_thumbnail
from veo_sandbox.exchange import Exchange, Refusal, Upload
from veo_sandbox.profiles.base import Profile, VideoRequest, random_token
from veo_sandbox.profiles.images import check_images, parse_data_uri
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Task, TaskState

_RESOLUTION_OF_SIZE = {
    "720x1280": "720p",
    "1280x720": "720p",
    "1024x1792": "1080p",
    "1792x1024": "1080p",
}
_REFERENCE = ("input_reference", "input_reference[]")
_SECONDS = ("4", "6", "8", "12")


class OpenAI(Profile):
    """All models are sold; every error is an `error` object with a `param`."""

    name = "openai"
    families = ("legacy", "official", "openai")
    default_model = "sora-2"
    no_code = None
    wraps_errors = names_param = True
    internal_error_text = "The server had an error while processing your request."

    def new_id(self) -> str:
        return f"video_{random_token(48).lower()}"

    def parse_request(self, exchange: Exchange, model: Model) -> VideoRequest:
        """Parse a create; a legacy model's own size is the default."""
        fields = exchange.fields
        size = fields.get("size") or model.size or "720x1280"
        # A size is offered only if the model has a price for its resolution.
        sizes = [each for each in _RESOLUTION_OF_SIZE if model.has_price(_RESOLUTION_OF_SIZE[each])]
        if size not in sizes:
            raise self.value_error("size", size, sizes)
        seconds = fields.get("seconds") or ("8" if model.family == "legacy" else "4")
        if seconds not in _SECONDS:
            raise self.value_error("seconds", seconds, _SECONDS)
        images = check_images(self, self._read_images(exchange), maximum=2)
        return VideoRequest(size, float(seconds), _RESOLUTION_OF_SIZE[size], images)

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        """The `Video` of openai-python, with every member."""
        clip = task.spec.clip
        done = state.name == "completed"
        return {
            "id": task.id,
            "object": "video",
            "created_at": int(task.created_at),
            "completed_at": int(task.done_at) if done else None,
            "expires_at": int(task.expires_at) if done else None,
            "error": None,
            "model": task.spec.model,
            # Never 100 before completion.
            "progress": 100 if done else int(state.progress * 100) % 100,
            "prompt": task.spec.prompt,
            "remixed_from_video_id": task.spec.extra.get("remixed"),
            # Of an extended video, the whole length.
            "seconds": f"{task.spec.extra.get('length', clip.seconds):g}",
            "size": f"{clip.width}x{clip.height}",
            "status": "in_progress" if state.name == "running" else state.name,
        }

    def video_body(self, task: Task) -> dict[str, Any]:
        """Return a video as a list shows it, its error included."""
        state = self.core.task_state(task)
        response = self.poll_response(task, state)
        return dict(json.loads(bytes(response.body)))

    def variant_response(self, task: Task, variant: str | None) -> Response | None:
        """Return a thumbnail or a sheet of frames (the variants of its client)."""
        if variant in {None, "video"}:
            return None
        path = self.core.clips.clip_path(task)
        if variant == "thumbnail":
            return Response(draw_thumbnail(path), media_type="image/webp")
        if variant == "spritesheet":
            return Response(draw_spritesheet(path), media_type="image/jpeg")
        raise self.value_error("variant", variant, ("video", "thumbnail", "spritesheet"))

    def error_response(
        self, status: int, message: str, kind: str, code: str | None = "", **more: str | None
    ) -> Response:
        return super().error_response(status, message, kind, code, **{"param": None, **more})

    def _read_images(self, exchange: Exchange) -> list[Upload]:
        """Read files, or the reference object that newer clients send as form fields."""
        images = [file for file in exchange.files if file.name in _REFERENCE]
        if address := exchange.fields.get("input_reference[image_url]"):
            images.append(parse_data_uri(self, "input_reference", address))
        return images

    def value_error(self, param: str, value: object, known: Any) -> Refusal:
        names = ", ".join(f"'{name}'" for name in known)
        text = f"Invalid value: '{value}'. Supported values are: {names}."
        return self.invalid_request("invalid_value", text, param)
