"""Jobs on their way: shown while they run, printed when they are over, safe when interrupted."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

from veo_commands import exit_codes
from veo_commands.format import describe_outcome
from veo_commands.output import out
from veo_commands.progress.view import open_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from veo.client import Client
    from veo.job import Job
    from veo.ledger.record import Record

_TICK_S = 0.1
_MANY_TICK_S = 0.5  # to look at ten thousand jobs takes a while
_FEW = 20
_IN_FLIGHT = ("submitting", "submitted", "running")  # without a task: within the paid call


def follow_jobs(
    client: Client,
    jobs: Sequence[Job],
    *,
    detach: bool = False,
    tell: Callable[[Job], int] | None = None,
) -> int:
    """Wait for jobs, show how they do, and print each as it is over.

    Args:
        client: Works on them; closed early when the command is interrupted.
        jobs: Of this process.
        detach: Wait only until the provider has accepted them.
        tell: Prints a job that is over, and returns its exit code; ``told`` by default.

    Returns:
        The highest exit code of the jobs; 130 after Ctrl-C.
    """
    if not jobs:
        return exit_codes.DONE
    left = {job.id: job for job in jobs}
    exits = [exit_codes.DONE]
    enough: Callable[[Job], bool] = _accepted if detach else _over
    try:
        for job in watch_jobs(jobs, enough):
            del left[job.id]
            exits.append((tell or report_job)(job) if job.done() else _detached(job))
    except KeyboardInterrupt:
        return handle_interrupt(client, list(left.values()))
    return max(exits)


def watch_jobs(jobs: Sequence[Job], enough: Callable[[Job], bool]) -> Iterator[Job]:
    """The jobs in the order in which they have done enough, their progress shown meanwhile.

    While the caller has one in hand the screen is at rest: it may print.
    """
    awake = Event()
    for job in jobs:
        job.add_done_callback(lambda _: awake.set())
    waiting = list(jobs)
    tick = _TICK_S if len(waiting) <= _FEW else _MANY_TICK_S
    with open_view(jobs) as shown:
        while waiting:
            awake.wait(tick)
            awake.clear()
            shown.refresh()
            ready = [job for job in waiting if enough(job)]
            if ready:
                gone = {job.id for job in ready}
                waiting = [job for job in waiting if job.id not in gone]
                with shown.pause():
                    yield from ready


def report_job(job: Job) -> int:
    """Print a job that is over for this process; returns its exit code."""
    record, error = job.record, job.error
    if error:
        out.print_error(error)
    print_job(record, _described(job))
    return exit_code_of(record, error)


def print_job(record: Record, body: dict[str, Any]) -> None:
    """Print a job: the path of a finished video, a line about the rest."""
    done = record.state == "done"
    out.print_result(body, record.output if done else None)
    out.info(describe_outcome(record), dim=True)


def exit_code_of(record: Record, error: Any = None) -> int:
    """The exit code that a job stands for: 0 done, that of its error, else 6: still running."""
    if record.state == "done":
        return exit_codes.DONE
    return error.exit_code if error else exit_codes.STILL_RUNNING


def _described(job: Job) -> dict[str, Any]:
    """The job as JSON, with the error that stopped the work where the job itself has none."""
    from veo.files.sidecar import job_to_json

    body = job_to_json(job.record)
    if job.error and not body["error"] and job.record.state != "done":
        body["error"] = job.error.to_public_json()
    return body


def _over(job: Job) -> bool:
    return job.done()


def _accepted(job: Job) -> bool:
    return job.done() or job.record.task_id is not None


def _detached(job: Job) -> int:
    out.print_result(_described(job), job.id)
    out.info(f"{job.id} accepted as {job.record.task_id}", dim=True)
    out.suggest(f"{out.command('resume', job.id)} fetches the video.")
    return exit_codes.DONE


def handle_interrupt(client: Client, jobs: Sequence[Job]) -> int:
    """Stop, but not in the middle of a payment; say how each job can be carried on."""
    stop_sending(client, jobs)
    for job in jobs:
        out.print_result(_described(job), None)
    for job in jobs[:_FEW]:
        out.notice(describe_outcome(job.record))
    only = jobs[0].id if len(jobs) == 1 else ""
    out.hint(f"{out.command('resume', only)} carries on.")
    return exit_codes.INTERRUPTED


def stop_sending(client: Client, jobs: Sequence[Job]) -> None:
    """Send nothing new, and hear the answers to paid requests under way."""
    paying = sum(job.state in _IN_FLIGHT and job.record.task_id is None for job in jobs)
    try:
        out.notice("interrupted: nothing new is sent", fg="yellow")
        if paying:
            out.notice(f"waiting for the answer to {paying} paid request(s); Ctrl-C leaves at once")
        client.stop()
    except KeyboardInterrupt:
        client.stop(wait=False)
        out.notice("left at once, the answer unheard", fg="yellow")
