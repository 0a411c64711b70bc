"""The request of a chat, and how the gateway refuses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Exchange, Refusal, Upload
from veo_sandbox.profiles.base import Profile
from veo_sandbox.profiles.images import check_images, parse_data_uri
from veo_sandbox.state.price_list import Model

_MAX_VIDEOS = 4
_VIDEO_CODES = {"invalid_json", "invalid_multipart_form", "missing_model"}
"""Codes of `/v1/videos` that this route does not have."""

_CONTENT_ERROR = "messages: content must be a list of parts, each of type text or image_url"


@dataclass(slots=True)
class ChatRequest:
    """A prompt, its images, and how many videos are requested.

    `linked_images` counts images that are addresses: accepted, but never fetched.
    """

    prompt: str = ""
    images: list[Upload] = field(default_factory=list)
    linked_images: int = 0
    videos: int = 1
    stream: bool = False


class Gateway(Profile):
    """The gateway's own errors: on this route they always are an `error` object."""

    name = "chat"
    families = ("legacy",)
    wraps_errors = names_param = True

    def image_too_large(self) -> Response:
        """A documented code; its status is not documented."""
        text = "image is too large: 10 MB at most"
        return self.error_response(400, text, "invalid_request_error", "image_too_large")

    def invalid_request(self, code: str, message: str, param: str | None = None) -> Refusal:
        """Make the error for a wrong request; this route has one code for most of them."""
        code = "invalid_request" if code in _VIDEO_CODES else code
        return super().invalid_request(code, message, param)

    def parse_chat(self, exchange: Exchange, model: Model) -> ChatRequest:
        """Parse the request, or raise a Refusal."""
        chat = ChatRequest(
            stream=exchange.fields.get("stream") is True, videos=self._parse_count(exchange.fields)
        )
        for part in self._last_user_parts(exchange.fields.get("messages")):
            self._add_part(chat, part)
        if not chat.prompt.strip():
            raise self.invalid_request("invalid_parameter", "prompt is required", "messages")
        self._check_images(chat, model)
        return chat

    def _parse_count(self, fields: Mapping[str, Any]) -> int:
        number = fields.get("n", 1)
        if isinstance(number, bool) or number not in range(1, _MAX_VIDEOS + 1):
            raise self.invalid_request(
                "invalid_parameter", f"n must be from 1 to {_MAX_VIDEOS}", "n"
            )
        return int(number)

    def _last_user_parts(self, messages: object) -> list[Any]:
        """Return the parts of the user's last message; a bare text counts as one part."""
        messages_list = messages if isinstance(messages, list) else []
        users = [
            item for item in messages_list if isinstance(item, dict) and item.get("role") == "user"
        ]
        if not users:
            raise self.invalid_request(
                "invalid_parameter", "messages must have one of a user", "messages"
            )
        # Earlier messages are context that a video model does not use.
        content = users[-1].get("content")
        # Documented as invalid; a production app sends it with success.
        if isinstance(content, str) and self.core.profile != "docs":
            return [{"type": "text", "text": content}]
        if not isinstance(content, list):
            raise self.invalid_request("invalid", _CONTENT_ERROR, "messages")
        return content

    def _add_part(self, chat: ChatRequest, part: object) -> None:
        match part:
            case {"type": "text", "text": str(text)}:
                chat.prompt += text
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                self._add_image(chat, url)
            case _:
                raise self.invalid_request("invalid", _CONTENT_ERROR, "messages")

    def _add_image(self, chat: ChatRequest, url: str) -> None:
        """Add an image. Addresses worked in November 2025 (captured); later pages say base64."""
        if url.startswith(("http://", "https://")):
            if self.core.profile == "docs":
                text = "image_url must be base64 data, an address is not supported"
                raise self.invalid_request("invalid_parameter", text, "messages")
            chat.linked_images += 1
        else:
            chat.images.append(parse_data_uri(self, "image_url", url))

    def _check_images(self, chat: ChatRequest, model: Model) -> None:
        number = len(chat.images) + chat.linked_images
        if number and not model.max_images:
            text = f"model {model.id} does not support image input"
            raise self.invalid_request("model_not_support_image", text, "messages")
        if number > model.max_images:
            text = f"at most {model.max_images} images are supported, got {number}"
            raise self.invalid_request("invalid_parameter", text, "messages")
        check_images(self, chat.images, maximum=model.max_images)
