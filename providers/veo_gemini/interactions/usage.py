"""What a task cost by the tokens that its interaction reports; pure.

No response has a price. The tokens are those of captured interactions (October 2026): the total is
input, output and thought, ``output_tokens_by_modality`` names video only, and the rest of the
output is text. One reporter counts thought as part of the output; the captures contradict it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from veo.money import MICRO
from veo.wire.values import get_list, get_path

if TYPE_CHECKING:
    from veo.model import Model

_PRICED_TOKENS = 1_000_000  # prices are per million
_MAX_TOKENS = 10**9  # hours of video in 4k; more is no count


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one interaction."""

    input: int
    text: int  # output that is not video, and thought
    video: int

    def charge(self, model: Model) -> Decimal | None:
        """Return USD by the model's token prices; None if its row has none."""
        prices = model.usage_prices  # by the names of these fields
        usd = sum((price * getattr(self, kind) for kind, price in prices.items()), Decimal(0))
        return (usd / _PRICED_TOKENS).quantize(MICRO) if prices else None


def read_usage(body: Any) -> Usage | None:
    """Return the usage of an interaction; None if it reports none."""
    usage = get_path(body, "usage")
    if not isinstance(usage, dict):
        return None
    output, video = _count(usage.get("total_output_tokens")), _count_video(usage)
    return Usage(
        input=_count(usage.get("total_input_tokens")),
        text=max(0, output - video) + _count(usage.get("total_thought_tokens")),
        video=video,
    )


def _count_video(usage: dict[str, Any]) -> int:
    return sum(
        _count(get_path(row, "tokens"))
        for row in get_list(usage, "output_tokens_by_modality")
        if str(get_path(row, "modality")).lower() == "video"
    )


def _count(value: Any) -> int:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value <= _MAX_TOKENS else 0
