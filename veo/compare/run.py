"""The same request sent over several routes, as ordinary jobs of one run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from veo.compare.media import Media, measure
from veo.compare.metrics import Figures, accepted_at, figures
from veo.errors import UsageError
from veo.ledger.record import State
from veo.ledger.reserve import make_job_id
from veo.problems import Remedy
from veo.provider import find_provider

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal
    from pathlib import Path

    from veo.job import Job
    from veo.ledger import NewJob, Record
    from veo.planning.plan import Plan
    from veo.request import Request
    from veo.session import Session

MEASURED = 50


@dataclass(frozen=True, slots=True)
class Entrant:
    """One side of a comparison.

    Attributes:
        name: What it is called: its provider, and its model where a provider takes part twice.
        provider: The route.
        plan: What would be sent, and what it would cost.
    """

    name: str
    provider: str
    plan: Plan


def entrants(client: Session, request: Request, routes: Sequence[str]) -> list[Entrant]:
    """Plan the same request for several routes.

    What the request leaves open (ratio, resolution, length) is what the first route does then,
    so that all are asked for the same.

    Args:
        client: Knows the models.
        request: What each is asked for.
        routes: ``PROVIDER`` or ``PROVIDER:MODEL``, each once.

    Raises:
        UnknownProviderError: No such provider is installed.
        UsageError: A route is named twice, or cannot make it; all such problems at once.
    """
    named = [route.strip().partition(":") for route in routes if route.strip()]
    for provider, _, _ in named:
        find_provider(provider)
    twice = [":".join(route) for route, count in Counter(named).items() if count > 1]
    if twice or not named:
        raise UsageError(
            f"{twice[0].rstrip(':')} is named twice" if twice else "there is nothing to compare",
            hint="Name routes such as laozhang-async,gemini, or PROVIDER:MODEL.",
        )
    several = Counter(provider for provider, _, _ in named)
    found: list[Entrant] = []
    problems: list[str] = []
    for provider, _, model in named:
        try:
            plan = client.plan(replace(request, model=model or request.model), provider)
        except UsageError as error:
            problems += [f"{provider}: {line}" for line in error.message.splitlines()]
            continue
        name = f"{provider}:{plan.model.name}" if several[provider] > 1 else provider
        found.append(Entrant(name, provider, plan))
        request = _settled(request, plan)
    if problems:
        raise UsageError("\n".join(problems), remedies=[Remedy("list_models")])
    return found


def start(
    client: Session,
    sides: Sequence[Entrant],
    count: int,
    folder: Path,
    *,
    max_cost: Decimal | None = None,
    timeout: float | None = None,
) -> dict[str, list[Job]]:
    """Plan all jobs of a comparison, or none, and begin to work on them.

    Args:
        client: Works on them.
        sides: What is compared.
        count: Requests for each.
        folder: Where the videos go: ``NAME-1.mp4`` and so on.
        max_cost: USD that all of it may cost at most.
        timeout: Seconds to wait for each job.

    Returns:
        The jobs of each side by its name.

    Raises:
        UsageError, SetupError, BudgetError: Nothing was sent, nothing is reserved.
    """
    run = make_job_id()
    new: dict[str, list[NewJob]] = {}
    for side in sides:
        stem = side.name.replace(":", "-")
        places = [folder / f"{stem}-{number}.mp4" for number in range(1, count + 1)]
        new[side.name] = [
            client.prepare_job(side.plan, side.provider, run=run, output=place) for place in places
        ]
    everything = [job for jobs in new.values() for job in jobs]
    begun = {job.id: job for job in client.start_jobs(everything, run, max_cost, timeout)}
    return {name: [begun[job.id] for job in jobs] for name, jobs in new.items()}


def examine(client: Session, jobs: Sequence[str], *, speed: float = 1.0) -> Figures:
    """What became of one side: its rows read again, its files measured.

    Args:
        client: Has the ledger.
        jobs: Ids of the side's jobs, one at least.
        speed: Seconds that count for each real one.
    """
    records = client.ledger.list_jobs(ids=jobs)
    facts = find_provider(records[0].provider).facts
    late = timeouts(tasks=facts.tasks, charged=records[0].parse_quote().charged)
    return figures(records, accepted_at(client.ledger, jobs), media(records), late, speed)


def media(records: Sequence[Record]) -> list[Media]:
    """What the files of done jobs are; of very many the first ``MEASURED``."""
    from pathlib import Path  # noqa: PLC0415 - annotations alone need it otherwise

    done = [record for record in records if record.state is State.DONE][:MEASURED]
    found = (measure(Path(record.output)) for record in done)
    return [each for each in found if each]


def timeouts(*, tasks: bool, charged: str) -> str:
    """What happens to a video that is late, for a person."""
    if tasks:
        money = "charged only if it is made" if charged == "on_success" else "charged already"
        return f"the task continues and its job can be resumed; {money}"
    money = "not charged" if charged == "on_success" else "charged all the same"
    return f"the stream is left and the video is lost; {money}"


def _settled(request: Request, plan: Plan) -> Request:
    """The request with what it left open said, as one model does it."""
    model = plan.model
    return replace(
        request,
        aspect_ratio=request.aspect_ratio or model.aspect_ratios[0],
        resolution=request.resolution or model.resolutions[0],
        duration=request.duration or model.durations[0],
    )
