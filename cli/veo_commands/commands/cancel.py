"""``veo cancel``: cancel jobs that were never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from veo_commands import exit_codes
from veo_commands.completion import complete_jobs
from veo_commands.options import ConfigOptions, argument
from veo_commands.output import out
from veo_commands.session import open_client

if TYPE_CHECKING:
    from veo.ledger import Record

EXAMPLES = ("veo cancel JOB",)


def cancel(
    jobs: list[str] = argument("Job ids or unique prefixes.", "JOB", autocompletion=complete_jobs),
    *,
    config: ConfigOptions,
) -> int:
    """Cancel jobs that were never sent, and release their money."""
    from veo.files.sidecar import job_to_json

    with open_client(config) as client:
        # All names are looked up first, so that a wrong one cancels nothing.
        records = [client.ledger.find_job(name) for name in dict.fromkeys(jobs)]
        cancelled = {record.id: record for record in client.cancel(records)}
    for record in records:
        if record.id in cancelled:
            text = f"{record.id} is cancelled; nothing was charged"
            out.print_result(job_to_json(cancelled[record.id]), text)
        else:
            out.notice(f"cannot cancel {record.id}: {_refusal_reason(record)}")
    return exit_codes.DONE if len(cancelled) == len(records) else exit_codes.USAGE


def _refusal_reason(record: Record) -> str:
    from veo.ledger import State

    if record.has_ended:
        return f"it is {record.state} already"
    if record.doubtful:
        return "its first request may have been charged, and it waits to be sent again"
    if record.state is State.PLANNED:
        return "another process is working on it"
    return f"it is {record.state}: it was sent, and no provider can take a request back"
