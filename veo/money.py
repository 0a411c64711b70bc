"""What a request will cost, and the rule that turns that into a charge. USD, always Decimal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from veo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.model import Model, Price
    from veo.request import Request

MICRO = Decimal("0.000001")
CLIP_S, CLIP_RESOLUTION = 8, "720p"


def to_micros(usd: Decimal) -> int:
    """USD as whole millionths, the unit that the ledger adds up."""
    return int((usd / MICRO).to_integral_value())


def to_usd(amount: int) -> Decimal:
    """Millionths of a USD as USD."""
    return Decimal(amount) / 1_000_000


def format_amount(amount: Decimal) -> str:
    """An amount for a person: at least cents, more digits only where they matter."""
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents if cents == amount else amount:f}"


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of one request, with the row it came from.

    Attributes:
        amount: USD for the whole video.
        charged: ``on_success`` or ``on_accept``: when the amount becomes a charge.
        per: ``call`` or ``second``.
        unit: USD for one call or second.
        quantity: Calls or seconds.
        as_of: Date of the price row.
        source: Source of the price row.
        overridden: Whether the user's configuration set the price.
    """

    amount: Decimal
    charged: str
    per: str
    unit: Decimal
    quantity: int
    as_of: date
    source: str
    overridden: bool = False

    def to_json(self) -> dict[str, Any]:
        """As the ledger keeps it: amounts as text, the date in ISO form."""
        return {
            "amount": str(self.amount),
            "charged": self.charged,
            "per": self.per,
            "unit": str(self.unit),
            "quantity": self.quantity,
            "as_of": self.as_of.isoformat(),
            "source": self.source,
            "overridden": self.overridden,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Quote:
        """The quote that ``to_json`` described."""
        return cls(
            **{
                **body,
                "amount": Decimal(body["amount"]),
                "unit": Decimal(body["unit"]),
                "as_of": date.fromisoformat(body["as_of"]),
            }
        )


def quote(request: Request, model: Model) -> Quote:
    """What a request costs with a model, USD; the request has passed ``check``.

    Raises:
        ConfigError: The model's price row has no price for the resolution.
    """
    resolution = request.resolution or model.resolutions[0]
    unit = model.price.unit_price(resolution)
    if unit is None:
        raise ConfigError(f"{model.name} has no price at {resolution}")
    quantity = _billed_seconds(request, model) if model.price.per == "second" else 1
    price = model.price
    return Quote(
        amount=unit * quantity,
        charged=price.charged,
        per=price.per,
        unit=unit,
        quantity=quantity,
        as_of=price.as_of,
        source=price.source,
        overridden=model.overridden,
    )


def _billed_seconds(request: Request, model: Model) -> int:
    if request.extend and model.extend_s:
        return model.extend_s
    return request.duration or model.durations[0]


def clip_price(price: Price) -> Decimal | None:
    """USD for one clip of 8 s in 720p, so that prices a call and a second can be compared.

    None where the model has no price for that resolution.
    """
    unit = price.unit_price(CLIP_RESOLUTION)
    if unit is None:
        return None
    return unit * CLIP_S if price.per == "second" else unit
