"""``veo resume``: carry on with what an earlier command left behind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from veo_commands.completion import complete_jobs
from veo_commands.format import describe_outcome
from veo_commands.options import ConfigOptions, WaitOptions
from veo_commands.output import out
from veo_commands.progress.follow import exit_code_of, follow_jobs, print_job
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.client import Client
    from veo.ledger import Record


def resume(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Ids, or beginnings of them; all that can be carried on when none is named.",
            metavar="[JOB]...",
            autocompletion=complete_jobs,
        ),
    ] = None,
    resubmit: Annotated[
        bool,
        typer.Option(
            "--resubmit", help="Send named jobs of unknown outcome again; this may pay twice."
        ),
    ] = False,
    task_id: Annotated[
        str | None,
        typer.Option(help="The task that a job of unknown outcome turned out to be.", metavar="ID"),
    ] = None,
    *,
    wait: WaitOptions,
    place: ConfigOptions,
) -> int:
    """Carry on with jobs that an earlier command left behind."""
    names = list(dict.fromkeys(jobs or ()))
    _check(names, resubmit=resubmit, task_id=task_id)
    with open_client(place, wait) as client:
        if task_id:
            client.adopt(names[0], task_id)
        if names:
            return _named(
                client, [client.ledger.find_job(name) for name in names], resubmit=resubmit
            )
        return _all(client)


def _all(client: "Client") -> int:
    """Carry on with all that can be, and tell what else there is."""
    from veo.ledger import State

    unfinished = client.ledger.list_unfinished()
    jobs = client.resume()
    mine = {job.id for job in jobs}
    for record in unfinished:
        if record.id not in mine:
            out.info(_busy(record))
    _undecided(client.ledger.list_jobs(states=[State.UNKNOWN]))
    if not jobs:
        out.info("There is nothing to resume.")
    return follow_jobs(client, jobs)


def _named(client: "Client", records: "Sequence[Record]", *, resubmit: bool) -> int:
    """Carry on with these, and tell how the others stand; returns the highest exit code."""
    ready = [record for record in records if _movable(record, resubmit=resubmit)]
    codes = [_standing(record) for record in records if record not in ready]
    jobs = client.resume([record.id for record in ready], resubmit=resubmit) if ready else []
    mine = {job.id for job in jobs}
    for record in ready:
        if record.id not in mine:
            codes.append(_standing(record))
            out.notice(_busy(record))
    return max([*codes, follow_jobs(client, jobs)])


def _movable(record: "Record", *, resubmit: bool) -> bool:
    return not record.has_ended and (resubmit or record.state != "unknown")


def _standing(record: "Record") -> int:
    """Print a job that is not carried on with; returns its exit code."""
    from veo.errors import VeoError
    from veo.files.sidecar import job_to_json

    failure = record.error_json()
    error = VeoError.from_json(failure) if failure else None
    if error:
        out.print_error(error)
    print_job(record, job_to_json(record))
    return exit_code_of(record, error)


def _busy(record: "Record") -> str:
    return f"{record.id} is {record.state}: another process works on it, it is left alone"


def _undecided(records: "Sequence[Record]") -> None:
    """Tell of jobs of unknown outcome, and what can be done about them."""
    from veo.errors import UnknownOutcomeError

    for record in records:
        out.info(describe_outcome(record), fg="yellow")
    if records:
        for line in out.advice(UnknownOutcomeError(records[0].id if len(records) == 1 else "JOB")):
            out.suggest(line)


def _check(names: Sequence[str], *, resubmit: bool, task_id: str | None) -> None:
    from veo.errors import UsageError

    if resubmit and not names:
        raise UsageError(
            "--resubmit may pay twice, so it wants the jobs named",
            hint=f"{out.command('jobs', '--state unknown')} lists them.",
        )
    if task_id and (len(names) != 1 or resubmit):
        raise UsageError("--task-id belongs to one job, and is no --resubmit")
