"""Amounts in USD, always Decimal, and the quote of a request with the rule of its charge."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from math import ceil
from typing import TYPE_CHECKING, Any

from veo.errors import ConfigError, UsageError
from veo.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from veo.model import Model

Usd = Decimal | int | float | str  # an amount as users may give it
MICRO = Decimal("0.000001")
# Prices per video and per second are compared by the price of this clip, which most models offer.
CLIP_S, CLIP_RESOLUTION = 8, "720p"
_LENGTH_TOLERANCE_S = 0.1  # a file is a few frames longer than the seconds that were asked for


def parse_usd(amount: Usd) -> Decimal:
    """Return an amount in USD: ``1``, ``0.5``, ``"0.50"`` or ``"$0.50"``.

    Raises:
        UsageError: It is not an amount, or below 0.
    """
    try:
        # By its text, because 0.1 as a float is a little more.
        usd = Decimal(str(amount).strip().removeprefix("$"))
    except InvalidOperation:
        usd = Decimal("nan")
    # Decimal accepts "nan" and "inf" as text, too.
    if not usd.is_finite() or usd < 0:
        raise UsageError(f"{amount!r} is not a valid amount in USD; example: 0.50")
    return usd


def to_micros(usd: Decimal) -> int:
    """Convert USD into whole millionths, the unit in which the ledger adds up without errors."""
    return int((usd / MICRO).to_integral_value())


def to_usd(amount: int) -> Decimal:
    """Convert millionths of a USD into USD."""
    return Decimal(amount) / 1_000_000


def format_amount(amount: Decimal) -> str:
    """Format an amount with cents, and with more digits only if they are not zero: ``$0.15``."""
    sign, size = "-" if amount < 0 else "", abs(amount)
    cents = size.quantize(Decimal("0.01"))
    return f"{sign}${cents if cents == size else size:f}"


def format_average(amount: Decimal | float | None) -> str:
    """Format an amount that was divided: to a tenth of a cent, ``$0.30`` or ``$0.037``."""
    return "-" if amount is None else f"${amount:,.3f}".removesuffix("0")


def format_micros(amount: int) -> str:
    """Format millionths of a USD as ``$0.15``."""
    return format_amount(to_usd(amount))


CHARGE_TIMES = {"on_success": "on success", "on_accept": "on acceptance"}
"""When a price is charged, in words, by ``Quote.charged``."""


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of one request, and the price row that it came from.

    Attributes:
        amount: USD for the whole video.
        charged: When the amount becomes a charge: ``on_success`` or ``on_accept``.
        per: ``call``, which is one video, or ``second``.
        unit: USD for one video or second.
        quantity: Number of videos or seconds.
        overridden: Whether the user's configuration set the price.
        by_usage: Whether the provider reports what a task cost, which replaces the amount.
    """

    amount: Decimal
    charged: str
    per: str
    unit: Decimal
    quantity: int
    as_of: date
    source: str
    overridden: bool = False
    by_usage: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the quote as the ledger stores it: amounts as exact text, the date in ISO form."""
        texts = {"amount": str(self.amount), "unit": str(self.unit)}
        body = asdict(self) | texts | {"as_of": self.as_of.isoformat()}
        if not self.by_usage:  # as older versions stored it
            del body["by_usage"]
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Quote:
        amounts = {name: Decimal(body[name]) for name in ("amount", "unit")}
        return cls(**{**body, **amounts, "as_of": date.fromisoformat(body["as_of"])})


def quote(request: Request, model: Model) -> Quote:
    """Return the quote of a request that has passed ``check``.

    Raises:
        ConfigError: The model has no price for the resolution or the duration.
    """
    resolution = request.resolution or model.resolutions[0]
    duration = _billed_seconds(request, model)
    unit = model.price.unit_price(resolution, duration)
    if unit is None:
        value = resolution if model.price.by == "resolution" else f"{duration} s"
        raise ConfigError(f"{model.name} has no price at {value}")
    price = model.price
    quantity = duration if price.per == "second" else 1
    return Quote(
        amount=unit * quantity,
        charged=price.charged,
        per=price.per,
        unit=unit,
        quantity=quantity,
        as_of=price.as_of,
        source=price.source,
        overridden=model.overridden,
        by_usage=bool(model.usage_prices),
    )


def sum_amounts(quotes: Iterable[Quote]) -> Decimal:
    """Return the sum of quotes, USD."""
    return sum((quote.amount for quote in quotes), Decimal(0))


def format_quotes(quotes: Sequence[Quote], maximum: str = "{}") -> str:
    """Format the sum of quotes: ``$0.30``, or ``about $0.30`` if usage decides what is charged.

    Args:
        quotes: Quotes of requests that are sent together.
        maximum: The text around a sum that is a maximum, such as ``up to {}``.
    """
    total = format_amount(sum_amounts(quotes))
    is_estimate = any(quote.by_usage for quote in quotes)
    return f"about {total}" if is_estimate else maximum.format(total)


def _billed_seconds(request: Request, model: Model) -> int:
    if request.edit:  # makes the whole video anew
        seconds = request.edit.seconds
        # Of a video of unknown length, the most that the model makes.
        return ceil(seconds - _LENGTH_TOLERANCE_S) if seconds else max(model.durations)
    # An extension is billed for the seconds that it adds, not for those of the whole video.
    added = model.added_seconds(request.duration) if request.extend else None
    return added or request.duration or model.durations[0]


def expected_seconds(request: Request, model: Model) -> float | None:
    """Return the length of the video that a request buys, in seconds; None if it is not known."""
    if request.edit:
        return request.edit.seconds
    if request.extend:
        added = model.added_seconds(request.duration)
        return request.extend.seconds + added if request.extend.seconds and added else None
    return request.duration or next(iter(model.durations), None)


def clip_price(model: Model) -> Decimal | None:
    """Return the USD for a clip of 8 s in 720p; None if the model makes no such clip."""
    if CLIP_RESOLUTION not in model.resolutions or CLIP_S not in model.durations:
        return None
    clip = Request(prompt="", resolution=CLIP_RESOLUTION, duration=CLIP_S)
    return quote(clip, model).amount
