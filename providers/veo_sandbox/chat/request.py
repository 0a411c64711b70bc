"""What a chat asks for, and how the gateway refuses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Call, Refusal, Upload
from veo_sandbox.profiles.base import Profile
from veo_sandbox.profiles.images import check_pictures, inline_picture
from veo_sandbox.state.price_list import Model, models

_MOST_VIDEOS = 4
_CONTENT = "messages: content must be a list of parts, each of type text or image_url"


@dataclass(slots=True)
class Chat:
    """A prompt, its pictures, and how many videos are wanted.

    `linked` counts pictures that are addresses: taken, but never fetched.
    """

    prompt: str = ""
    pictures: list[Upload] = field(default_factory=list)
    linked: int = 0
    videos: int = 1
    stream: bool = False


class Gateway(Profile):
    """The gateway's own errors: on this route they always are an `error` object."""

    families = ("legacy",)

    def invalid(self, code: str, message: str, param: str | None = None) -> Refusal:
        """400 with a documented code."""
        return Refusal(self.error(400, message, "invalid_request_error", code, param=param))

    def too_large(self) -> Response:
        """A documented code; its status is not."""
        text = "image is too large: 10 MB at most"
        return self.error(400, text, "invalid_request_error", "image_too_large")

    def broke(self, balance: float) -> Response:
        """As new-api refuses what the quota does not cover."""
        text = f"用户额度不足, 剩余额度: ${balance:.6f} (request id: {self.core.request_id()})"
        return self.error(403, text, "new_api_error", "insufficient_user_quota")

    def model(self, call: Call) -> Model:
        """The model asked for.

        Raises:
            Refusal: no JSON, no model, or one that is not sold here.
        """
        if call.malformed:
            raise self.invalid("invalid_request", call.malformed)
        name = call.fields.get("model")
        if not isinstance(name, str) or not name:
            raise self.invalid("invalid_request", "model field is required", "model")
        model = models().get(name)
        if model is None or not self.sells(model):
            raise Refusal(self.no_model(name))
        return model

    def chat(self, call: Call, model: Model) -> Chat:
        """The request, understood.

        Raises:
            Refusal: something in it is wrong.
        """
        chat = Chat(stream=call.fields.get("stream") is True, videos=self._videos(call.fields))
        for part in self._parts(call.fields.get("messages")):
            self._take(chat, part)
        if not chat.prompt.strip():
            raise self.invalid("invalid_parameter", "prompt is required", "messages")
        self._check(chat, model)
        return chat

    def _videos(self, fields: Mapping[str, Any]) -> int:
        number = fields.get("n", 1)
        if isinstance(number, bool) or number not in range(1, _MOST_VIDEOS + 1):
            raise self.invalid("invalid_parameter", f"n must be from 1 to {_MOST_VIDEOS}", "n")
        return int(number)

    def _parts(self, messages: object) -> list[Any]:
        """The parts of the last thing that the user said; text alone is documented as invalid."""
        said = messages if isinstance(messages, list) else []
        users = [each for each in said if isinstance(each, dict) and each.get("role") == "user"]
        if not users:
            raise self.invalid("invalid_parameter", "messages must have one of a user", "messages")
        content = users[-1].get("content")
        if not isinstance(content, list):
            raise self.invalid("invalid", _CONTENT, "messages")
        return content

    def _take(self, chat: Chat, part: object) -> None:
        match part:
            case {"type": "text", "text": str(text)}:
                chat.prompt += text
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                self._picture(chat, url)
            case _:
                raise self.invalid("invalid", _CONTENT, "messages")

    def _picture(self, chat: Chat, url: str) -> None:
        """An address was taken in November 2025 (captured); later pages say base64 only."""
        if url.startswith(("http://", "https://")):
            if self.core.profile == "docs":
                text = "image_url must be base64 data, an address is not supported"
                raise self.invalid("invalid_parameter", text, "messages")
            chat.linked += 1
        else:
            chat.pictures.append(inline_picture(self, "image_url", url))

    def _check(self, chat: Chat, model: Model) -> None:
        number = len(chat.pictures) + chat.linked
        if number and not model.frames:
            text = f"model {model.id} does not support image input"
            raise self.invalid("model_not_support_image", text, "messages")
        if number > model.frames:
            text = f"at most {model.frames} images are supported, got {number}"
            raise self.invalid("invalid_parameter", text, "messages")
        check_pictures(self, chat.pictures, most=model.frames)
