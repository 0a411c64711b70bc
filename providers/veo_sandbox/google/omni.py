"""The Gemini Omni models of `models.toml`, and what their tokens cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from veo_sandbox.tables import load_table

_IMAGE_TOKENS = 1089
"""Of a small image, as captured in October 2026."""

_INPUT_VIDEO_TOKENS_PER_S = 1771
"""3 s were 5,314 tokens (captured)."""

_CHARACTERS_PER_TOKEN = 4
"""A rule of thumb of Google's documentation."""

_TEXT_BESIDE_VIDEO, _THOUGHT, _REFUSAL_TEXT, _REFUSAL_THOUGHT = 497, 235, 15, 90
"""Output tokens of captured interactions."""


@dataclass(frozen=True, slots=True)
class OmniModel:
    """A row of `models.toml`; the keys of `video_tokens` are the resolutions that it makes."""

    id: str
    title: str
    version: str
    apis: tuple[str, ...]
    max_seconds: int
    max_edit_seconds: int
    tasks: tuple[str, ...]
    usd_per_million: Mapping[str, str]
    video_tokens: Mapping[str, int]
    vertex_tasks: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()

    def list_tasks(self, api: str) -> tuple[str, ...]:
        return (*self.tasks, *(self.vertex_tasks if api == "vertex" else ()))


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one interaction; `text` is output beside the video, without thoughts."""

    prompt: int
    images: int = 0
    source: int = 0
    video: int = 0
    text: int = 0
    thought: int = 0

    @property
    def input(self) -> int:
        return self.prompt + self.images + self.source

    def price_micros(self, model: OmniModel) -> int:
        """Return the price in micro-USD: USD per million tokens are micro-USD per token."""
        usd = {name: Decimal(price) for name, price in model.usd_per_million.items()}
        total = self.input * usd["input"] + (self.text + self.thought) * usd["text"]
        return int((total + self.video * usd["video"]).to_integral_value())

    def to_json(self) -> dict[str, Any]:
        """Return it as captured: the output list names video only, text is the difference."""
        inputs = {"text": self.prompt, "image": self.images, "video": self.source}
        output = self.video + self.text
        body: dict[str, Any] = {
            "total_tokens": self.input + output + self.thought,
            "total_input_tokens": self.input,
            "input_tokens_by_modality": [
                {"modality": name, "tokens": tokens} for name, tokens in inputs.items() if tokens
            ],
            "total_cached_tokens": 0,
            "total_output_tokens": output,
        }
        if self.video:
            body["output_tokens_by_modality"] = [{"modality": "video", "tokens": self.video}]
        return body | {"total_tool_use_tokens": 0, "total_thought_tokens": self.thought}

    def as_refusal(self) -> "Usage":
        """Return what it is when the model answers with words instead of a video."""
        return Usage(
            self.prompt, self.images, self.source, text=_REFUSAL_TEXT, thought=_REFUSAL_THOUGHT
        )

    def without_output(self) -> "Usage":
        return Usage(self.prompt, self.images, self.source)


def count_usage(
    model: OmniModel, prompt: str, images: int, source_s: float, seconds: float, resolution: str
) -> Usage:
    """Count the tokens of a finished video; `seconds` are those that are made."""
    return Usage(
        prompt=max(math.ceil(len(prompt) / _CHARACTERS_PER_TOKEN), 1),
        images=images * _IMAGE_TOKENS,
        source=math.ceil(source_s * _INPUT_VIDEO_TOKENS_PER_S),
        video=math.ceil(seconds * model.video_tokens[resolution]),
        text=_TEXT_BESIDE_VIDEO,
        thought=_THOUGHT,
    )


@cache
def load_omni_models(api: str) -> Mapping[str, OmniModel]:
    """Return the models that an API knows, those that it has shut down included."""
    rows = [OmniModel(**row) for row in load_table("models.toml")["omni"]]
    return {model.id: model for model in rows if api in model.apis}
