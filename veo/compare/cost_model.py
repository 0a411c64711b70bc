"""What a kept video costs in the long run, in closed form, and where one route overtakes another.

With ``p`` the price of a request and ``q`` the share of requests that end with a video that can be
kept, a route that charges on success costs ``p`` for each of them, one that charges on acceptance
``p / q``. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Terms:
    """What a route charges.

    Attributes:
        name: The route.
        price: USD a request.
        on_accept: Whether a request is charged as soon as it is accepted.
        median_s: The usual time to make a video, seconds.
        spread: Sigma of the log of that time.
        tasks: Whether a video that is late can be fetched later.
    """

    name: str
    price: float
    on_accept: bool
    median_s: float
    spread: float
    tasks: bool = True

    def kept(self, lost: float, deadline: float | None = None) -> float:
        """The share of requests that end with a video.

        Args:
            lost: Share of requests that fail or never finish.
            deadline: Seconds after which nobody listens any more; what is late is lost on a
                route without tasks.
        """
        within = 1.0 if deadline is None or self.tasks else self.finished(deadline)
        return (1 - lost) * within

    def finished(self, seconds: float) -> float:
        """The share of videos that are made within a time."""
        if seconds <= 0:
            return 0.0
        z = (math.log(seconds) - math.log(self.median_s)) / self.spread
        return 0.5 * math.erfc(-z / math.sqrt(2))

    def cost(self, lost: float, deadline: float | None = None) -> float:
        """USD for each video that can be kept, in the long run; infinite when none is."""
        if not self.on_accept:
            return self.price
        share = self.kept(lost, deadline)
        return self.price / share if share > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Measured:
    """A cost per kept video with its sampling error.

    Attributes:
        cost: USD charged for each kept video; infinite when there is none.
        low: Where the 95 % interval begins.
        high: Where it ends.
        expected: What the closed form says.
    """

    cost: float
    low: float
    high: float
    expected: float

    @property
    def agrees(self) -> bool:
        """Whether the closed form lies within the interval."""
        slack = 1e-9 * max(1.0, self.expected if math.isfinite(self.expected) else 1.0)
        return self.low - slack <= self.expected <= self.high + slack

    @property
    def error(self) -> float:
        """Half the width of the interval, USD."""
        return (self.high - self.low) / 2


def measured(terms: Terms, asked: int, kept: int, charged: float, expected: float) -> Measured:
    """A measured cost beside its expectation.

    The number of kept videos is binomial; its Wilson interval gives that of the cost. A route
    that charges on success has no such error: what it charges follows what it makes.

    Args:
        terms: The route's.
        asked: Requests made.
        kept: Videos on disk.
        charged: USD, for all of them.
        expected: USD a kept video, from the closed form.
    """
    if not kept:
        return Measured(math.inf, terms.price, math.inf, expected)
    cost = charged / kept
    if not terms.on_accept:
        return Measured(cost, cost, cost, expected)
    low, high = wilson(kept, asked)
    return Measured(cost, terms.price / high, terms.price / low, expected)


def wilson(hits: int, tries: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a share, at 95 % unless said otherwise."""
    share, square = hits / tries, z * z
    centre = (share + square / (2 * tries)) / (1 + square / tries)
    spread = math.sqrt(share * (1 - share) / tries + square / (4 * tries * tries))
    half = z * spread / (1 + square / tries)
    return max(1e-12, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where a route that charges on acceptance (``gamble``) costs as much as another (``safe``).

    Attributes:
        gamble: Name of the one.
        safe: Name of the other.
        loss_rate: From this share of lost requests on the safe one is cheaper; 0: always; None:
            never below 1.
        price: Above this price of the safe one, USD, the gamble wins at the rate at hand.
        deadline: The shortest patience, seconds, with which the gamble is still cheaper at the
            rate at hand; None: no patience is long enough, or any is.
    """

    gamble: str
    safe: str
    loss_rate: float
    price: float
    deadline: float | None


def break_even(gamble: Terms, safe: Terms, lost: float) -> BreakEven:
    """Where ``safe`` overtakes ``gamble``.

    Args:
        gamble: Charges on acceptance.
        safe: Charges on success.
        lost: The share of lost requests at hand.
    """
    rate = max(0.0, 1 - gamble.price / safe.price) if safe.price > 0 else 0.0
    needed = gamble.price / (safe.price * (1 - lost)) if safe.price > 0 and lost < 1 else math.inf
    return BreakEven(
        gamble=gamble.name,
        safe=safe.name,
        loss_rate=rate,
        price=gamble.cost(lost),
        deadline=_quantile(gamble, needed) if needed < 1 and not gamble.tasks else None,
    )


def _quantile(terms: Terms, share: float) -> float:
    """The time within which a share of the videos is made, seconds."""
    from statistics import NormalDist  # noqa: PLC0415 - imports fractions and more

    return math.exp(math.log(terms.median_s) + terms.spread * NormalDist().inv_cdf(share))
