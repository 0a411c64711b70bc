"""The official-forward route: new-api in front of Google, for the `-generate-preview` models.

Shapes are those of new-api's code, requests those that a sister service documents.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal, Upload
from veo_sandbox.profiles.base import (
    STATUS_WORDS,
    Profile,
    VideoRequest,
    fill_failure_text,
    parse_json,
    random_token,
)
from veo_sandbox.profiles.images import check_images, parse_data_uri
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Task, TaskState

_SHAPE_OF_SIZE = {
    "1280x720": ("720p", "16:9"),
    "720x1280": ("720p", "9:16"),
    "1920x1080": ("1080p", "16:9"),
    "1080x1920": ("1080p", "9:16"),
    "3840x2160": ("4k", "16:9"),
    "2160x3840": ("4k", "9:16"),
}
_SIZE_OF_SHAPE = {choice: size for size, choice in _SHAPE_OF_SIZE.items()}
_STRING_FIELDS = ("prompt", "model", "mode", "image", "size", "seconds", "input_reference")
# In a form, a text field that the gateway does not know becomes metadata.
_KNOWN_FIELDS = {*_STRING_FIELDS, "images", "duration", "metadata"}


class Official(Profile):
    """`task_` ids, progress 0, 50, 100, no address in the status, bytes from `/content`."""

    name = "official"
    families = ("official",)
    content_lag = True

    def new_id(self) -> str:
        """As new-api's GenerateTaskID."""
        return f"task_{random_token(32)}"

    def parse_request(self, exchange: Exchange, model: Model) -> VideoRequest:
        """Parse a create. Precedence: metadata, then `size`, then the default."""
        fields = exchange.fields
        self._check_strings(fields)
        is_json = "json" in exchange.headers.get("content-type", "")
        metadata = self._parse_metadata(fields, has_folded_fields=not is_json)
        resolution, ratio = self._choose_shape(fields, metadata)
        seconds = self._parse_seconds(fields, metadata, resolution)
        images = check_images(self, self._read_images(exchange, metadata), model.max_images)
        size = _SIZE_OF_SHAPE[resolution, ratio]
        return VideoRequest(size, float(seconds), resolution, images)

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        """new-api's OpenAIVideo: no address, in any state."""
        done = state.name in {"completed", "failed"}
        body = {
            "id": task.id,
            "task_id": task.id,
            "object": "video",
            "model": task.spec.model,
            "status": "in_progress" if state.name == "running" else state.name,
            # new-api knows only these three values for Google's tasks.
            "progress": 100 if done else 50 if state.name == "running" else 0,
            "created_at": int(task.created_at),
        }
        return body | ({"completed_at": int(task.done_at)} if done else {})

    def _check_strings(self, fields: Mapping[str, Any]) -> None:
        for name in _STRING_FIELDS:
            if name in fields and not isinstance(fields[name], str):
                kind = "number" if isinstance(fields[name], int | float) else "value"
                text = (
                    f"json: cannot unmarshal {kind} into Go struct field "
                    f"TaskSubmitReq.{name} of type string"
                )
                raise self.invalid_request("parse_request_failed", text)

    def _parse_metadata(
        self, fields: Mapping[str, Any], *, has_folded_fields: bool
    ) -> dict[str, Any]:
        values = fields.get("metadata") or {}
        if isinstance(values, str):
            values = parse_json(values)
        if not isinstance(values, dict):
            raise self.invalid_request("parse_request_failed", "metadata must be a JSON object")
        # In JSON, other fields do not become metadata.
        if not has_folded_fields:
            return values
        return {k: _parse_number(v) for k, v in fields.items() if k not in _KNOWN_FIELDS} | values

    def _choose_shape(
        self, fields: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> tuple[str, str]:
        size = fields.get("size") or "1280x720"
        if size not in _SHAPE_OF_SIZE:
            raise self.invalid_request(
                "invalid_size", f"size {size} is not one of {', '.join(_SHAPE_OF_SIZE)}"
            )
        resolution = str(metadata.get("resolution") or _SHAPE_OF_SIZE[size][0]).lower()
        ratio = metadata.get("aspectRatio") or _SHAPE_OF_SIZE[size][1]
        if (resolution, ratio) not in _SIZE_OF_SHAPE:
            raise self._google_error(
                f"resolution {resolution} with aspectRatio {ratio} is not supported"
            )
        return resolution, ratio

    def _parse_seconds(
        self, fields: Mapping[str, Any], metadata: Mapping[str, Any], resolution: str
    ) -> int:
        """Parse the length; other fields that look like one, `duration` above all, are ignored."""
        if "generateAudio" in metadata:
            raise self._google_error("`generateAudio` isn't supported by this model.")
        # A string in OpenAI's API, and so in new-api's.
        text = fields.get("seconds", "4")
        if text not in {"4", "6", "8"}:
            raise self.invalid_request(
                "invalid_request", f"seconds {text!r} must be one of 4, 6, 8"
            )
        # A number in Google's API.
        seconds = metadata.get("durationSeconds", int(text))
        if isinstance(seconds, bool) or not isinstance(seconds, int):
            raise self._google_error("The value type for `durationSeconds` needs to be a number.")
        if seconds not in {4, 6, 8}:
            raise self._google_error(f"durationSeconds {seconds} is out of bound: 4, 6 or 8.")
        if resolution != "720p" and seconds != 8:
            raise self._google_error(f"resolution {resolution} needs a duration of 8 seconds.")
        return seconds

    def _read_images(self, exchange: Exchange, metadata: Mapping[str, Any]) -> list[Upload]:
        texts = exchange.fields.get("images") or []
        if not isinstance(texts, list):
            raise self.invalid_request("parse_request_failed", "images must be a list", "images")
        images = [file for file in exchange.files if file.name.startswith("input_reference")]
        images += [parse_data_uri(self, "images", text) for text in texts]
        if last := metadata.get("lastFrame"):
            images.append(parse_data_uri(self, "lastFrame", last))
        return images

    def _google_error(self, message: str) -> Refusal:
        """Wrap an error of Google as new-api does: Google's whole body is the message."""
        error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
        return self.invalid_request("fail_to_fetch_task", json.dumps({"error": error}))


def generation_response(core: Core, task: Task, state: TaskState) -> Response:
    """Return the response of `/v1/video/generations/{id}`: new-api's TaskDto in an envelope."""
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
        # new-api counts 500,000 units per USD; amounts are in millionths.
        "quota": task.spec.amount // 2,
        "action": "generate",
        "status": STATUS_WORDS[state.name],
        "fail_reason": fill_failure_text(task.outcome).message if failed else "",
        "result_url": url,
        "submit_time": int(task.created_at),
        "start_time": 0 if state.name == "queued" else int(task.created_at),
        "finish_time": int(task.done_at) if ended else 0,
        "progress": "100%" if ended else "0%" if state.name == "queued" else "50%",
        "properties": {"input": task.spec.prompt},
        "data": None,
    }
    return JSONResponse({"code": "success", "message": "", "data": data})


def _parse_number(text: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except (TypeError, ValueError):
            continue
    return text
