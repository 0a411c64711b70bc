"""The official-forward route: new-api in front of Google, for the `-generate-preview` models.

Shapes are those of new-api's code; what it takes is as a sister service documents it.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal, Upload
from veo_sandbox.profiles.base import Asked, Profile, token, worded
from veo_sandbox.profiles.images import check_pictures, inline_picture
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import State, Task

_SIZES = {
    "1280x720": ("720p", "16:9"),
    "720x1280": ("720p", "9:16"),
    "1920x1080": ("1080p", "16:9"),
    "1080x1920": ("1080p", "9:16"),
    "3840x2160": ("4k", "16:9"),
    "2160x3840": ("4k", "9:16"),
}
_PIXELS = {choice: size for size, choice in _SIZES.items()}
_STRINGS = ("prompt", "model", "mode", "image", "size", "seconds", "input_reference")
# In a form, a text field that the gateway does not know becomes metadata.
_KNOWN = {*_STRINGS, "images", "duration", "metadata"}


class Official(Profile):
    """`task_` ids, progress 0, 50, 100, no address in the status, bytes from `/content`."""

    name = "official"
    families = ("official",)
    content_lag = True

    def new_id(self) -> str:
        """As new-api's GenerateTaskID."""
        return f"task_{token(32)}"

    def no_model(self, model: str) -> Response:
        """No channel sells it: 503, not 404."""
        text = f"No available channel for model {model} under group default (distributor)"
        text += f" (request id: {self.core.request_id()})"
        return self.error(503, text, "new_api_error", "model_not_found")

    def read(self, call: Call, model: Model) -> Asked:
        """Precedence: metadata, then `size`, then the default."""
        fields = call.fields
        self._check_strings(fields)
        metadata = self._metadata(fields, folded=not call.is_json)
        resolution, ratio = self._shape(fields, metadata)
        seconds = self._seconds(fields, metadata, resolution)
        width, height = (int(side) for side in _PIXELS[resolution, ratio].split("x"))
        images = check_pictures(self, self._images(call, fields, metadata), most=model.frames)
        prompt = str(fields.get("prompt", ""))
        return Asked(prompt, width, height, float(seconds), resolution, images)

    def created(self, task: Task) -> dict[str, Any]:
        """new-api's OpenAIVideo."""
        return self.running(task, State("queued", 0.0))

    def running(self, task: Task, state: State) -> dict[str, Any]:
        """No address, whatever the state."""
        done = state.name in {"completed", "failed"}
        body = {
            "id": task.id,
            "task_id": task.id,
            "object": "video",
            "model": task.order.model,
            "status": "in_progress" if state.name == "running" else state.name,
            "progress": 100 if done else 50 if state.name == "running" else 0,
            "created_at": int(task.created_at),
        }
        return body | ({"completed_at": int(task.done_at)} if done else {})

    def _check_strings(self, fields: Mapping[str, Any]) -> None:
        for name in _STRINGS:
            if name in fields and not isinstance(fields[name], str):
                kind = "number" if isinstance(fields[name], int | float) else "value"
                text = (
                    f"json: cannot unmarshal {kind} into Go struct field "
                    f"TaskSubmitReq.{name} of type string"
                )
                raise self.invalid("parse_request_failed", text)

    def _metadata(self, fields: Mapping[str, Any], *, folded: bool) -> dict[str, Any]:
        given = fields.get("metadata") or {}
        if isinstance(given, str):
            given = _loads(given)
        if not isinstance(given, dict):
            raise self.invalid("parse_request_failed", "metadata must be a JSON object")
        if not folded:
            return given
        return {k: _number(v) for k, v in fields.items() if k not in _KNOWN} | given

    def _shape(self, fields: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[str, str]:
        size = fields.get("size") or "1280x720"
        if size not in _SIZES:
            raise self.invalid("invalid_size", f"size {size} is not one of {', '.join(_SIZES)}")
        resolution = str(metadata.get("resolution") or _SIZES[size][0]).lower()
        ratio = metadata.get("aspectRatio") or _SIZES[size][1]
        if (resolution, ratio) not in _PIXELS:
            raise self._google(f"resolution {resolution} with aspectRatio {ratio} is not supported")
        return resolution, ratio

    def _seconds(
        self, fields: Mapping[str, Any], metadata: Mapping[str, Any], resolution: str
    ) -> int:
        """Anything else that looks like a length, `duration` above all, is not looked at."""
        if "generateAudio" in metadata:
            raise self._google("`generateAudio` isn't supported by this model.")
        text = fields.get("seconds", "4")
        if text not in {"4", "6", "8"}:
            raise self.invalid("invalid_request", f"seconds {text!r} must be one of 4, 6, 8")
        seconds = metadata.get("durationSeconds", int(text))
        if isinstance(seconds, bool) or not isinstance(seconds, int):
            raise self._google("The value type for `durationSeconds` needs to be a number.")
        if seconds not in {4, 6, 8}:
            raise self._google(f"durationSeconds {seconds} is out of bound: 4, 6 or 8.")
        if resolution != "720p" and seconds != 8:
            raise self._google(f"resolution {resolution} needs a duration of 8 seconds.")
        return seconds

    def _images(
        self, call: Call, fields: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> list[Upload]:
        images = [file for file in call.files if file.name.startswith("input_reference")]
        images += [inline_picture(self, "images", text) for text in fields.get("images") or []]
        if last := metadata.get("lastFrame"):
            images.append(inline_picture(self, "lastFrame", last))
        return images

    def _google(self, message: str) -> Refusal:
        """What Google refused, wrapped: its whole body as the message's text."""
        error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
        return self.invalid("fail_to_fetch_task", json.dumps({"error": error}))


def envelope(core: Core, task: Task, state: State) -> Response:
    """The answer of `/v1/video/generations/{id}`: new-api's TaskDto in an envelope."""
    words = {"queued": "QUEUED", "running": "IN_PROGRESS", "failed": "FAILURE"}
    ended = state.name in {"completed", "failed"}
    failed = state.name == "failed"
    url = f"{core.url}/v1/videos/{task.id}/content" if state.name == "completed" else ""
    data = {
        "id": task.seq,
        "task_id": task.id,
        "platform": "24",
        "user_id": 1,
        "group": "default",
        "channel_id": 1,
        "quota": task.order.amount // 2,
        "action": "generate",
        "status": words.get(state.name, "SUCCESS"),
        "fail_reason": worded(task.outcome).message if failed else "",
        "result_url": url,
        "submit_time": int(task.created_at),
        "start_time": 0 if state.name == "queued" else int(task.created_at),
        "finish_time": int(task.done_at) if ended else 0,
        "progress": "100%" if ended else "0%" if state.name == "queued" else "50%",
        "properties": {"input": task.order.prompt},
        "data": None,
    }
    return JSONResponse({"code": "success", "message": "", "data": data})


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _number(text: Any) -> Any:
    """A form's text, as a number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text
