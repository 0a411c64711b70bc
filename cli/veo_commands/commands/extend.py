"""``veo extend``: a video continued."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veo_commands import exit_codes
from veo_commands.commands import plan_output as plans
from veo_commands.completion import complete_jobs
from veo_commands.format import describe_outcome, shorten_path
from veo_commands.options import ConfigOptions, RequestOptions, SubmitOptions
from veo_commands.output import out
from veo_commands.progress.follow import follow_jobs, report_job
from veo_commands.session import open_client

if TYPE_CHECKING:
    from collections.abc import Iterable

    from veo.client import Client
    from veo.extend import Extension
    from veo.job import Job
    from veo.ledger import Record


def extend(
    video: Annotated[
        str,
        typer.Argument(
            help="The job that made the video, or the file that it made.",
            metavar="JOB|FILE",
            autocompletion=complete_jobs,
        ),
    ],
    prompt: Annotated[str, typer.Argument(help="What happens next.", metavar="PROMPT")],
    times: Annotated[
        int,
        typer.Option(min=1, help="Continue what comes out, so often.", metavar="NUMBER"),
    ] = 1,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to make; those of earlier steps get .step1, .step2 in their names.",
            metavar="FILE",
            rich_help_panel="Request",
        ),
    ] = None,
    *,
    asked: RequestOptions,
    run: SubmitOptions,
    place: ConfigOptions,
) -> int:
    """Continue a video where it ends, and print the path of the whole.

    Provider, model, aspect ratio and resolution are those of the video.
    """
    from veo import extend as extending

    with open_client(place, run) as client:
        source = extending.find_source(client, video)
        request = asked.build_request(prompt)
        extension = extending.plan_extension(
            client, source, request, times, provider=asked.provider
        )
        if run.dry_run:
            return _rehearse(extension)
        if run.detach:
            _check_detachable(times)
        plans.announce_plan(extension.plan)
        out.info(_outlook(extension), dim=True)
        jobs = extending.run_steps(client, extension, output=output, force=run.force)
        named = f" -o {output}" if output else ""
        return _in_turn(client, extension, jobs, detach=run.detach, named=named)


def _in_turn(
    client: "Client", extension: "Extension", jobs: "Iterable[Job]", *, detach: bool, named: str
) -> int:
    """Follow each step until one has no video; then say how to go on."""
    code, made, left = 0, extension.source.record, extension.times
    try:
        for job in jobs:
            code = follow_jobs(
                client, [job], detach=detach, report=_kept if left > 1 else report_job
            )
            if code == 0 or not job.record.has_ended:
                made, left = job.record, left - 1
            if code:
                break
    finally:
        if 0 < left < extension.times:
            out.hint(_way_on(made, left, named))
    return code


def _kept(job: "Job") -> int:
    """Tell of a step whose video the next one continues; its path is no result yet."""
    from veo.files.sidecar import job_to_json

    if job.record.state != "done":
        return report_job(job)
    out.print_result(job_to_json(job.record), None)
    out.info(f"{describe_outcome(job.record)}: {shorten_path(job.record.output)}", dim=True)
    return exit_codes.DONE


def _way_on(record: "Record", left: int, named: str) -> str:
    steps = f"--times {left}" if left > 1 else ""
    when = "from there" if record.state == "done" else "once that job has its video"
    return f"{out.command('extend', record.id, 'PROMPT', steps, named.strip())} goes on {when}."


def _check_detachable(times: int) -> None:
    from veo.errors import UsageError

    if times > 1:
        raise UsageError(
            "--detach: every step needs the video of the one before, so that nobody may leave",
            hint="Without --times it can be left after the first.",
        )


def _rehearse(extension: "Extension") -> int:
    """``--dry-run``: print the plan of all steps, send nothing."""
    plan, source = extension.plan, extension.source
    for warning in plan.warnings:
        out.warn(warning)
    steps = {
        "job": source.record.id,
        "times": extension.times,
        "seconds": {"before": source.seconds, "after": extension.total_seconds},
        "total": str(extension.total_usd),
    }
    facts = [*plans.plan_fields(plan), ("steps", _outlook(extension)), plans.NOTHING_SENT]
    out.print_result({**plans.plan_to_json(plan), "extension": steps}, out.key_values(facts))
    return exit_codes.DONE


def _outlook(extension: "Extension") -> str:
    """What all steps come to: ``8.0 s become 22.0 s in 2 steps, $1.40 in all``."""
    from veo.money import format_amount

    before, after = extension.source.seconds, extension.total_seconds
    grown = f"{before:.1f} s become {after:.1f} s" if before and after else "the video grows"
    times = "1 step" if extension.times == 1 else f"{extension.times} steps"
    return f"{grown} in {times}, {format_amount(extension.total_usd)} in all"
