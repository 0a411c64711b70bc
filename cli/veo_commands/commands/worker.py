"""``veo worker``: work on the jobs of a ledger on Postgres."""

from __future__ import annotations

import math
import time

from veo.errors import UsageError
from veo_commands import exit_codes
from veo_commands.options import ConfigOptions, flag, option, parse_seconds
from veo_commands.output import out
from veo_commands.session import load_config, open_client

EXAMPLES = ("veo worker",)


def worker(
    slots: int = option(
        "Steps (requests, polls, downloads) at the same time; a waiting job takes none.",
        "NUMBER",
        default=16,
        min=1,
        max=1000,
    ),
    until_idle: bool = flag("Exit when no job is left."),
    grace: float | None = option(
        "Time to wait for responses to paid requests when stopped (default 3 s).",
        "TIME",
        parser=parse_seconds,
    ),
    metrics: int | None = option(
        "Serve metrics for Prometheus on this port of 127.0.0.1.", "PORT", min=0, max=65535
    ),
    *,
    config: ConfigOptions,
) -> int:
    """Work on the jobs of a ledger on Postgres, beside other workers."""
    if config.sandbox:
        raise UsageError(
            "--sandbox cannot be used: the sandbox's ledger is a file, which needs no worker",
            hint="Run it without --sandbox and VEO_SANDBOX.",
        )
    from veo.ledger.postgres import PostgresDatabase
    from veo.worker.metrics import serve_metrics
    from veo.worker.worker import STOP_GRACE_S, Worker, run_until_stopped

    if url := load_config(config).config.ledger:
        # A machine may start before its database: other commands give up after a while.
        PostgresDatabase(url, patience_s=math.inf).close()
    with open_client(config) as client:
        running = Worker(client, slots, until_idle=until_idle, grace_s=grace or STOP_GRACE_S)
        out.notice(f"worker {running.lease.id} on {client.config.ledger}, {slots} slots")
        began = time.monotonic()
        with serve_metrics(running, client.ledger, metrics):
            run_until_stopped(running)
        seconds = time.monotonic() - began
        out.notice(f"worker stopped after {running.stats.steps} steps in {seconds:.0f} s")
    return exit_codes.DONE
