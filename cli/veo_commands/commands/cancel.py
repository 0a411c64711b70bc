"""``veo cancel``: give up jobs that were never sent."""

from typing import TYPE_CHECKING, Annotated

import typer

from veo_commands import exit_codes
from veo_commands.completion import complete_jobs
from veo_commands.options import ConfigOptions
from veo_commands.output import out
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.ledger import Record


def cancel(
    jobs: Annotated[
        list[str],
        typer.Argument(
            help="Ids, or beginnings of them.", metavar="JOB...", autocompletion=complete_jobs
        ),
    ],
    *,
    place: ConfigOptions,
) -> int:
    """Give up jobs that were never sent, and free the money held for them."""
    from veo.files.sidecar import job_to_json

    with open_client(place) as client:
        records = [client.ledger.find_job(name) for name in dict.fromkeys(jobs)]
        given_up = {record.id: record for record in client.cancel(records)}
    for record in records:
        if record.id in given_up:
            out.print_result(
                job_to_json(given_up[record.id]), f"{record.id} is given up, nothing was paid"
            )
        else:
            out.notice(_why_not(record))
    return exit_codes.DONE if len(given_up) == len(records) else exit_codes.USAGE


def _why_not(record: "Record") -> str:
    from veo.ledger import State

    if record.has_ended:
        return f"{record.id} is {record.state} already"
    if record.doubtful:
        return f"{record.id} waits to be sent again: its first send may have been paid for"
    if record.state is State.PLANNED:
        return f"{record.id} is in the hands of another process"
    return f"{record.id} is {record.state}: it was sent, and no provider here takes that back"
