"""Interactions as the services send them: the shapes of published captures (October 2026)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from google_routes import HOME

if TYPE_CHECKING:
    from collections.abc import Mapping

OMNI = "gemini-omni-1.2-flash"
EARLIER_OMNI = "gemini-omni-1.1-flash"
ID = "v1_ChYtdXNlci1pbnRlcmFjdGlvbi1vZi1hLXRlc3QQARgCIAMoBDAFOAZACEgJ"
FILE_URI = f"{HOME}/v1beta/files/abc123def456:download?alt=media"
MP4 = b"\0\0\0\x18ftypmp42" + bytes(300)

# The usage of the captured video of 1.1: total = input + output + thought.
CAPTURED_USAGE = {
    "total_tokens": 18_127,
    "total_input_tokens": 19,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 19}],
    "total_cached_tokens": 0,
    "total_output_tokens": 17_873,
    "output_tokens_by_modality": [{"modality": "video", "tokens": 17_376}],
    "total_tool_use_tokens": 0,
    "total_thought_tokens": 235,
}
# That of the captured refusal has no tokens of video.
REFUSED_USAGE = {
    "total_tokens": 105,
    "total_input_tokens": 14,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 14}],
    "total_cached_tokens": 0,
    "total_output_tokens": 15,
    "total_tool_use_tokens": 0,
    "total_thought_tokens": 76,
}
THOUGHT = {"type": "thought", "signature": "c2lnbmF0dXJl"}
ASKED = {"type": "user_input", "content": [{"type": "text", "text": "lion"}]}


def make_created(model: str = OMNI, **more: Any) -> dict[str, Any]:
    """Return the response to a paid request."""
    return {
        "id": ID,
        "status": "in_progress",
        "created": "2026-10-08T18:25:01Z",
        "updated": "2026-10-08T18:25:01Z",
        "service_tier": "standard",
        "object": "interaction",
        "model": model,
        **more,
    }


def make_output(*content: dict[str, Any]) -> dict[str, Any]:
    """Return a step of the model."""
    return {"type": "model_output", "content": list(content)}


def make_video(**more: Any) -> dict[str, Any]:
    """Return a video of a step."""
    return {"type": "video", "mime_type": "video/mp4", **more}


def make_text(text: str) -> dict[str, Any]:
    """Return a text of a step."""
    return {"type": "text", "text": text}


INLINE_VIDEO = make_video(data=base64.b64encode(MP4).decode())


def make_completed(
    *steps: dict[str, Any], usage: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Return a completed interaction with some steps after the user's."""
    body = {"status": "completed", "steps": [ASKED, *steps], "usage": usage}
    return make_created(**body | more)


# The two captured ends of an interaction: the video's file, and the model's words, were removed.
CAPTURED_VIDEO = make_completed(
    THOUGHT,
    make_output(make_video(uri=FILE_URI.partition("?")[0])),
    usage=CAPTURED_USAGE,
    model=EARLIER_OMNI,
)
CAPTURED_REFUSAL = make_completed(
    make_output(make_text("I cannot make that video.")),
    THOUGHT,
    usage=REFUSED_USAGE,
    model=EARLIER_OMNI,
)
DONE = make_completed(THOUGHT, make_output(make_video(uri=FILE_URI)), usage=CAPTURED_USAGE)
