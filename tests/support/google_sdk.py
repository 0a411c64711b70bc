"""Helpers that use google-genai against the sandbox as one would against Google."""

import time
from collections.abc import Iterable
from typing import Any

from google import genai
from google.genai import types
from sandbox_api import make_image

from veo_sandbox import Sandbox

FAST = "veo-3.1-fast-generate-preview"
LITE = "veo-3.1-lite-generate-preview"
PLATFORM_FAST = "veo-3.1-fast-generate-001"

Operation = types.GenerateVideosOperation


def developer_client(box: Sandbox, **options: Any) -> genai.Client:
    """Return a client of the Gemini Developer API."""
    http = types.HttpOptions(base_url=box.url, **options)
    return genai.Client(api_key=box.key, http_options=http)


def small_image(colour: str = "red") -> types.Image:
    """Return a small image."""
    return types.Image(image_bytes=make_image(colour=colour), mime_type="image/png")


def reference_images(*colours: str) -> list[types.VideoGenerationReferenceImage]:
    """Return reference images."""
    kind = types.VideoGenerationReferenceType.ASSET
    reference = types.VideoGenerationReferenceImage
    return [reference(image=small_image(colour), reference_type=kind) for colour in colours]


def start_video(client: genai.Client, model: str = FAST, **options: Any) -> Operation:
    """Start a video of a lion; `options` are members of the source or of the config."""
    source_members = {
        name: options.pop(name) for name in ("prompt", "image", "video") if name in options
    }
    source = types.GenerateVideosSource(**{"prompt": "lion"} | source_members)
    config = types.GenerateVideosConfig(**options) if options else None
    return client.models.generate_videos(model=model, source=source, config=config)


def wait_done(client: genai.Client, operation: Operation) -> Operation:
    """Poll until the operation is done."""
    for _ in range(1000):
        if operation.done:
            return operation
        time.sleep(0.02)
        operation = client.operations.get(operation)
    raise AssertionError(operation)


def get_video(operation: Operation) -> types.Video:
    """Return the only video of an operation."""
    assert operation.error is None, operation.error
    videos = operation.response.generated_videos
    assert len(videos) == 1
    return videos[0].video


def make_video(client: genai.Client, model: str = FAST, **options: Any) -> types.Video:
    """Start a video, wait for it and return it."""
    return get_video(wait_done(client, start_video(client, model, **options)))


def list_requests(box: Sandbox, method: str = "POST") -> Iterable[tuple[str, Any]]:
    """Return path and body of every request so far."""
    return [(e["path"], e.get("body")) for e in box.requests() if e["method"] == method]
