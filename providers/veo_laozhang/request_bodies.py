"""Build the paths and bodies of requests to ``/v1/videos`` and to the chat. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from veo.image import Image
from veo.planning.check import effective_values
from veo.request import Request, is_given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.http import Upload
    from veo.model import Model

_FRAMES = ("start_frame", "end_frame")
_FRAME_KEY = "input_reference"  # of models whose rows name no other key

# Width and height in landscape, pixels.
_SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}


def task_path(task_id: str) -> str:
    """Return the path of a task below the base URL; the id may hold any character."""
    return f"videos/{quote(task_id, safe='')}"


def content_path(task_id: str) -> str:
    """Return the path of a task's file below the base URL."""
    return f"{task_path(task_id)}/content"


def uses_form(request: Request, model: Model) -> bool:
    """Return whether a task needs a multipart form, which carries frames and metadata.

    The gateway ignores options in JSON outside ``metadata`` (seen in its public source), and
    tasks with image URLs in JSON were accepted and failed later (seen by users).
    """
    return bool(request.frames) or needs_metadata(model)


def needs_metadata(model: Model) -> bool:
    """Return whether a model has options whose keys its row does not name: official forward.

    The legacy names fix ratio, size and duration, so they have no options.
    """
    offers = (model.aspect_ratios, model.resolutions, model.durations)
    return not model.fields and any(len(offered) > 1 for offered in offers)


def build_task_body(request: Request, model: Model) -> dict[str, Any]:
    """Return the JSON body of a task: what the model's row has a key for, except frames.

    Every option is sent, so that no default of the service decides the price.
    """
    body: dict[str, Any] = {"model": str(request.model), "prompt": request.prompt}
    chosen = effective_values(request, model)
    for name, key in model.fields.items():
        if name not in _FRAMES and is_given(chosen[name]):
            body[key] = _to_json(chosen[name])
    return body


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    # Numbers are texts, as in OpenAI's API: the gateway's struct refuses a number of seconds.
    return value.data_uri() if isinstance(value, Image) else str(value)


def build_form_fields(request: Request, model: Model) -> dict[str, str]:
    """Return the text fields of the form.

    The gateway reads some options of official forward from the fields and others from
    ``metadata``, so they are in both.
    """
    fields = build_task_body(request, model)
    if not needs_metadata(model):
        return fields
    chosen = effective_values(request, model)
    options = {
        "resolution": chosen["resolution"],
        "aspectRatio": chosen["aspect_ratio"],
        "negativePrompt": request.negative_prompt,
        "seed": request.seed,
    }
    options = {name: value for name, value in options.items() if value is not None}
    fields |= {"seconds": str(chosen["duration"]), **_build_size(chosen)}
    fields |= {name: str(value) for name, value in options.items()}
    metadata = {"durationSeconds": chosen["duration"], **options}
    return fields | {"metadata": json.dumps(metadata, ensure_ascii=False)}


def _build_size(chosen: Mapping[str, Any]) -> dict[str, str]:
    size = _SIZES.get(chosen["resolution"])
    if not size:
        return {}
    width, height = size if chosen["aspect_ratio"] == "16:9" else reversed(size)
    return {"size": f"{width}x{height}"}


def build_form_files(request: Request, model: Model) -> list[Upload]:
    """Return the frames of the form, the start frame first: legacy names give both one key."""
    frames = {name: frame for name in _FRAMES if (frame := getattr(request, name))}
    return [
        (model.fields.get(name, _FRAME_KEY), (frame.filename, frame.data or b"", frame.mime))
        for name, frame in frames.items()
    ]


def build_chat_body(request: Request) -> dict[str, Any]:
    """Return the body of the streaming chat.

    The content is a list, which the vendor's pages require. Images are data URIs: URLs worked in
    an early report, and are documented as refused now.
    """
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    content += [
        {"type": "image_url", "image_url": {"url": frame.data_uri()}} for frame in request.frames
    ]
    messages = [{"role": "user", "content": content}]
    return {"model": request.model, "messages": messages, "stream": True, "n": 1}
