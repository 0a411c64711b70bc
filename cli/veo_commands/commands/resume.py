"""``veo resume``: continue unfinished jobs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from veo.errors import UnknownOutcomeError, UsageError, VeoError
from veo_commands.completion import complete_jobs
from veo_commands.confirm import confirm_cost
from veo_commands.format import describe_outcome
from veo_commands.options import ConfigOptions, PayOptions, argument, flag, option, parse_usd
from veo_commands.output import option_group, out
from veo_commands.progress.follow import exit_code_of, follow_jobs, print_job
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.client import Client
    from veo.ledger import Record
    from veo.money import Quote

EXAMPLES = ("veo resume", "veo resume lion.mp4")


@option_group
class ResumeOptions(PayOptions):
    max_cost: Decimal | None = option(
        "With --resubmit: send nothing again that would cost more.", "USD", parser=parse_usd
    )


def resume(
    jobs: list[str] | None = argument(
        "Job ids, unique prefixes, or files; by default all unfinished jobs.",
        "JOB|FILE",
        default=None,
        autocompletion=complete_jobs,
    ),
    resubmit: bool = flag(
        "Send the named jobs again if their outcome is unknown; this may pay twice."
    ),
    task_id: str | None = option(
        "Continue the named job with this task, if its own is unknown or was not found.",
        "ID",
    ),
    url: str | None = option(
        "Download the video of the named job from this address, which its response names.",
        "ADDRESS",
    ),
    *,
    spend: ResumeOptions,
    config: ConfigOptions,
) -> int:
    """Continue unfinished jobs of earlier commands."""
    from veo.continuation.sources import find_job

    names = list(dict.fromkeys(jobs or ()))
    _check_options(names, resubmit=resubmit, task_id=task_id, url=url)
    with open_client(config, spend) as client:
        if task_id:
            client.attach_task(names[0], task_id)
        if url:
            client.attach_url(names[0], url)
        if not names:
            return _resume_all(client)
        records = [find_job(client.ledger, name) for name in names]
        if resubmit:
            confirm_cost(_list_quotes(records), client.config, spend)
        return _resume_named(client, records, resubmit=resubmit)


def _resume_all(client: Client) -> int:
    from veo.ledger import State
    from veo.provider import has_tasks

    unfinished = client.ledger.list_unfinished()  # before resuming, which may end some
    jobs = client.resume()
    resumed = {job.id for job in jobs}
    for record in unfinished:
        if record.id not in resumed:
            out.info(_describe_busy(record))
    unknown = client.ledger.list_jobs(states=[State.UNKNOWN])
    for record in unknown:
        out.info(describe_outcome(record), fg="yellow")
    if unknown:
        name = unknown[0].id if len(unknown) == 1 else "JOB"
        tasks = any(has_tasks(record.provider) for record in unknown)
        for line in out.advice(UnknownOutcomeError(name, has_tasks=tasks)):
            out.info(f"  {line}", dim=True)
    if not jobs and not unknown:
        out.info("There is nothing to resume.")
    return follow_jobs(client, jobs)


def _resume_named(client: Client, records: Sequence[Record], *, resubmit: bool) -> int:
    """Continue some jobs, print those that cannot continue, and return the highest exit code."""
    ready = [record for record in records if _can_resume(record, resubmit=resubmit)]
    codes = [_print_record(record) for record in records if record not in ready]
    jobs = client.resume([record.id for record in ready], resubmit=resubmit) if ready else []
    # A job is not resumed if another process holds its lease.
    resumed = {job.id for job in jobs}
    for record in ready:
        if record.id not in resumed:
            codes.append(_print_record(record))
            out.notice(_describe_busy(record))
    # ``follow_jobs`` returns 0 without jobs, so that ``max`` has an argument.
    return max([*codes, follow_jobs(client, jobs)])


def _list_quotes(records: Sequence[Record]) -> list[Quote]:
    """Return the quotes of the jobs that ``--resubmit`` sends again."""
    return [record.parse_quote() for record in records if record.state == "unknown"]


def _can_resume(record: Record, *, resubmit: bool) -> bool:
    if record.state == "unknown":
        return resubmit
    return not record.has_ended or record.can_reopen


def _print_record(record: Record) -> int:
    from veo.files.sidecar import job_to_json

    body = record.error_json()
    error = VeoError.from_json(body) if body else None
    if error:
        out.print_error(error)
    print_job(record, job_to_json(record))
    return exit_code_of(record, error)


def _describe_busy(record: Record) -> str:
    return f"{record.id} is {record.state}; skipped because another process is working on it"


def _check_options(
    names: Sequence[str], *, resubmit: bool, task_id: str | None, url: str | None
) -> None:
    if resubmit and not names:
        raise UsageError(
            "--resubmit may pay twice, so it requires the names of jobs",
            hint=f"{out.command('jobs', '--state unknown')} lists them.",
        )
    if task_id and url:
        raise UsageError("--task-id and --url cannot be used together")
    name = "--task-id" if task_id else "--url"
    if (task_id or url) and (len(names) != 1 or resubmit):
        raise UsageError(f"{name} requires exactly one job, and cannot be used with --resubmit")
