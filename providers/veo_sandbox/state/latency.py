"""How long a task takes: fixed, uniform or log-normal, drawn with a seed."""

import math
from dataclasses import dataclass
from random import Random

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
        """Parse any of the forms.

        Raises:
            ValueError: it is none of them, or a number in it is negative.
        """
        if isinstance(text, Latency):
            return text
        # A plain number has no colon, so its kind is empty: fixed.
        kind, _, rest = str(text).rpartition(":")
        try:
            latency = cls(kind or "fixed", tuple(float(part) for part in rest.split(",")))
        except ValueError:
            raise ValueError(_usage_text(text)) from None
        if len(latency.values) != _ARITY.get(latency.kind) or not latency._is_valid():
            raise ValueError(_usage_text(text))
        return latency

    def draw_seconds(self, random: Random) -> float:
        if self.kind == "uniform":
            return random.uniform(*self.values)
        if self.kind == "lognormal":
            median, sigma = self.values
            return median * math.exp(sigma * random.gauss())
        return self.values[0]

    def _is_valid(self) -> bool:
        return all(math.isfinite(value) and value >= 0 for value in self.values)

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(f'{value:g}' for value in self.values)}"


def _usage_text(text: object) -> str:
    return (
        f"latency {text!r}: write a number of seconds, fixed:SECONDS, uniform:FROM,TO "
        "or lognormal:MEDIAN,SIGMA"
    )
