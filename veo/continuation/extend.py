"""Extending videos: check and plan the extension, run its steps in order.

A provider returns one merged file, so the file of the last step contains all steps before it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from veo.continuation.sources import plan_with_video
from veo.errors import OutputError
from veo.files.output import choose_output, is_taken, prepare_output
from veo.ledger.reserve import make_job_id
from veo.money import Quote, Usd, sum_amounts, to_micros
from veo.paths import to_absolute
from veo.planning.extension import ExtensionTask
from veo.planning.plan import Plan, make_slug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from decimal import Decimal
    from pathlib import Path

    from veo.job import Job
    from veo.planning.source import VideoSource
    from veo.request import Request
    from veo.session import Session


@dataclass(frozen=True, slots=True)
class Extension:
    source: VideoSource
    plan: Plan  # of the first step; the others differ only in the video that they extend
    times: int  # the number of steps

    @property
    def quotes(self) -> list[Quote]:
        """The quotes of all steps."""
        return [self.plan.quote] * self.times

    @property
    def total_usd(self) -> Decimal:
        """The sum of the quotes, USD."""
        return sum_amounts(self.quotes)

    @property
    def total_seconds(self) -> float | None:
        """The length of the extended video; None if unknown."""
        before = self.source.seconds
        step = self.plan.model.added_seconds(self.plan.request.duration)
        return None if before is None or step is None else before + step * self.times


def plan_extension(
    session: Session,
    source: VideoSource,
    request: Request,
    times: int = 1,
    *,
    provider: str | None = None,
) -> Extension:
    """Return what extending a video would send and cost. Nothing is sent, stored or reserved.

    ``plan_with_video`` says which provider and model it is for. The aspect ratio is that of the
    video, and so is the resolution unless the model can change it. Each step extends the one
    before.

    Raises:
        InvalidRequestError: The video cannot be extended like this; the error lists every problem.
        UnknownModelError: The provider has no such model.
    """
    task = ExtensionTask(source, request, time.time(), times)
    return Extension(source, plan_with_video(session, task, provider), times)


def run_steps(
    session: Session,
    extension: Extension,
    *,
    output: Path | str | None = None,
    force: bool = False,
    max_cost: Usd | None = None,
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
    run = make_job_id()
    if output is not None:
        name = f"{make_slug(extension.plan.request.prompt)}-{run}.mp4"
        output = choose_output(output, session.config.output_dir, name)
    outputs = _output_paths(output, extension)
    for path in filter(None, outputs):
        try:
            prepare_output(path, force=force)
        except OutputError as refusal:
            if path != outputs[-1] and is_taken(path):  # the run that made it may have been killed
                refusal.add_hint("To pay only for the steps after it, extend that file.")
            raise
    # Each step reserves only its own money, so the sum is checked before the first is sent.
    if error := session.budget_error(run, to_micros(extension.total_usd), max_cost):
        raise error

    def start_step(plan: Plan, path: Path | None) -> Job:
        new = session.prepare_job(plan, run=run, output=path, force=force)
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
            record = job.result().record
            video = record.remote_video()
            if video:
                video = replace(video, seconds=record.video_s)
            plan = replace(plan, request=replace(plan.request, extend=video), parent=job.id)


def _output_paths(output: Path | str | None, extension: Extension) -> list[Path | None]:
    if output is None:
        return [None] * extension.times
    last, first = to_absolute(output), extension.source.times + 1
    numbers = range(first, first + extension.times - 1)
    return [*(last.with_name(f"{last.stem}.step{n}{last.suffix}") for n in numbers), last]
