"""What arrived, as the logs show it: without its images."""

import base64
from hashlib import sha256
from typing import Any

_MAX_LOGGED_TEXT = 4096
_BASE64_MEMBERS = {"bytesBase64Encoded", "encodedVideo", "imageBytes", "videoBytes"}


def summarize_json(value: Any, name: str = "") -> Any:
    """Replace base64 and long texts in JSON by their size and digest.

    Base64 is recognised by the name of its member, or as a data URI.
    """
    if isinstance(value, dict):
        return {key: summarize_json(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [summarize_json(item, name) for item in value]
    if not isinstance(value, str):
        return value
    head, mark, data = value.partition(";base64,")
    if mark and head.startswith("data:"):
        return {"type": head.removeprefix("data:")} | _digest_base64(data)
    return _digest_base64(value) if name in _BASE64_MEMBERS else _shorten_text(value)


def _digest_base64(text: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        # Not base64, though its name says so: only its length is logged.
        return {"characters": len(text)}
    return {"bytes": len(data), "sha256": sha256(data).hexdigest()}


def _shorten_text(text: str) -> Any:
    if len(text) <= _MAX_LOGGED_TEXT:
        return text
    digest = sha256(text.encode()).hexdigest()
    return {"characters": len(text), "sha256": digest, "head": text[:40]}
