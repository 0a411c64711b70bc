"""``veo compare --simulate``: run a comparison against sandboxes with faults, in fast time."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from veo.errors import UsageError
from veo.money import to_usd
from veo.request import Request
from veo_commands.options import check_dependent_options, flag, option, parse_seconds
from veo_commands.output import option_group, out

if TYPE_CHECKING:
    from veo.client import Endpoint
    from veo.compare.metrics import ProviderMetrics
    from veo.compare.result import ComparisonResult, Simulation
    from veo.compare.run import Candidate
    from veo.config import Config
    from veo.job import Job
    from veo.model import ProviderFacts
    from veo_sandbox import Sandbox

# Real seconds that a generation should take. Much faster, and the real time of polls and downloads
# would distort the simulated times.
_MEDIAN_REAL_S = 2.5
# More jobs at once need more CPU than this machine has, which would show in the simulated times.
_MAX_IN_FLIGHT = 80
# A sandbox may refund a task that never finishes after 24 h; the charges are read after that.
_REFUND_DELAY_S = 90_000
# Tasks that are still running then never finish, so the client need not wait for them.
_LATE_TIMEOUT_S = 1.5


@option_group
class SimulationOptions:
    panel: ClassVar[str] = "Simulation"

    simulate: bool = flag("Use the sandbox, with a temporary ledger.")
    fail_rate: float = option("Share of requests that fail.", "SHARE", default=0.2, min=0, max=1)
    timeout_rate: float = option(
        "Share of requests that are accepted but never finish.", "SHARE", default=0.0, min=0, max=1
    )
    deadline: float = option(
        "Client timeout in simulated time.", "SECONDS", default=600.0, parser=parse_seconds
    )
    luck: int = option("Seed of random failures and durations.", "NUMBER", default=0, min=0)
    speed: float | None = option(
        "Simulated seconds per real second; chosen by default.", "FACTOR", min=0.001
    )

    @property
    def is_requested(self) -> bool:
        """Whether to simulate, with options that fit together."""
        check_dependent_options(self, "simulate")
        if self.fail_rate + self.timeout_rate > 1:
            raise UsageError(
                f"--fail-rate {self.fail_rate:g} and --timeout-rate {self.timeout_rate:g} "
                "exceed 1 together"
            )
        return self.simulate


@dataclass(frozen=True)
class CandidateRun:
    metrics: "ProviderMetrics"
    billed: int  # what the sandbox charged, millionths of a USD
    clip: Path | None
    speed: float  # simulated seconds per real second


@contextmanager
def simulate(
    setup: SimulationOptions,
    config: "Config",
    request: "Request",
    names: Sequence[str],
    count: int = 500,
) -> "Iterator[tuple[ComparisonResult, dict[str, Path | None]]]":
    """Send a request to several sandboxes, ``count`` times each, and compare the results.

    ``names`` are the candidates, see ``plan_candidates``; all installed providers if empty. Only
    the models and prices of the configuration are used.

    Yields:
        The result, and one video of each candidate. The files are deleted at the end of the block.

    Raises:
        UsageError: A candidate is unknown or cannot make the video. Nothing was started.
    """
    from veo.client import Client
    from veo.compare.result import ComparisonResult
    from veo.compare.run import plan_candidates
    from veo.provider import installed_facts

    with tempfile.TemporaryDirectory(prefix="veo-simulation-") as name:
        folder = Path(name)
        with Client(_keep_models(config), home=folder / "plan") as client:
            candidates = plan_candidates(client, request, names or list(installed_facts()))
        runs = {
            each.name: _run_candidate(setup, config, each, count, folder) for each in candidates
        }
        metrics = {name: run.metrics for name, run in runs.items()}
        simulation = _summarize(setup, runs)
        result = ComparisonResult(request.prompt, metrics, simulation, is_play_money=True)
        yield result, {name: run.clip for name, run in runs.items()}


def _run_candidate(
    setup: SimulationOptions, config: "Config", candidate: "Candidate", count: int, folder: Path
) -> CandidateRun:
    from veo.client import Client
    from veo.compare.run import collect_metrics, start_jobs
    from veo.provider import find_facts
    from veo_sandbox import Sandbox

    facts = find_facts(candidate.plan.model.provider)
    median_s = facts.median_of(candidate.plan.model.name)
    speed = setup.speed or round(median_s / _MEDIAN_REAL_S, 1)
    stem = candidate.name.replace(":", "-")
    out.info(f"{candidate.name}: {count} requests, time {speed:g} times as fast")
    with Sandbox(
        folder / f"sandbox-{stem}",
        clip="tiny",
        latency=f"lognormal:{median_s},{facts.spread}",
        speed=speed,
        seed=setup.luck,
        fail_rate=setup.fail_rate,
        timeout_rate=setup.timeout_rate,
    ) as sandbox:
        deadline_s = setup.deadline / speed
        endpoint = _make_endpoint(sandbox, facts, median_s / speed, deadline_s)
        config = _lift_limits(config, candidate.plan.model.provider, deadline_s)
        with Client(config, home=folder / "home", endpoint=endpoint) as client:
            (jobs,) = start_jobs(client, [candidate], count, folder / stem).values()
            _wait_for_jobs(jobs)
            if any(job.record.task_id and not job.record.has_ended for job in jobs):
                # Long enough for every task that ever finishes.
                sandbox.advance(4 * setup.deadline)
                _wait_for_jobs(client.resume(timeout=_LATE_TIMEOUT_S))
            metrics = collect_metrics(client, [job.id for job in jobs], speed=speed)
        sandbox.advance(_REFUND_DELAY_S)
        billed = _sum_bills(sandbox)
    return CandidateRun(metrics, billed, find_first_video(jobs), speed)


def _make_endpoint(
    sandbox: "Sandbox", facts: "ProviderFacts", median_s: float, deadline_s: float
) -> "Endpoint":
    from veo.client import Endpoint
    from veo.key import Key

    settings = {"deadline_s": deadline_s, "key_is_access_token": True, "project": "sandbox"}
    options = {name: value for name, value in settings.items() if name in facts.options}
    return Endpoint(sandbox.url, Key(sandbox.key), median_s, options)


def _sum_bills(sandbox: "Sandbox") -> int:
    """Return what is charged, without what was refunded, millionths of a USD."""
    charged = [bill["amount"] for bill in sandbox.bills() if bill["state"] == "charged"]
    return sum(round(amount * 1_000_000) for amount in charged)


def find_first_video(jobs: "Sequence[Job]") -> Path | None:
    return next((job.record.path for job in jobs if job.state == "done"), None)


def _wait_for_jobs(jobs: "Sequence[Job]") -> None:
    from veo.job import as_completed

    if out.options.quiet or not out.can_redraw:
        for _ in as_completed(jobs):
            pass
    else:
        from veo_commands.progress.live import track_jobs

        track_jobs(jobs)


def _summarize(setup: SimulationOptions, runs: dict[str, CandidateRun]) -> "Simulation":
    from veo.compare.cost_model import measure_cost
    from veo.compare.result import Simulation, pricing_terms

    measured = {}
    for name, run in runs.items():
        terms, metrics = pricing_terms(name, run.metrics), run.metrics
        expected = terms.cost_per_video(setup.fail_rate + setup.timeout_rate, setup.deadline)
        charged = float(to_usd(metrics.spending.charged))
        measured[name] = measure_cost(terms, metrics.requests, metrics.made, charged, expected)
    return Simulation(
        fail_rate=setup.fail_rate,
        timeout_rate=setup.timeout_rate,
        deadline=setup.deadline,
        seed=setup.luck,
        speed={name: run.speed for name, run in runs.items()},
        measured=measured,
        billed={name: run.billed for name, run in runs.items()},
    )


def _keep_models(config: "Config") -> "Config":
    """Return the models and prices of a configuration, without its base URLs, keys and caps."""
    from veo.config import Config, ProviderConfig

    providers = {
        name: ProviderConfig(model=provider.model, models=provider.models)
        for name, provider in config.providers.items()
    }
    return Config(model=config.model, retired="ignore", providers=providers)


def _lift_limits(config: "Config", provider: str, deadline_s: float) -> "Config":
    """Return the configuration of one provider with a timeout, and with almost no rate limits."""
    models = _keep_models(config)
    limits = {"max_in_flight": _MAX_IN_FLIGHT, "submits_per_minute": 1_000_000}
    chosen = models.for_provider(provider).replace(**limits)
    return models.replace(providers={provider: chosen}, timeout=deadline_s)
