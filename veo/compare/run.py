"""Run a comparison: plan the same request for several candidates, start the jobs, read results."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from veo.compare.media import MediaInfo, read_media
from veo.compare.metrics import ProviderMetrics, compute_metrics, read_acceptance_times
from veo.errors import UsageError
from veo.ledger.record import State
from veo.ledger.reserve import make_job_id
from veo.planning.check import effective_values
from veo.problems import Remedy
from veo.provider import find_facts
from veo.request import MODEL_VALUES, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.job import Job
    from veo.ledger import NewJob, Record
    from veo.planning.plan import Plan
    from veo.session import Session

# The audio is decoded to measure it, about 0.1 s per video, so a large run is only sampled.
MAX_MEASURED_VIDEOS = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    name: str  # the provider's, with the model's where a provider takes part twice
    plan: Plan


def plan_candidates(session: Session, request: Request, names: Sequence[str]) -> list[Candidate]:
    """Plan the same request for several candidates, each once.

    A candidate's name is ``PROVIDER``, ``PROVIDER/MODEL`` or ``PROVIDER:MODEL``.

    Aspect ratio, resolution and duration that the request does not set are taken from the first
    candidate's model, so that all candidates receive the same request.

    A provider without a model takes one that is named for another provider, if it has it.

    Raises:
        UnknownProviderError: No provider of that name is installed.
        UsageError: A candidate is named twice or cannot make the video; lists all such problems.
    """
    named = _parse_names(names)
    counts = Counter(provider for provider, _ in named)
    candidates: list[Candidate] = []
    problems: list[str] = []
    for provider, model in named:
        # A model named for one of LaoZhang's routes is compared on the other one, too.
        shared = (other for owner, other in named if owner != provider and other)
        own = session.models(provider)
        chosen = model or request.model or next((each for each in shared if each in own), None)
        try:
            plan = session.plan(replace(request, model=chosen), provider)
        except UsageError as error:
            problems += [f"{provider}: {line}" for line in str(error).splitlines()]
            continue
        name = f"{provider}:{plan.model.name}" if counts[provider] > 1 else provider
        if any(name == each.name for each in candidates):
            problems.append(f"{name} is named twice: {provider} alone stands for it, too")
        candidates.append(Candidate(name, plan))
        request = _fill_defaults(request, plan)
    if problems:
        raise UsageError("\n".join(problems), remedies=[Remedy("list_models")])
    return candidates


def _parse_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the provider and the model of each candidate; the model is empty if none is named."""
    split = (re.split("[:/]", name.strip(), maxsplit=1) for name in names if name.strip())
    named = [(provider, "".join(model)) for provider, *model in split]
    for provider, _ in named:
        find_facts(provider)  # an unknown provider is reported before anything is planned
    repeated = [":".join(filter(None, pair)) for pair, count in Counter(named).items() if count > 1]
    if repeated or not named:
        raise UsageError(
            f"{repeated[0]} is named twice" if repeated else "nothing to compare",
            hint="Name providers such as laozhang-async,gemini, or PROVIDER/MODEL.",
        )
    return named


def start_jobs(
    session: Session,
    candidates: Sequence[Candidate],
    count: int,
    folder: Path,
) -> dict[str, list[Job]]:
    """Reserve the money of all jobs of a comparison, or of none, and begin to work on them.

    The videos are written to ``NAME-1.mp4``, ``NAME-2.mp4``, ... in the folder. Return the jobs by
    candidate.
    """
    run = make_job_id()
    new: dict[str, list[NewJob]] = {}
    for candidate in candidates:
        # Windows does not allow a colon in a file name.
        stem = candidate.name.replace(":", "-")
        outputs = [folder / f"{stem}-{number}.mp4" for number in range(1, count + 1)]
        new[candidate.name] = [
            session.prepare_job(candidate.plan, run=run, output=output) for output in outputs
        ]
    all_jobs = [job for jobs in new.values() for job in jobs]
    started = {job.id: job for job in session.start_jobs(all_jobs, run)}
    return {name: [started[job.id] for job in jobs] for name, jobs in new.items()}


def collect_metrics(
    session: Session, jobs: Sequence[str], *, speed: float = 1.0
) -> ProviderMetrics:
    """Read the jobs of one candidate from the ledger, and measure their files."""
    records = session.ledger.list_jobs(ids=jobs)
    facts = find_facts(records[0].provider)
    return compute_metrics(
        records,
        read_acceptance_times(session.ledger, jobs),
        _measure_videos(records),
        _describe_timeout(has_tasks=facts.tasks, charged=records[0].parse_quote().charged),
        speed,
    )


def _measure_videos(records: Sequence[Record]) -> list[MediaInfo]:
    done = [record for record in records if record.state is State.DONE][:MAX_MEASURED_VIDEOS]
    found = (read_media(record.path) for record in done)
    return [media for media in found if media]


def _describe_timeout(*, has_tasks: bool, charged: str) -> str:
    if has_tasks:
        money = "charged only if it succeeds" if charged == "on_success" else "already charged"
        return f"the task continues and its job can be resumed; {money}"
    money = "not charged" if charged == "on_success" else "charged nevertheless"
    return f"the stream is closed and the video is lost; {money}"


def _fill_defaults(request: Request, plan: Plan) -> Request:
    """Return the request with its open options set to those that the plan's model will use."""
    chosen = effective_values(plan.request, plan.model)
    return replace(request, **{name: chosen[name] for name in MODEL_VALUES})
