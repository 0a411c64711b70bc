"""google-genai, driven directly against the sandbox as it would be against Google."""

import time
from collections.abc import Iterable
from typing import Any

from google import genai
from google.genai import types
from sandbox_api import picture

from veo_sandbox import Sandbox

FAST = "veo-3.1-fast-generate-preview"
LITE = "veo-3.1-lite-generate-preview"
PLATFORM_FAST = "veo-3.1-fast-generate-001"

Operation = types.GenerateVideosOperation


def developer(box: Sandbox, **options: Any) -> genai.Client:
    """A client of the Gemini Developer API."""
    http = types.HttpOptions(base_url=box.url, **options)
    return genai.Client(api_key=box.key, http_options=http)


def image(colour: str = "red") -> types.Image:
    """A small picture."""
    return types.Image(image_bytes=picture(colour=colour), mime_type="image/png")


def references(*colours: str) -> list[types.VideoGenerationReferenceImage]:
    """Reference pictures."""
    kind = types.VideoGenerationReferenceType.ASSET
    made = types.VideoGenerationReferenceImage
    return [made(image=image(colour), reference_type=kind) for colour in colours]


def begin(client: genai.Client, model: str = FAST, **said: Any) -> Operation:
    """Begin a video of a lion; `said` are members of the source or of the config."""
    made_from = {name: said.pop(name) for name in ("prompt", "image", "video") if name in said}
    source = types.GenerateVideosSource(**{"prompt": "lion"} | made_from)
    config = types.GenerateVideosConfig(**said) if said else None
    return client.models.generate_videos(model=model, source=source, config=config)


def finish(client: genai.Client, operation: Operation) -> Operation:
    """Poll until it is done."""
    for _ in range(1000):
        if operation.done:
            return operation
        time.sleep(0.02)
        operation = client.operations.get(operation)
    raise AssertionError(operation)


def video(operation: Operation) -> types.Video:
    """Its one video."""
    assert operation.error is None, operation.error
    made = operation.response.generated_videos
    assert len(made) == 1
    return made[0].video


def make(client: genai.Client, model: str = FAST, **said: Any) -> types.Video:
    """Begin, wait, and the video."""
    return video(finish(client, begin(client, model, **said)))


def asked(box: Sandbox, method: str = "POST") -> Iterable[tuple[str, Any]]:
    """Path and body of every request so far."""
    return [(e["path"], e.get("body")) for e in box.requests() if e["method"] == method]
