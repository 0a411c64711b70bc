"""The result of a comparison: the metrics of each candidate and their break-even points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from veo.compare.cost_model import BreakEven, MeasuredCost, PricingTerms, find_break_even
from veo.money import to_usd
from veo.provider import find_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.compare.metrics import ProviderMetrics

MAX_LOSS_RATE = 0.999


@dataclass(frozen=True, slots=True)
class Simulation:
    """The parameters of a simulation, and what it found in addition to the ledger's metrics."""

    fail_rate: float  # share of requests that fail
    timeout_rate: float  # share of requests that never finish
    deadline: float  # client timeout, simulated seconds
    seed: int
    speed: Mapping[str, float]  # simulated seconds per real second, by candidate
    measured: Mapping[str, MeasuredCost]  # cost per video, by candidate
    billed: Mapping[str, int]  # what the sandbox charged, by candidate, millionths of a USD

    @property
    def loss_rate(self) -> float:
        return self.fail_rate + self.timeout_rate

    def to_json(self) -> dict[str, Any]:
        names = ("fail_rate", "timeout_rate", "deadline", "seed", "speed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    prompt: str
    metrics: Mapping[str, ProviderMetrics]  # by candidate, in the order of the request
    simulation: Simulation | None = None  # None for real requests and for the plain sandbox
    is_play_money: bool = False

    @property
    def terms(self) -> dict[str, PricingTerms]:
        return {name: pricing_terms(name, metrics) for name, metrics in self.metrics.items()}

    @property
    def loss_rate(self) -> float:
        """Share of lost requests: the simulated one, else the one observed over all candidates."""
        if self.simulation:
            return self.simulation.loss_rate
        requests = sum(metrics.requests for metrics in self.metrics.values())
        return sum(metrics.failed for metrics in self.metrics.values()) / requests

    @property
    def matches_bills(self) -> bool:
        """Whether the ledger agrees with the sandbox's charges; True without a simulation."""
        billed = self.simulation.billed if self.simulation else {}
        return all(self.metrics[name].spending.charged == amount for name, amount in billed.items())

    @property
    def break_evens(self) -> list[BreakEven]:
        """Break-even points of each candidate charged on acceptance with each on success."""
        # At a loss rate of 1 every cost is infinite and nothing can be compared.
        rate, terms = min(self.loss_rate, MAX_LOSS_RATE), self.terms.values()
        return [
            find_break_even(first, second, rate)
            for first, second in product(terms, repeat=2)
            if first.on_accept and not second.on_accept
        ]

    @property
    def cheapest(self) -> str | None:
        """Name of the candidate with the least cost per video; None if there is no video."""
        costs = {name: metrics.per_video for name, metrics in self.metrics.items()}
        known = {name: cost for name, cost in costs.items() if cost is not None}
        return min(known, key=known.__getitem__) if known else None

    def metrics_to_json(self, name: str) -> dict[str, Any]:
        body = {"name": name, **self.metrics[name].to_json(), "play_money": self.is_play_money}
        if self.simulation:
            cost = self.simulation.measured[name]
            body["expected_per_video"] = _finite_or_none(cost.expected)
            body["interval_95"] = [_finite_or_none(cost.low), _finite_or_none(cost.high)]
            body["agrees"] = cost.agrees
            body["billed"] = float(to_usd(self.simulation.billed[name]))
            body["simulation"] = self.simulation.to_json()
        return body

    def break_evens_to_json(self) -> dict[str, Any]:
        return {"break_even": [each.to_json() for each in self.break_evens], "lost": self.loss_rate}


def _finite_or_none(amount: float) -> float | None:
    """Return an amount as JSON can hold it; infinity, where no video is ever made, is None."""
    return amount if math.isfinite(amount) else None


def pricing_terms(name: str, metrics: ProviderMetrics) -> PricingTerms:
    facts = find_facts(metrics.provider)
    return PricingTerms(
        name=name,
        price=float(metrics.quote.amount),
        on_accept=metrics.quote.charged == "on_accept",
        median_s=facts.median_of(metrics.model),
        spread=facts.spread,
        has_tasks=facts.tasks,
        by_usage=metrics.quote.by_usage,
    )
