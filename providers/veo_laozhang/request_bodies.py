"""What is sent, to ``/v1/videos`` and to the chat: values in, bodies out. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from veo.planning.check import effective_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.http.client import Upload
    from veo.model import Model
    from veo.request import Request

_SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}


def task_path(task_id: str) -> str:
    """The path of a task below the base URL; ids are opaque."""
    return f"videos/{quote(task_id, safe='')}"


def content_path(task_id: str) -> str:
    """The path of a task's file below the base URL."""
    return f"{task_path(task_id)}/content"


def uses_form(request: Request, model: Model) -> bool:
    """Whether a task is created by a multipart form: frames are uploaded, and options are read.

    In JSON the gateway ignores options outside ``metadata``; image URLs in JSON were accepted
    and failed later.
    """
    return bool(request.frames) or has_options(model)


def has_options(model: Model) -> bool:
    """Whether a model leaves a choice; the legacy names decide everything themselves."""
    return any(
        len(offered) > 1 for offered in (model.aspect_ratios, model.resolutions, model.durations)
    )


def build_task_body(request: Request) -> dict[str, str]:
    """The JSON body for a text-to-video task of a legacy model."""
    return {"model": str(request.model), "prompt": request.prompt}


def build_form_fields(request: Request, model: Model) -> dict[str, str]:
    """The text fields of the form; every option is said, so that no default decides a price."""
    fields = build_task_body(request)
    if not has_options(model):
        return fields
    chosen = effective_values(request, model)
    named = {
        "resolution": chosen["resolution"],
        "aspectRatio": chosen["aspect_ratio"],
        "negativePrompt": request.negative_prompt,
        "seed": request.seed,
    }
    said = {name: value for name, value in named.items() if value is not None}
    fields |= {"seconds": str(chosen["duration"]), **_build_size(chosen)}
    fields |= {name: str(value) for name, value in said.items()}
    metadata = {"durationSeconds": chosen["duration"], **said}
    return fields | {"metadata": json.dumps(metadata, ensure_ascii=False)}


def _build_size(chosen: Mapping[str, Any]) -> dict[str, str]:
    sides = _SIZES.get(chosen["resolution"])
    if not sides:
        return {}
    width, height = sides if chosen["aspect_ratio"] == "16:9" else reversed(sides)
    return {"size": f"{width}x{height}"}


def build_form_files(request: Request) -> list[Upload]:
    """The frames of the form: one field name, repeated, the start first."""
    return [
        ("input_reference", (frame.filename, frame.data or b"", frame.mime))
        for frame in request.frames
    ]


def build_chat_body(request: Request) -> dict[str, Any]:
    """The body of the streaming chat; the content is a list, as the vendor's pages insist.

    Pictures go as data URIs: URLs worked once, and are documented as refused since.
    """
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    content += [
        {"type": "image_url", "image_url": {"url": frame.data_uri()}} for frame in request.frames
    ]
    messages = [{"role": "user", "content": content}]
    return {"model": request.model, "messages": messages, "stream": True, "n": 1}
