"""The expected cost of one finished video, in closed form, and the break-even points of providers.

With ``p`` the price of a request and ``q`` the share of requests that produce a video, a provider
that charges on success costs ``p`` per video; one that charges on acceptance costs ``p / q``.
The module performs no I/O.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

Z95 = 1.959964
# Texts, thoughts and images are a few percent of the tokens of a video, and cannot be quoted.
USAGE_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class PricingTerms:
    name: str
    price: float  # USD per request
    on_accept: bool  # whether a request is charged as soon as it is accepted
    median_s: float
    spread: float  # sigma of the logarithm of the generation time, which is log-normal
    has_tasks: bool = True  # whether a late video can be fetched later by its task id
    by_usage: bool = False  # whether the charge is the provider's report, and the price an estimate

    @property
    def log_time(self) -> NormalDist:
        return NormalDist(math.log(self.median_s), self.spread)

    def success_share(self, loss_rate: float, deadline: float | None = None) -> float:
        """Return the share of requests that produce a video.

        Videos after the ``deadline``, seconds, are lost only where no task can fetch them later.
        """
        in_time = 1.0
        if deadline is not None and not self.has_tasks:
            in_time = self.log_time.cdf(math.log(deadline)) if deadline > 0 else 0.0
        return (1 - loss_rate) * in_time

    def cost_per_video(self, loss_rate: float, deadline: float | None = None) -> float:
        """Return the expected USD per finished video; infinite if no request produces one."""
        if not self.on_accept:
            return self.price
        share = self.success_share(loss_rate, deadline)
        return self.price / share if share > 0 else math.inf


@dataclass(frozen=True, slots=True)
class MeasuredCost:
    """A measured cost per video with its sampling error."""

    cost: float  # USD charged per finished video; infinite if there is none
    low: float  # bounds of the 95 % interval
    high: float
    expected: float  # by the closed form

    @property
    def agrees(self) -> bool:
        # An exact cost has an interval of width 0, so rounding must not count as a difference.
        tolerance = 1e-9 * max(1.0, self.expected if math.isfinite(self.expected) else 1.0)
        return self.low - tolerance <= self.expected <= self.high + tolerance

    @property
    def sampling_error(self) -> float:
        return (self.high - self.low) / 2


def measure_cost(
    terms: PricingTerms, requests: int, videos: int, charged: float, expected: float
) -> MeasuredCost:
    """Return the measured cost per video beside the expected one, USD.

    The number of finished videos is binomial; its Wilson interval gives the interval of the cost.
    A provider that charges on success has no sampling error: it charges exactly per video, or by
    usage, which differs from its quote by ``USAGE_TOLERANCE`` at most.
    """
    if not videos:
        return MeasuredCost(math.inf, terms.price, math.inf, expected)
    cost = charged / videos
    if not terms.on_accept:
        margin = cost * USAGE_TOLERANCE if terms.by_usage else 0.0
        return MeasuredCost(cost, cost - margin, cost + margin, expected)
    low, high = wilson_interval(videos, requests)
    return MeasuredCost(cost, terms.price / high, terms.price / low, expected)


def wilson_interval(hits: int, tries: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share."""
    share, square = hits / tries, Z95 * Z95
    centre = (share + square / (2 * tries)) / (1 + square / tries)
    spread = math.sqrt(share * (1 - share) / tries + square / (4 * tries * tries))
    half = Z95 * spread / (1 + square / tries)
    # The lower bound stays above 0 because callers divide by it.
    return max(1e-12, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The points at which charging on acceptance costs as much as charging on success."""

    pays_on_accept: str
    pays_on_success: str
    loss_rate: float  # above this share of lost requests the second is cheaper; 0 means always
    # If the second cost more than this, USD per video, the first would be cheaper at the current
    # loss rate.
    price: float
    # The shortest client timeout, seconds, with which the first is still cheaper at the current
    # loss rate; None if there is no such limit.
    deadline: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "gamble": self.pays_on_accept,
            "safe": self.pays_on_success,
            "loss_rate": self.loss_rate,
            "price": self.price,
            "deadline": self.deadline,
        }


def find_break_even(on_accept: PricingTerms, on_success: PricingTerms, rate: float) -> BreakEven:
    """Return the break-even points of two candidates; ``rate`` is the share of lost requests."""
    is_free = on_success.price <= 0
    # The first costs price / share, so they break even where share is the ratio of the prices.
    ratio = math.inf if is_free else on_accept.price / on_success.price
    share = ratio / (1 - rate) if rate < 1 else math.inf
    return BreakEven(
        pays_on_accept=on_accept.name,
        pays_on_success=on_success.name,
        loss_rate=max(0.0, 1 - ratio),
        price=on_accept.cost_per_video(rate),
        deadline=math.exp(on_accept.log_time.inv_cdf(share))
        if 0 < share < 1 and not on_accept.has_tasks
        else None,
    )
