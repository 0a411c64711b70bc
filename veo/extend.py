"""Extending videos: find the source, check and plan the extension, run its steps in order.

A provider extends only a video that it made and still stores. It returns one merged file, so the
file of the last step contains all steps before it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from veo.errors import InvalidRequestError, UnknownJobError, UsageError
from veo.files import mp4, sidecar
from veo.files import output as download
from veo.ledger import Ledger, Record, lineage
from veo.ledger.budget import over_cap_error
from veo.ledger.reserve import make_job_id
from veo.money import to_micros
from veo.paths import to_absolute
from veo.planning.check import find_errors
from veo.planning.extension import (
    ExtensionSource,
    adapt_problems,
    check_extension,
    extension_request,
)
from veo.problems import Problem, Remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from veo.job import Job
    from veo.model import Model
    from veo.planning.plan import Plan
    from veo.request import Request
    from veo.session import Session


@dataclass(frozen=True, slots=True)
class Extension:
    source: ExtensionSource
    plan: Plan  # of the first step; the others differ only in the video that they extend
    times: int  # the number of steps

    @property
    def total_usd(self) -> Decimal:
        """The quote of all steps, USD."""
        return self.plan.quote.amount * self.times

    @property
    def total_seconds(self) -> float | None:
        """The length of the extended video; None if unknown."""
        before, step = self.source.seconds, self.plan.model.extend_s
        return None if before is None or step is None else before + step * self.times


def find_source(session: Session, name: str) -> ExtensionSource:
    """Find a video by its file, its job id, or an unambiguous beginning of the id.

    Raises:
        UnknownJobError: No job of this ledger made it, or the file does not exist.
        UnknownProviderError: The provider that made it is not installed.
        UsageError: The file cannot be read.
    """
    path = to_absolute(name)
    # A job id has no suffix, so a name with one is meant as a file.
    if path.suffix and not path.is_file():
        raise UnknownJobError(f"{path}: no such file")
    record = (
        _find_job_of_file(session.ledger, path) if path.is_file() else session.ledger.find_job(name)
    )
    models = session.models(record.provider)
    links = lineage.extension_chain(session.ledger, record)
    model = models.get(record.model)
    return ExtensionSource(
        record=record,
        model=model,
        seconds=_measure_s(record) or _sum_requested_s(links, models),
        times=sum(link.parse_request().extend is not None for link in links),
        expires_at=_find_expiry(session.ledger, record, model),
    )


def plan_extension(
    session: Session,
    source: ExtensionSource,
    request: Request,
    times: int = 1,
    *,
    provider: str | None = None,
) -> Extension:
    """Return what extending a video would send and cost. Nothing is sent, stored or reserved.

    The model is that of the video unless the request names another of the same provider; aspect
    ratio and resolution are those of the video. Each step extends the one before.

    Raises:
        InvalidRequestError: The video cannot be extended like this; the error lists every problem.
        UnknownModelError: The provider has no such model.
    """
    problems: list[Problem] = []
    own_provider = source.record.provider
    name = request.model or source.record.model
    model = session.models(own_provider).get(name)
    complete = replace(request, model=name)
    if model:
        problems += check_extension(source, model, times, time.time(), session.catalogue)
        complete = extension_request(source, request, model)
    if provider not in {None, own_provider}:
        message = f"{own_provider} made the video, and only it can extend it"
        problems.append(Problem("provider", message, (own_provider,)))
    try:
        plan = session.plan(complete, own_provider)
    except InvalidRequestError as error:
        raise InvalidRequestError(
            [*problems, *adapt_problems(source, request, error.problems)]
        ) from None
    problems += adapt_problems(source, request, ())
    if find_errors(problems):
        raise InvalidRequestError(problems)
    return Extension(source, plan, times)


def run_steps(
    session: Session,
    extension: Extension,
    *,
    output: Path | str | None = None,
    force: bool = False,
    max_cost: Decimal | None = None,
    timeout: float | None = None,
) -> Iterator[Job]:
    """Run the steps: return an iterator over jobs, each sent when the one before has its video.

    All steps belong to one run, whose cost ``max_cost`` limits, USD. If a step fails, the videos
    of the steps before it stay, and can be extended.

    ``output`` is the file of the last step. The files of the steps before it are in the same
    folder, with ``.step1``, ``.step2`` in their names, counted from the first video of the chain.
    By default the files are named after prompt and job.

    Raises:
        OutputError: A file exists already or cannot be written. Nothing was sent.
        BudgetError: The cost of all steps together exceeds a limit. Nothing was sent.
        VeoError: While iterating: a step has no video, so there is nothing to extend.
    """
    run, outputs = make_job_id(), _output_paths(output, extension)
    for path in filter(None, outputs):
        download.prepare_output(path, force=force)
    # Each step reserves only its own money, so the sum is checked before the first is sent.
    for cap in session.list_caps(run, max_cost):
        spent = session.ledger.count_spent(cap)
        if spent + to_micros(extension.total_usd) > cap.limit:
            raise over_cap_error(cap, spent, to_micros(extension.total_usd))

    def start_step(plan: Plan, path: Path | None) -> Job:
        provider = extension.source.record.provider
        new = session.prepare_job(plan, provider, run=run, output=path, force=force)
        return session.start_jobs([new], run, max_cost, timeout)[0]

    # The checks above run now; a generator function would run them with the first step.
    return _run_in_order(extension.plan, outputs, start_step)


def _run_in_order(
    plan: Plan, outputs: Sequence[Path | None], start_step: Callable[[Plan, Path | None], Job]
) -> Iterator[Job]:
    for number, path in enumerate(outputs, 1):
        job = start_step(plan, path)
        yield job
        if number < len(outputs):
            video = job.result().record.remote_video()
            plan = replace(plan, request=replace(plan.request, extend=video))


def _output_paths(output: Path | str | None, extension: Extension) -> list[Path | None]:
    if output is None:
        return [None] * extension.times
    last, first = to_absolute(output), extension.source.times + 1
    numbers = range(first, first + extension.times - 1)
    return [*(last.with_name(f"{last.stem}.step{n}{last.suffix}") for n in numbers), last]


def _find_job_of_file(ledger: Ledger, path: Path) -> Record:
    try:
        records = lineage.jobs_by_file(ledger, download.hash_file(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    # Several jobs can have made equal files; only the sidecar tells which of them made this one.
    job = sidecar.read_job_id(path)
    if records:
        return next((record for record in records if record.id == job), records[0])
    raise _unknown_file_error(ledger, path, job)


def _unknown_file_error(ledger: Ledger, path: Path, job: str | None) -> UnknownJobError:
    if job is None:
        return UnknownJobError(
            f"no job of this ledger made {path}",
            hint="Only a video that a provider made can be extended.",
            remedies=[Remedy("list_jobs")],
        )
    if ledger.list_jobs(ids=[job]):
        return UnknownJobError(
            f"{path} has changed since job {job} made it: the provider has the original video",
            hint="Extend the job instead of the file.",
            remedies=[Remedy("extend", job)],
        )
    return UnknownJobError(
        f"{path} was made by job {job}, which this ledger does not know",
        hint="VEO_HOME selects the ledger, and the sandbox has a ledger of its own.",
    )


def _measure_s(record: Record) -> float | None:
    """Return the length of a job's file in seconds; None if the file is missing or changed."""
    path = Path(record.output)
    # A file of another size was replaced, and its length is not that of the provider's video.
    if record.bytes is None or download.size_on_disk(path) != record.bytes:
        return None
    return mp4.read_duration_s(path)


def _sum_requested_s(links: Sequence[Record], models: Mapping[str, Model]) -> int | None:
    lengths = [_requested_s(link, models.get(link.model)) for link in links]
    known = [length for length in lengths if length]
    is_complete = links[-1].parse_request().extend is None and len(known) == len(links)
    return sum(known) if is_complete else None


def _requested_s(record: Record, model: Model | None) -> int | None:
    request = record.parse_request()
    if request.extend:
        return model.extend_s if model else None
    return request.duration or (model.durations[0] if model else None)


def _find_expiry(ledger: Ledger, record: Record, model: Model | None) -> float | None:
    """Return when the provider deletes a video, Unix seconds; None if unknown.

    The retention starts again whenever the video is extended. That is documented for the Gemini
    Developer API only; other providers get the same benefit of the doubt.
    """
    video = record.remote_video()
    if video is None or record.ready_at is None or model is None:
        return None
    uses = [each.submitted_at for each in lineage.extensions_of(ledger, video) if each.task_id]
    first_expiry = video.expires_at or record.ready_at + model.retention_s
    return max([first_expiry, *(at + model.retention_s for at in uses if at)])
