"""As OpenAI's own video endpoint, for its own client: what `openai-python` 3.x sends and reads."""

from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Call, Refusal, Upload
from veo_sandbox.profiles.base import Asked, Profile, token
from veo_sandbox.profiles.images import check_pictures, inline_picture
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import State, Task

_SIZES = {
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

    def new_id(self) -> str:
        """`video_` and a token."""
        return f"video_{token(48).lower()}"

    def read(self, call: Call, model: Model) -> Asked:
        """Everything from the fields; a legacy model's own size when none is asked for."""
        fields = call.fields
        size = fields.get("size") or model.size or "720x1280"
        sizes = [each for each in _SIZES if model.sells(_SIZES[each])]
        if size not in sizes:
            raise self._value("size", size, sizes)
        seconds = fields.get("seconds") or ("8" if model.family == "legacy" else "4")
        if seconds not in _SECONDS:
            raise self._value("seconds", seconds, _SECONDS)
        width, height = (int(side) for side in size.split("x"))
        images = check_pictures(self, self._images(call), most=2)
        prompt = str(fields.get("prompt", ""))
        return Asked(prompt, width, height, float(seconds), _SIZES[size], images)

    def created(self, task: Task) -> dict[str, Any]:
        """A queued video."""
        return self.running(task, State("queued", 0.0))

    def running(self, task: Task, state: State) -> dict[str, Any]:
        """The `Video` of openai-python, with every member."""
        clip = task.order.clip
        done = state.name == "completed"
        return {
            "id": task.id,
            "object": "video",
            "created_at": int(task.created_at),
            "completed_at": int(task.done_at) if done else None,
            "expires_at": int(task.gone_at) if done else None,
            "error": None,
            "model": task.order.model,
            "progress": 100 if done else int(state.progress * 100) % 100,
            "prompt": task.order.prompt,
            "remixed_from_video_id": None,
            "seconds": f"{clip.seconds:g}",
            "size": f"{clip.width}x{clip.height}",
            "status": "in_progress" if state.name == "running" else state.name,
        }

    def not_ready(self, state: State) -> Response:
        """404, with a hint."""
        del state
        text = "Video is not ready yet, use GET /v1/videos/{video_id} to check status."
        return self.error(404, text, "invalid_request_error", None)

    def missing(self) -> Response:
        """404."""
        return self.error(404, "Video not found.", "invalid_request_error", None)

    def no_content(self) -> Response:
        """The same."""
        return self.missing()

    def unauthorized(self) -> Response:
        """401; the key is never repeated."""
        text = "Incorrect API key provided."
        return self.error(401, text, "invalid_request_error", "invalid_api_key")

    def no_model(self, model: str) -> Response:
        """400: not one of the values."""
        text = f"Invalid value: '{model}' is no video model."
        return self.error(400, text, "invalid_request_error", "invalid_value", param="model")

    def broke(self, balance: float) -> Response:
        """429: over the quota."""
        del balance
        text = "You exceeded your current quota, please check your plan and billing details."
        return self.error(429, text, "insufficient_quota", "insufficient_quota")

    def invalid(self, code: str, message: str, param: str | None = None) -> Refusal:
        """400 with the parameter."""
        return Refusal(self.error(400, message, "invalid_request_error", code, param=param))

    def task_error(self, status: int, code: str, message: str) -> Response:
        """Always an error object."""
        return self.error(status, message, "invalid_request_error", code)

    def error(
        self, status: int, message: str, kind: str, code: str | None = "", **more: str | None
    ) -> Response:
        """Always with a `param`."""
        return super().error(status, message, kind, code, **{"param": None, **more})

    def _images(self, call: Call) -> list[Upload]:
        """Files, or the reference object that newer clients send as form fields."""
        images = [file for file in call.files if file.name in _REFERENCE]
        if address := call.fields.get("input_reference[image_url]"):
            images.append(inline_picture(self, "input_reference", address))
        return images

    def _value(self, param: str, value: object, known: Any) -> Refusal:
        names = ", ".join(f"'{name}'" for name in known)
        text = f"Invalid value: '{value}'. Supported values are: {names}."
        return self.invalid("invalid_value", text, param)
