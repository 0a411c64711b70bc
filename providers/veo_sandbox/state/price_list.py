"""The models that the sandbox sells, and their prices: `models.toml`, read once."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from veo_sandbox.tables import load_table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Row = TypeVar("_Row", bound="DataclassInstance")

MICROS_PER_USD = 1_000_000
"""Money is kept in whole millionths of a US dollar."""


@dataclass(frozen=True, slots=True)
class Model:
    """One row of `models.toml`.

    Attributes:
        family: The route that sells it.
        size: Its fixed "WIDTHxHEIGHT" in pixels; "" when the request decides.
        usd_per_call: Its price per video, or "".
        usd_per_video: Its price per video, by resolution.
        usd_per_second: Its price per second, by resolution.
        seconds: The lengths that it makes; () when its route decides.
        retention_s: Seconds for which a finished video is kept.
        unsupported: Members of a request that it does not know.
    """

    id: str
    family: str
    max_images: int = 0
    size: str = ""
    usd_per_call: str = ""
    usd_per_video: Mapping[str, str] = field(default_factory=dict)
    usd_per_second: Mapping[str, str] = field(default_factory=dict)
    seconds: tuple[int, ...] = ()
    max_references: int = 0
    retention_s: float = 86_400.0
    title: str = ""
    unsupported: tuple[str, ...] = ()

    def price_micros(self, seconds: float, resolution: str = "720p") -> int:
        """Return the price of one video in micro-USD."""
        # A price per call does not depend on length or resolution, one per video not on length.
        if usd := self.usd_per_call or self.usd_per_video.get(resolution):
            return to_micros(usd)
        return int(to_micros(self.usd_per_second[resolution]) * seconds)

    def has_price(self, resolution: str) -> bool:
        prices = self.usd_per_video or self.usd_per_second
        return bool(self.usd_per_call) or resolution in prices


def to_micros(usd: str | float) -> int:
    """Return USD as whole millionths."""
    # Through the text, because 0.15 as a float is not 0.15.
    return int(Decimal(str(usd)) * MICROS_PER_USD)


def to_usd(amount: int) -> float:
    """Return whole millionths as USD, as the control endpoints print them."""
    return float(Decimal(amount) / MICROS_PER_USD)


@cache
def load_models(seller: str = "gateway") -> Mapping[str, Model]:
    """Return every model of a seller, "gateway" or "google", by its id."""
    return {row["id"]: Model(**row) for row in load_table("models.toml")[seller]}


def find_row(name: str, rows: Mapping[str, _Row], offered: Collection[str]) -> _Row | None:
    """Return the row of a model; None if there is none.

    A name of the setting `offered` that has no row is a new model: the row with the most similar
    id under that name, or the first row if none is similar.
    """
    if name in rows or name not in offered:
        return rows.get(name)
    # Of equally similar ids the later version comes first.
    similar = difflib.get_close_matches(name, sorted(rows, reverse=True), n=1)
    return replace(rows[similar[0] if similar else next(iter(rows))], id=name)
