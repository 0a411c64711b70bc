"""Videos continued: found by job or file, checked, and then one step after the other.

A provider continues only its own video, which it still has to hold. It gives back one merged
file, so that the file of the last of several steps holds everything before it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from veo.errors import InvalidRequestError, UnknownJobError, UsageError
from veo.files import mp4, sidecar
from veo.files import output as download
from veo.ledger import lineage
from veo.ledger.budget import over_cap_error
from veo.ledger.reserve import make_job_id
from veo.money import to_micros
from veo.paths import to_absolute
from veo.planning.check import errors
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
    from veo.ledger import Ledger, Record
    from veo.model import Model
    from veo.planning.plan import Plan
    from veo.request import Request
    from veo.session import Session


@dataclass(frozen=True, slots=True)
class Extension:
    """What would be sent, and what it would cost.

    Attributes:
        source: The video that is continued.
        plan: The first step; the others differ only in the video that they continue.
        times: How many steps.
    """

    source: ExtensionSource
    plan: Plan
    times: int

    @property
    def total_usd(self) -> Decimal:
        """USD for all steps."""
        return self.plan.quote.amount * self.times

    @property
    def total_seconds(self) -> float | None:
        """How long the video will be in the end; None where nobody can tell."""
        before, step = self.source.seconds, self.plan.model.extend_s
        return None if before is None or step is None else before + step * self.times


def find_source(client: Session, name: str) -> ExtensionSource:
    """The video of a job, or the one in a file that a job made.

    Args:
        client: Whose ledger is asked.
        name: A path, or the id of a job or an unambiguous beginning of one.

    Raises:
        UnknownJobError: No job of this ledger made it, or there is no such file.
        UnknownProviderError: The provider that made it is not installed.
        UsageError: The file cannot be read.
    """
    path = to_absolute(name)
    if path.suffix and not path.is_file():
        raise UnknownJobError(f"{path}: there is no such file")
    record = (
        _find_job_of_file(client.ledger, path) if path.is_file() else client.ledger.find_job(name)
    )
    models = client.models(record.provider)
    links = lineage.extension_chain(client.ledger, record)
    model = models.get(record.model)
    return ExtensionSource(
        record=record,
        model=model,
        seconds=_measure_s(record) or _sum_requested_s(links, models),
        times=sum(link.parse_request().extend is not None for link in links),
        expires_at=_find_expiry(client.ledger, record, model),
    )


def plan_extension(
    client: Session,
    source: ExtensionSource,
    request: Request,
    times: int = 1,
    *,
    provider: str | None = None,
) -> Extension:
    """What continuing a video would send and cost; nothing is sent, kept or reserved.

    Args:
        client: Whose models and prices count.
        source: The video.
        request: What comes next. Its model is that of the video unless it names another of the
            same provider; its aspect ratio and resolution are the video's.
        times: How many steps, each of which continues the one before.
        provider: Who is expected to do it; only the video's own provider can.

    Raises:
        InvalidRequestError: With every problem of the request and of the video.
        UnknownModelError: The provider has no such model.
    """
    problems: list[Problem] = []
    home = source.record.provider
    name = request.model or source.record.model
    model = client.models(home).get(name)
    wanted = replace(request, model=name)
    if model:
        problems += check_extension(source, model, times, time.time(), client.catalogue)
        wanted = extension_request(source, request, model)
    if provider not in {None, home}:
        says = f"{home} made the video, and nobody else can continue it"
        problems.append(Problem("provider", says, (home,)))
    try:
        planned = client.plan(wanted, home)
    except InvalidRequestError as error:
        found: Sequence[Problem] = error.problems
    else:
        found = ()
    problems += adapt_problems(source, request, found)
    if errors(problems):
        raise InvalidRequestError(problems)
    return Extension(source, planned, times)


def run_steps(
    client: Session,
    extension: Extension,
    *,
    output: Path | str | None = None,
    force: bool = False,
    max_cost: Decimal | None = None,
    timeout: float | None = None,
) -> Iterator[Job]:
    """The jobs that continue a video, each sent once the one before has its video on disk.

    All steps count as one run against a cap. What a step has made stays when a later one fails:
    its file is whole, and its job can be continued.

    Args:
        client: Works on them.
        extension: What ``plan`` gave.
        output: The file of the last step. Those of the steps before it lie beside it, with
            ``.step1``, ``.step2`` in their names, counted from the video that was continued
            first. Named after prompt and job by default.
        force: Replace existing files.
        max_cost: USD that all steps together may cost at most.
        timeout: Seconds to wait for each step.

    Raises:
        OutputError: A file is in the way, or cannot be written; nothing was sent.
        BudgetError: All steps together do not fit under a cap; nothing was sent.
        VeoError: While iterating: a step has no video, so that there is nothing to continue.
    """
    run, places = make_job_id(), _output_paths(output, extension)
    for place in filter(None, places):
        download.prepare_output(place, force=force)
    for cap in client.list_caps(run, max_cost):
        spent = client.ledger.count_spent(cap)
        if spent + to_micros(extension.total_usd) > cap.limit:
            raise over_cap_error(cap, spent, to_micros(extension.total_usd))

    def begin(planned: Plan, place: Path | None) -> Job:
        home = extension.source.record.provider
        new = client.prepare_job(planned, home, run=run, output=place, force=force)
        return client.start_jobs([new], run, max_cost, timeout)[0]

    return _run_in_order(extension.plan, places, begin)


def _run_in_order(
    planned: Plan, places: Sequence[Path | None], begin: Callable[[Plan, Path | None], Job]
) -> Iterator[Job]:
    for number, place in enumerate(places, 1):
        job = begin(planned, place)
        yield job
        if number < len(places):
            made = job.result().record.remote_video()
            planned = replace(planned, request=replace(planned.request, extend=made))


def _output_paths(output: Path | str | None, extension: Extension) -> list[Path | None]:
    """The files of the steps; None for a name of its own."""
    if output is None:
        return [None] * extension.times
    last, first = to_absolute(output), extension.source.times + 1
    numbers = range(first, first + extension.times - 1)
    return [*(last.with_name(f"{last.stem}.step{n}{last.suffix}") for n in numbers), last]


def _find_job_of_file(ledger: Ledger, path: Path) -> Record:
    """The job that made a file: the one named beside it, else the newest of that content."""
    try:
        made = lineage.jobs_by_file(ledger, download.hash_file(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    named = sidecar.read_job_id(path)
    if made:
        return next((record for record in made if record.id == named), made[0])
    raise _unknown_file_error(ledger, path, named)


def _unknown_file_error(ledger: Ledger, path: Path, named: str | None) -> UnknownJobError:
    if named is None:
        return UnknownJobError(
            f"no job of this ledger made {path}",
            hint="Only a video that a provider made can be extended.",
            remedies=[Remedy("list_jobs")],
        )
    if ledger.list_jobs(ids=[named]):
        return UnknownJobError(
            f"{path} has changed since job {named} made it: the provider has another video",
            hint="Extend the job instead of the file.",
            remedies=[Remedy("extend", named)],
        )
    return UnknownJobError(
        f"{path} was made by job {named}, which this ledger does not know",
        hint="VEO_HOME selects the ledger, and the sandbox has a ledger of its own.",
    )


def _measure_s(record: Record) -> float | None:
    """The length of a job's own file, seconds; None if it is not there or another one is."""
    path = Path(record.output)
    if record.bytes is None or download.size_on_disk(path) != record.bytes:
        return None
    return mp4.read_duration_s(path)


def _sum_requested_s(links: Sequence[Record], models: Mapping[str, Model]) -> int | None:
    """The length that a chain of jobs was asked for, seconds; None where a link is not known."""
    lengths = [_requested_s(link, models.get(link.model)) for link in links]
    known = [length for length in lengths if length]
    whole = links[-1].parse_request().extend is None and len(known) == len(links)
    return sum(known) if whole else None


def _requested_s(record: Record, model: Model | None) -> int | None:
    said = record.parse_request()
    if said.extend:
        return model.extend_s if model else None
    return said.duration or (model.durations[0] if model else None)


def _find_expiry(ledger: Ledger, record: Record, model: Model | None) -> float | None:
    """When the provider deletes a video: its days begin anew whenever it is continued.

    Documented for the Gemini Developer API; of other providers the milder reading.
    """
    video = record.remote_video()
    if video is None or record.ready_at is None or model is None:
        return None
    used = [again.submitted_at for again in lineage.extensions_of(ledger, video) if again.task_id]
    told = video.expires_at or record.ready_at + model.retention_s
    return max([told, *(at + model.retention_s for at in used if at)])
