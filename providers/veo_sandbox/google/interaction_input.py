"""The `input` of an interaction: a text, a part, a list of parts, or a list of steps."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from veo_sandbox.google.omni_api import OmniApi, quote_values
from veo_sandbox.profiles.images import ACCEPTED_FORMATS, image_format

_MEMBERS = {
    "text": ("type", "text"),
    "image": ("type", "data", "uri", "mime_type"),
    "video": ("type", "data", "uri", "mime_type"),
}
_MIME_TYPES = {
    "image": ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"),
    "video": ("video/mp4", "video/quicktime", "video/webm", "video/mpeg"),
}


@dataclass(frozen=True, slots=True)
class InputPart:
    """A part of the input: a text, or an image or video by its bytes or its address."""

    kind: str
    text: str = ""
    data: bytes = b""
    uri: str = ""
    mime_type: str = ""


def parse_input(api: OmniApi, value: Any) -> list[InputPart]:
    """Return the parts in their order, or raise a Refusal."""
    parts = [_parse_part(api, part, path) for part, path in _list_parts(api, value)]
    if not any(part.text.strip() or part.kind != "text" for part in parts):
        raise api.error("invalid_input", path="input")
    return parts


def _list_parts(api: OmniApi, value: Any) -> Iterator[tuple[Any, str]]:
    """Yield every part with its path."""
    if isinstance(value, str):
        value = {"type": "text", "text": value}
    for number, item in enumerate(value if isinstance(value, list) else [value]):
        path = f"input[{number}]"
        if isinstance(item, dict) and item.get("type") == "user_input":
            contents = item.get("content")
            if not isinstance(contents, list):
                raise api.error("invalid_input", path="input")
            for index, part in enumerate(contents):
                yield part, f"{path}.content[{index}]"
        else:
            yield item, path


def _parse_part(api: OmniApi, part: Any, path: str) -> InputPart:
    if not isinstance(part, dict) or part.get("type") not in tuple(_MEMBERS):
        raise api.error("invalid_input", path="input")
    kind = part["type"]
    api.check_members(part, _MEMBERS[kind], path)
    if any(not isinstance(member, str) for member in part.values()):
        raise api.error("invalid_input", path="input")
    if kind == "text":
        return InputPart(kind, text=part.get("text", ""))
    # Exactly one of the two; nobody published what happens with both.
    if ("data" in part) == ("uri" in part):
        raise api.error("invalid_input", path="input")
    mime_type = part.get("mime_type", "")
    if mime_type not in _MIME_TYPES[kind]:
        known = quote_values(_MIME_TYPES[kind])
        raise api.error("bad_value", value=mime_type, path=f"{path}.mime_type", known=known)
    data = _decode(api, part["data"]) if "data" in part else b""
    if kind == "image" and data and image_format(data) not in ACCEPTED_FORMATS:
        raise api.error("bad_image")
    return InputPart(kind, data=data, uri=part.get("uri", ""), mime_type=mime_type)


def _decode(api: OmniApi, text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data:
        raise api.error("bad_image")
    return data
