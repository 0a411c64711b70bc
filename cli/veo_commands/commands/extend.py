"""``veo extend``: continue a video."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from veo.errors import UsageError
from veo.money import format_quotes
from veo_commands import exit_codes
from veo_commands.commands.plan_output import announce_plan, print_plan_result, upload_rows
from veo_commands.completion import complete_jobs
from veo_commands.confirm import confirm_cost
from veo_commands.format import describe_outcome, shorten_path
from veo_commands.options import (
    ConfigOptions,
    ExtendOptions,
    SubmitOptions,
    argument,
    option,
    output_option,
)
from veo_commands.output import out
from veo_commands.progress.follow import follow_jobs, report_job
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.client import Client
    from veo.continuation.extend import Extension
    from veo.job import Job
    from veo.ledger import Record

EXAMPLES = ('veo extend vertex.mp4 "then it roars" --times 2 -o longer.mp4',)


def extend(
    video: str = argument(
        "Video to continue: a job, or an MP4 file.", "JOB|FILE", autocompletion=complete_jobs
    ),
    prompt: str = argument("Description of what happens next; - reads it from stdin.", "PROMPT"),
    times: int = option("Number of extensions in a row.", "NUMBER", default=1, min=1),
    output: str | None = output_option(
        "File to write; earlier extensions add .step1, .step2 to its name."
    ),
    *,
    request_options: ExtendOptions,
    submit: SubmitOptions,
    config: ConfigOptions,
) -> int:
    """Continue a video where it ends, and print the path.

    Provider, model and aspect ratio are those of the video. Some models also take a file that no
    job made.
    """
    from veo.continuation.extend import plan_extension, run_steps
    from veo.continuation.sources import find_source

    with open_client(config, submit) as client:
        source, request = find_source(client, video), request_options.build_request(prompt)
        provider = request_options.provider
        extension = plan_extension(client, source, request, times, provider=provider)
        if submit.dry_run:
            return _print_extension(extension)
        if submit.detach and times > 1:
            raise UsageError(
                "--detach cannot be used with --times: each extension needs the video before it",
                hint="Use --detach without --times, or wait.",
            )
        announce_plan(extension.plan)
        out.info(_summarize(extension), dim=True)
        confirm_cost(extension.quotes, client.config, submit)
        jobs = run_steps(client, extension, output=output, force=submit.force)
        return _follow_steps(client, extension, jobs, output, detach=submit.detach)


def _follow_steps(
    client: Client, extension: Extension, jobs: Iterable[Job], output: str | None, *, detach: bool
) -> int:
    """Follow one step after the other until one fails; then say how to continue."""
    code, remaining = exit_codes.DONE, extension.times
    latest: Record | None = None
    try:
        for number, job in enumerate(jobs, 1):
            if extension.times > 1:
                out.info(f"step {number} of {extension.times}", dim=True)
            report = _report_step if remaining > 1 else report_job
            code = follow_jobs(client, [job], detach=detach, report=report)
            # A step that still runs counts as made: to send it again would pay twice.
            if code == exit_codes.DONE or not job.record.has_ended:
                latest, remaining = job.record, remaining - 1
            if code:
                break
    finally:
        if latest and remaining:
            out.hint(_continuation_hint(latest, remaining, output))
    return code


def _report_step(job: Job) -> int:
    """Report a step that another one continues: its file is not the result."""
    from veo.files.sidecar import job_to_json

    if job.record.state != "done":
        return report_job(job)
    out.print_result(job_to_json(job.record), None)
    out.info(f"{describe_outcome(job.record)}: {shorten_path(job.record.output)}", dim=True)
    return exit_codes.DONE


def _continuation_hint(record: Record, remaining: int, output: str | None) -> str:
    times = f"--times {remaining}" if remaining > 1 else ""
    command = out.command("extend", record.id, "PROMPT", times, f"-o {output}" if output else "")
    when = "from there" if record.state == "done" else "once that job has its video"
    return f"{command} continues {when}."


def _print_extension(extension: Extension) -> int:
    source = extension.source
    body = {
        "job": source.record.id if source.record else None,
        "times": extension.times,
        "seconds": {"before": source.seconds, "after": extension.total_seconds},
        "total": str(extension.total_usd),
    }
    rows = [*upload_rows(extension.plan), ("steps", _summarize(extension))]
    return print_plan_result(extension.plan, rows, {"extension": body})


def _summarize(extension: Extension) -> str:
    """Return a text like ``8.0 s become 22.0 s in 2 steps, $1.40 in total``."""
    before, after = extension.source.seconds, extension.total_seconds
    growth = f"{before:.1f} s become {after:.1f} s" if before and after else "the video grows"
    steps = "1 step" if extension.times == 1 else f"{extension.times} steps"
    return f"{growth} in {steps}, {format_quotes(extension.quotes)} in total"
