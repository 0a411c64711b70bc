"""``veo workers``: who works on the jobs of a ledger on Postgres."""

from __future__ import annotations

from veo.errors import UsageError
from veo_commands import exit_codes
from veo_commands.options import ConfigOptions
from veo_commands.output import out
from veo_commands.session import open_ledger

EXAMPLES = ("veo workers",)

_TITLES = ("WORKER", "HOST", "PID", "SEEN", "STEPS", "SENDING")


def workers(*, config: ConfigOptions) -> int:
    """Show the workers of a ledger on Postgres, and the backlog."""
    from veo.worker.status import read_status

    with open_ledger(config) as (settings, ledger):
        if settings.ledger is None:
            raise UsageError(
                "the ledger is a file, and every command works on its own jobs",
                hint='Workers need ledger = "postgresql://..." or VEO_LEDGER.',
            )
        status = read_status(ledger)
    for each in status.workers:
        out.print_result(each.to_json(), None)
    out.print_result({"backlog": status.backlog_json()}, None)
    if not out.options.json:
        out.print_table(
            _TITLES,
            [
                [each.id, each.host, each.pid, f"{each.age_s:.0f} s ago", each.steps, each.sending]
                for each in status.workers
            ],
        )
        out.info(
            f"{status.planned} planned, {status.in_flight} in flight, {status.made} to download, "
            f"{status.parked} parked; the oldest due step is {status.late_s:.1f} s late"
        )
    if not status.workers:
        out.notice("no worker is running: start one with `veo worker`", fg="yellow")
    return exit_codes.DONE
