"""How long a task takes: fixed, uniform or log-normal, drawn with a seed."""

import math
from dataclasses import dataclass
from random import Random

_MAX_VALUE = 1e9
"""Seconds; more than the clock can show would only break it."""

_ARITY = {"fixed": 1, "uniform": 2, "lognormal": 2}


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of service times in seconds of the sandbox's clock.

    Written "fixed:6", "uniform:2,10" (from, to), "lognormal:180,0.35" (median, sigma of the
    logarithm), or as a plain number, which is fixed.
    """

    kind: str
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: "Latency | str | float") -> "Latency":
        """Parse any of the forms; anything else, or a negative number, is a ValueError."""
        if isinstance(text, Latency):
            return text
        # A plain number has no colon, so its kind is empty: fixed.
        kind, _, rest = str(text).rpartition(":")
        kind = kind or "fixed"
        try:
            values = tuple(float(part) for part in rest.split(","))
        except ValueError:
            values = ()
        if len(values) != _ARITY.get(kind) or not all(0 <= value <= _MAX_VALUE for value in values):
            raise ValueError(
                f"latency {text!r}: write a number of seconds, fixed:SECONDS, uniform:FROM,TO "
                "or lognormal:MEDIAN,SIGMA"
            )
        return cls(kind, values)

    @property
    def median_s(self) -> float:
        return sum(self.values) / 2 if self.kind == "uniform" else self.values[0]

    def draw_seconds(self, random: Random) -> float:
        if self.kind == "uniform":
            return random.uniform(*self.values)
        if self.kind == "lognormal":
            median, sigma = self.values
            return median * math.exp(sigma * random.gauss())
        return self.values[0]

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(f'{value:g}' for value in self.values)}"
