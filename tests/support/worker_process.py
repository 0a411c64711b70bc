"""Workers in processes of their own, which are taken for dead after a short while."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fork_server import ForkedProcess

from veo.engine import retry_delay
from veo.ledger import postgres
from veo.ledger.postgres import PostgresDatabase
from veo.worker import steps, worker
from veo_commands import main

if TYPE_CHECKING:
    from collections.abc import Sequence

LEASE_S = 2.0


def start_worker(*options: str) -> ForkedProcess:
    """Start ``veo worker`` with the settings of this test."""
    return ForkedProcess(_work, ["worker", *options])


def _work(args: Sequence[str]) -> None:
    PostgresDatabase.lease_s = LEASE_S
    postgres.MAX_IDLE_MS = 1000
    worker.HEARTBEAT_TIMEOUT = timedelta(seconds=LEASE_S)
    steps.BUSY_RETRY_S = 0.5
    retry_delay.RETRY_DELAYS_S = (0.1,)
    main(list(args))
