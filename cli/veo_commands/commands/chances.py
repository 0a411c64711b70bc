"""The options of a simulation, and what they come to."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from veo_commands.options import parse_seconds

if TYPE_CHECKING:
    from veo.model import Facts

_USUAL_S = 2.5  # real seconds that a video should take: polls and downloads take their own time


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What is simulated."""

    panel: ClassVar[str] = "Simulation"

    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="Against the sandbox, with a ledger thrown away after."),
    ] = False
    fail_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of requests that fail (0.2).", metavar="SHARE"),
    ] = None
    timeout_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share that never finishes (0).", metavar="SHARE"),
    ] = None
    deadline: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds, help="Patience in simulated time (600 s).", metavar="SECONDS"
        ),
    ] = None
    luck: Annotated[
        int | None, typer.Option(min=0, help="What chance starts from (0).", metavar="NUMBER")
    ] = None
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Simulated seconds in a real one; chosen if not given.",
            metavar="FACTOR",
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether to simulate.

        Raises:
            UsageError: Not, but how was said.
        """
        from veo.errors import UsageError

        names = (item.name for item in fields(self) if item.name != "simulate")
        without = [name for name in names if getattr(self, name) is not None]
        if without and not self.simulate:
            raise UsageError(f"--{without[0].replace('_', '-')} belongs to --simulate")
        return self.simulate


@dataclass(frozen=True)
class Setup:
    """A simulation with nothing left open; times in seconds of the sandbox's clock."""

    fail_rate: float
    timeout_rate: float
    deadline: float
    seed: int
    count: int
    speed: float | None

    def speed_of(self, facts: "Facts") -> float:
        """How fast time runs for a route."""
        return self.speed or round(facts.median_s / _USUAL_S, 1)


def settled(options: Simulated, count: int | None) -> Setup:
    """The options with their defaults.

    Raises:
        UsageError: They contradict each other.
    """
    from veo.errors import UsageError

    fail, never = options.fail_rate, options.timeout_rate or 0.0
    fail = 0.2 if fail is None else fail
    if fail + never > 1:
        raise UsageError(f"--fail-rate {fail:g} and --timeout-rate {never:g} are more than all")
    deadline, seed = options.deadline or 600.0, options.luck or 0
    return Setup(fail, never, deadline, seed, count or 500, options.speed)
