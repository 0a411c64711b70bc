"""Models of other families that the gateway resells: Gemini Omni and Muse.

The fields of a request are those that the vendor's pages name. The responses are those of the
vendor's documented flow for Muse; for Omni they were not published and are assumed to be the same.
"""

from collections.abc import Mapping
from typing import Any

from veo_sandbox.exchange import Exchange, Refusal, Upload
from veo_sandbox.profiles.base import Profile, VideoRequest, parse_json
from veo_sandbox.profiles.images import check_images, parse_data_uri
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Task, TaskState

_SIZES = {
    ("360p", "16:9"): "640x360",
    ("720p", "16:9"): "1280x720",
    ("1080p", "16:9"): "1920x1080",
    ("360p", "9:16"): "360x640",
    ("720p", "9:16"): "720x1280",
    ("1080p", "9:16"): "1080x1920",
}
_SHAPE_OF_SIZE = {size: shape for shape, size in _SIZES.items()}
_RATIOS = ("16:9", "9:16")
_DEFAULT_SECONDS = "8"
_FRAMES = {"image": "start", "input_reference": "start", "last_frame": "end"}
_FIELDS = {
    *("model", "prompt", "seconds", "resolution", "size", "aspect_ratio"),
    *("reference_images", "reasoning_effort"),
}


class Resold(Profile):
    """Three statuses, a percentage, and `video_url` at another host for seven days."""

    name = "resold"
    families = ("resold",)

    def parse_request(self, exchange: Exchange, model: Model) -> VideoRequest:
        """Parse a create, JSON or form; a field that no page names is refused."""
        fields = exchange.fields
        for name in sorted(fields.keys() - _FIELDS - _FRAMES.keys()):
            raise self.invalid_request("invalid_request", f"unknown field {name}", name)
        resolution, ratio = self._choose_shape(fields, model)
        seconds = self._parse_seconds(fields, model)
        frames = self._read_frames(exchange, model)
        references = check_images(self, self._read_references(fields), maximum=model.max_references)
        if frames and references:
            text = "frames and reference_images cannot be combined"
            raise self.invalid_request("invalid_request", text, "reference_images")
        size = _SIZES[resolution, ratio]
        return VideoRequest(size, float(seconds), resolution, frames, references)

    def task_body(self, task: Task, state: TaskState) -> dict[str, Any]:
        """As documented for Muse: the address appears when the task is completed."""
        done = state.name in {"completed", "failed"}
        body = {
            "id": task.id,
            "object": "video",
            "model": task.spec.model,
            "status": "in_progress" if state.name == "running" else state.name,
            "progress": 100 if done else int(state.progress * 100),
            "created_at": int(task.created_at),
            "seconds": f"{task.spec.clip.seconds:g}",
            "size": f"{task.spec.clip.width}x{task.spec.clip.height}",
        }
        if state.name == "completed":
            body["completed_at"] = int(task.done_at)
            body["video_url"] = self.core.file_url(task)
        return body

    def _choose_shape(self, fields: Mapping[str, Any], model: Model) -> tuple[str, str]:
        """Return resolution and ratio; `size` sets both, and the other two must agree with it."""
        # Compared with tuples: a value of the wrong type may be one that no table can look up.
        size = fields.get("size")
        if size is not None and size not in tuple(_SHAPE_OF_SIZE):
            raise self._value_error("size", size, _SHAPE_OF_SIZE)
        default = _SHAPE_OF_SIZE[size] if size else ("720p", "16:9")
        resolution = fields.get("resolution", default[0])
        ratio = fields.get("aspect_ratio", default[1])
        if resolution not in tuple(model.usd_per_video):
            raise self._value_error("resolution", resolution, model.usd_per_video)
        if ratio not in _RATIOS:
            raise self._value_error("aspect_ratio", ratio, _RATIOS)
        if size and (resolution, ratio) != default:
            raise self._value_error("size", size, (_SIZES[resolution, ratio],))
        return resolution, ratio

    def _parse_seconds(self, fields: Mapping[str, Any], model: Model) -> int:
        offered = [str(seconds) for seconds in model.seconds]
        first = _DEFAULT_SECONDS if _DEFAULT_SECONDS in offered else offered[0]
        seconds = str(fields.get("seconds", first))  # no page says whether it is text or a number
        if seconds not in offered:
            raise self._value_error("seconds", seconds, offered)
        return int(seconds)

    def _read_frames(self, exchange: Exchange, model: Model) -> list[Upload]:
        """Read the frames, file parts or data URIs: the start frame first."""
        frames = [file for file in exchange.files if file.name in _FRAMES]
        frames += [
            parse_data_uri(self, name, exchange.fields[name])
            for name in sorted(_FRAMES.keys() & exchange.fields.keys())
        ]
        frames.sort(key=lambda frame: _FRAMES[frame.name], reverse=True)
        kinds = [_FRAMES[frame.name] for frame in frames]
        if kinds not in ([], ["start"], ["start", "end"]):
            text = "one image, and one last_frame with it"
            raise self.invalid_request("invalid_request", text, "last_frame")
        return check_images(self, frames, maximum=model.max_images)

    def _read_references(self, fields: Mapping[str, Any]) -> list[Upload]:
        name = "reference_images"
        texts = fields.get(name, [])
        if isinstance(texts, str):  # a form has only texts
            texts = parse_json(texts)
        if not isinstance(texts, list):
            raise self.invalid_request("invalid_request", f"{name} must be a list", name)
        return [parse_data_uri(self, name, text) for text in texts]

    def _value_error(self, param: str, value: object, known: Any) -> Refusal:
        text = f"{param} {value!r} is not supported; supported: {', '.join(known)}"
        return self.invalid_request("invalid_request", text, param)
