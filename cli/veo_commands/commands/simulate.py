"""``veo compare --simulate``: routes against the sandbox, with failures on purpose, speeded up."""

from __future__ import annotations

import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veo.client import Client
from veo.compare.cost_model import measured
from veo.compare.result import Outcome, Simulation, terms_of
from veo.compare.run import Entrant, entrants, examine, start
from veo.config import Config, ProviderConfig
from veo.job import as_completed
from veo.key import Key
from veo.money import to_usd
from veo.provider import find_provider
from veo.runtime.providers import Endpoint
from veo_commands.output import out
from veo_sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from veo.compare.metrics import Figures
    from veo.job import Job
    from veo.model import Facts
    from veo.request import Request
    from veo_commands.commands.chances import Setup

_IN_FLIGHT = 80
_A_DAY_LATER_S = 90_000
_LATE_S = 1.5


@contextmanager
def simulated(
    setup: Setup, config: Config, request: Request, routes: Sequence[str]
) -> Iterator[tuple[Outcome, dict[str, Path | None]]]:
    """Send a request over several routes of sandboxes, and count what came of it.

    Args:
        setup: How.
        config: For the user's models and prices; nothing else of it counts.
        request: What each route is asked for.
        routes: As ``veo.compare.run.entrants`` takes them.

    Yields:
        What was found, and a video of each route, which is gone when the block is over.

    Raises:
        UsageError: A route is unknown, or cannot make it; nothing was begun.
    """
    with tempfile.TemporaryDirectory(prefix="veo-simulation-") as name:
        folder = Path(name)
        with Client(_plain(config), home=folder / "plan") as client:
            sides = entrants(client, request, routes)
        played = {side.name: _play(setup, config, side, folder) for side in sides}
        figures = {name: play.figures for name, play in played.items()}
        outcome = Outcome(request.prompt, figures, _summed(setup, played), play=True)
        yield outcome, {name: play.clip for name, play in played.items()}


@dataclass(frozen=True)
class Play:
    """What became of one route."""

    figures: Figures
    billed: int
    clip: Path | None
    speed: float


def _play(setup: Setup, config: Config, side: Entrant, folder: Path) -> Play:
    facts = find_provider(side.provider).facts
    speed = setup.speed_of(facts)
    stem = side.name.replace(":", "-")
    out.info(f"{side.name}: {setup.count} requests, time {speed:g} times as fast")
    with _sandbox(setup, facts, folder / f"sandbox-{stem}", speed) as sandbox:
        patience = setup.deadline / speed
        options = {"deadline_s": patience} if "deadline_s" in facts.options else {}
        endpoint = Endpoint(sandbox.url, Key(sandbox.key), facts.median_s / speed, options)
        with Client(
            _driven(config, side.provider, patience), home=folder / "home", endpoint=endpoint
        ) as client:
            ids, clip = _worked(client, sandbox, setup, side, folder / stem)
            found = examine(client, ids, speed=speed)
        sandbox.advance(_A_DAY_LATER_S)
        bills = sandbox.bills()
    return Play(found, charged(bills), clip, speed)


def _worked(
    client: Client, sandbox: Sandbox, setup: Setup, side: Entrant, folder: Path
) -> tuple[list[str], Path | None]:
    """Have all jobs done, late ones fetched later; their ids, and a video."""
    (jobs,) = start(client, [side], setup.count, folder).values()
    _wait(jobs)
    if any(job.record.task_id and not job.record.has_ended for job in jobs):
        sandbox.advance(4 * setup.deadline)
        _wait(client.resume(timeout=_LATE_S))
    clip = next((job.record.output for job in jobs if job.state == "done"), None)
    return [job.id for job in jobs], Path(clip) if clip else None


def _wait(jobs: Sequence[Job]) -> None:
    """Wait for all; on a terminal with a bar, for each of very many has nothing to tell."""
    from rich.console import Console
    from rich.progress import track

    hidden = out.options.quiet or not sys.stderr.isatty()
    console = Console(stderr=True)
    for _ in track(
        as_completed(jobs), "", len(jobs), console=console, transient=True, disable=hidden
    ):
        pass


def charged(bills: Sequence[dict[str, Any]]) -> int:
    """What a sandbox has charged, millionths of a USD."""
    return sum(round(bill["amount"] * 1_000_000) for bill in bills if bill["state"] == "charged")


def _summed(setup: Setup, played: dict[str, Play]) -> Simulation:
    lost, found = setup.fail_rate + setup.timeout_rate, {}
    for name, play in played.items():
        terms, figures = terms_of(name, play.figures), play.figures
        expected = terms.cost(lost, setup.deadline)
        amount = float(to_usd(figures.charged))
        found[name] = measured(terms, figures.asked, figures.made, amount, expected)
    return Simulation(
        setup.fail_rate,
        setup.timeout_rate,
        setup.deadline,
        setup.seed,
        {name: play.speed for name, play in played.items()},
        found,
        {name: play.billed for name, play in played.items()},
    )


def _sandbox(setup: Setup, facts: Facts, home: Path, speed: float) -> Sandbox:
    return Sandbox(
        home,
        clip="tiny",
        latency=f"lognormal:{facts.median_s},{facts.spread}",
        speed=speed,
        seed=setup.seed,
        fail_rate=setup.fail_rate,
        timeout_rate=setup.timeout_rate,
    )


def _plain(config: Config) -> Config:
    """The configuration's models and prices, without its addresses, keys and caps."""
    kept = {
        name: ProviderConfig(model=chosen.model, models=chosen.models)
        for name, chosen in config.providers.items()
    }
    return Config(model=config.model, retired="ignore", providers=kept)


def _driven(config: Config, provider: str, deadline_s: float) -> Config:
    """The same for one route, driven as hard as this machine can, with so much patience."""
    plain = _plain(config)
    limits = {"max_in_flight": _IN_FLIGHT, "submits_per_minute": 1_000_000}
    chosen = plain.for_provider(provider).model_copy(update=limits)
    return plain.model_copy(update={"providers": {provider: chosen}, "timeout": deadline_s})
