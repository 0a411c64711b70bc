"""A whole comparison: every route's figures, what theory says of them, where one overtakes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from veo.compare.cost_model import BreakEven, Measured, Terms, break_even
from veo.money import to_usd
from veo.provider import find_provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.compare.metrics import Figures


@dataclass(frozen=True, slots=True)
class Simulation:
    """How a comparison was simulated, and what came of it besides the ledger's figures.

    Attributes:
        fail_rate: Share of requests that were made to fail.
        timeout_rate: Share that never finish.
        deadline: Seconds of patience, of the sandbox's clock.
        seed: What every draw of chance started from.
        speed: Seconds of the sandbox's clock in a real second, for each route.
        measured: Cost per kept video of each route, with its error and its expectation.
        billed: What the sandbox itself charged for each route, millionths of a USD.
    """

    fail_rate: float
    timeout_rate: float
    deadline: float
    seed: int
    speed: Mapping[str, float]
    measured: Mapping[str, Measured]
    billed: Mapping[str, int]

    @property
    def lost(self) -> float:
        """Share of requests that end without a video."""
        return self.fail_rate + self.timeout_rate

    def to_json(self) -> dict[str, Any]:
        """How it was simulated, as ``--json`` prints it."""
        names = ("fail_rate", "timeout_rate", "deadline", "seed", "speed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison found.

    Attributes:
        prompt: What was asked for.
        figures: Of each route, by name, in order.
        simulation: How it was simulated; None when it was real, or in the plain sandbox.
        play: Whether the money was play money.
    """

    prompt: str
    figures: Mapping[str, Figures]
    simulation: Simulation | None = None
    play: bool = False
    terms: Mapping[str, Terms] = field(init=False)

    def __post_init__(self) -> None:
        terms = {name: terms_of(name, figures) for name, figures in self.figures.items()}
        object.__setattr__(self, "terms", terms)

    @property
    def lost(self) -> float:
        """The share of lost requests: as simulated, else as seen over all routes."""
        if self.simulation:
            return self.simulation.lost
        asked = sum(figures.asked for figures in self.figures.values())
        return sum(figures.failed for figures in self.figures.values()) / asked

    @property
    def holds(self) -> bool:
        """Whether a simulation's ledger agrees with the sandbox's bills; True without one."""
        billed = self.simulation.billed if self.simulation else {}
        return all(self.figures[name].charged == amount for name, amount in billed.items())

    @property
    def break_evens(self) -> list[BreakEven]:
        """Where a route that charges on success overtakes one that charges on acceptance."""
        return [
            break_even(gamble, safe, min(self.lost, 0.999))
            for gamble in self.terms.values()
            for safe in self.terms.values()
            if gamble.on_accept and not safe.on_accept
        ]

    @property
    def cheapest(self) -> str | None:
        """The route with the least cost per kept video; None when nothing was made."""
        costs = {name: f.per_video for name, f in self.figures.items()}
        made = {name: cost for name, cost in costs.items() if cost is not None}
        return min(made, key=made.__getitem__) if made else None

    def described(self, name: str) -> dict[str, Any]:
        """One route as ``--json`` prints it."""
        body = {"name": name, **self.figures[name].to_json(), "play_money": self.play}
        if self.simulation:
            found = self.simulation.measured[name]
            body["expected_per_video"] = _finite(found.expected)
            body["interval_95"] = [_finite(found.low), _finite(found.high)]
            body["agrees"] = found.agrees
            body["billed"] = float(to_usd(self.simulation.billed[name]))
            body["simulation"] = self.simulation.to_json()
        return body

    def crossings(self) -> dict[str, Any]:
        """Where routes overtake each other, as ``--json`` prints it."""
        return {"break_even": [asdict(each) for each in self.break_evens], "lost": self.lost}


def _finite(amount: float) -> float | None:
    """An amount as JSON can hold it; None where no video would ever come."""
    return amount if math.isfinite(amount) else None


def terms_of(name: str, figures: Figures) -> Terms:
    """What a route charges, and how long it usually takes."""
    facts = find_provider(figures.route).facts
    return Terms(
        name=name,
        price=float(figures.quote.amount),
        on_accept=figures.quote.charged == "on_accept",
        median_s=facts.median_s,
        spread=facts.spread,
        tasks=facts.tasks,
    )
