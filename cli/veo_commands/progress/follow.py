"""Wait for jobs: show their progress, print their results, and stop safely on Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Event
from typing import TYPE_CHECKING, Any

from veo.errors import VeoError
from veo_commands import exit_codes
from veo_commands.format import clip_differences, describe_outcome
from veo_commands.output import out
from veo_commands.progress.view import LogView, QuietView

if TYPE_CHECKING:
    from veo.client import Client
    from veo.job import Job
    from veo.ledger.record import Record
    from veo_commands.progress.live import LiveView

_TICK_S = 0.1
_TICK_OF_MANY_S = 0.5  # reading the state of ten thousand jobs takes a while
_MANY = 20
# Without a task id these states mean that the paid request has no response yet.
_REQUEST_STATES = ("submitting", "submitted", "running")


def report_job(job: Job) -> int:
    """Print a job that has ended for this process, and return its exit code."""
    record, error = job.record, job.error
    if error:
        out.print_error(error)
    print_job(record, _job_json(job))
    return exit_code_of(record, error)


def follow_jobs(
    client: Client,
    jobs: Sequence[Job],
    *,
    detach: bool = False,
    report: Callable[[Job], int] = report_job,
) -> int:
    """Wait for jobs, show their progress, and print each one when it ends.

    With ``detach``, wait only until the provider has accepted them. Return the highest exit code
    that ``report`` returned, or 130 after Ctrl-C.
    """
    announce_workers(client)
    remaining = {job.id: job for job in jobs}  # for Ctrl-C
    codes = [exit_codes.DONE]
    try:
        for job in watch_jobs(client, jobs, _is_accepted if detach else lambda job: job.done()):
            del remaining[job.id]
            codes.append(report(job) if job.done() else _report_accepted(job))
    except KeyboardInterrupt:
        return handle_interrupt(client, list(remaining.values()))
    return max(codes)


def announce_workers(client: Client) -> None:
    """Say so if nobody works on the jobs of a ledger on Postgres."""
    if client.has_workers:
        from veo.ledger.queue import list_workers

        if not list_workers(client.ledger):
            out.notice("no worker is running: start one with `veo worker`", fg="yellow")


def watch_jobs(
    client: Client, jobs: Sequence[Job], is_ready: Callable[[Job], bool]
) -> Iterator[Job]:
    """Show progress, and yield each job as soon as it is ready.

    The view is paused while the caller handles a job, so that it can print.
    """
    if not jobs:
        return
    wake_up = Event()
    for job in jobs:
        job.add_done_callback(lambda _: wake_up.set())
    waiting = list(jobs)
    tick = _TICK_S if len(waiting) <= _MANY else _TICK_OF_MANY_S
    with _open_view(client, jobs) as view:
        while waiting:
            wake_up.wait(tick)
            wake_up.clear()
            view.refresh()
            # A callback only wakes this thread; acceptance has none, so every job is checked.
            ready = {job.id: job for job in waiting if is_ready(job)}
            if ready:
                waiting = [job for job in waiting if job.id not in ready]
                with view.pause():
                    yield from ready.values()


def _open_view(client: Client, jobs: Sequence[Job]) -> AbstractContextManager[QuietView | LiveView]:
    if out.options.quiet:
        return nullcontext(QuietView())
    if not out.can_redraw:
        return nullcontext(LogView(jobs, client))
    from veo_commands.progress.live import LiveView

    return LiveView(jobs, client)


def print_job(record: Record, body: dict[str, Any]) -> None:
    """Print the file of a finished job on stdout, and a line about any job on stderr."""
    out.print_result(body, record.output if record.state == "done" else None)
    out.info(describe_outcome(record), dim=True)
    for difference in clip_differences(record):
        out.warn(difference)


def exit_code_of(record: Record, error: VeoError | None = None) -> int:
    """Return 0 for a finished job, else the exit code of its error, else 6 (still running)."""
    if record.state == "done":
        return exit_codes.DONE
    return error.exit_code if error else exit_codes.STILL_RUNNING


def handle_interrupt(client: Client, jobs: Sequence[Job]) -> int:
    is_answered = stop_sending(client, jobs)
    for job in jobs:
        out.print_result(_job_json(job), None)
    for job in jobs[:_MANY]:  # more lines would hide the hint
        out.notice(describe_outcome(job.record))
    job_id = jobs[0].id if len(jobs) == 1 else ""
    if is_answered:
        out.hint(f"{out.command('resume', job_id)} continues.")
    else:
        out.hint("The outcome of a request without a response is unknown; it may have been paid.")
        out.hint(f"{out.command('resume', job_id)} shows what you can do about each job.")
    return exit_codes.INTERRUPTED


def stop_sending(client: Client, jobs: Sequence[Job]) -> bool:
    """Send no new requests, and wait for the responses to paid requests.

    A job whose response is not read is ``unknown``; another Ctrl-C accepts that. Return whether
    every paid request has its response.
    """
    pending = sum(job.state in _REQUEST_STATES and job.record.task_id is None for job in jobs)
    try:
        out.notice("interrupted: no new requests are sent", fg="yellow")
        if pending:
            requests = f"{pending} paid request{'s' if pending > 1 else ''}"
            out.notice(f"waiting for the response to {requests}; Ctrl-C again does not wait")
        client.stop()
    except KeyboardInterrupt:
        client.stop(wait=False)
        out.notice("stopped without waiting for responses", fg="yellow")
        return not pending
    return True


def _job_json(job: Job) -> dict[str, Any]:
    """Return the job as JSON, with the error of this process if the job itself has none."""
    from veo.files.sidecar import job_to_json

    body = job_to_json(job.record)
    if job.error and not body["error"] and job.record.state != "done":
        body["error"] = job.error.to_public_json()
    return body


def _is_accepted(job: Job) -> bool:
    return job.done() or job.is_accepted


def _report_accepted(job: Job) -> int:
    out.print_result(_job_json(job), job.id)
    task = job.record.task_id
    out.info(f"{job.id} {f'accepted as {task}' if task else 'waits for a worker'}", dim=True)
    effect = "downloads" if task else "waits for"
    out.info(f"  {out.command('resume', job.id)} {effect} the video.", dim=True)
    return exit_codes.DONE
