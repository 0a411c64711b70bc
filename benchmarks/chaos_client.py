"""The command line with short pauses, and with what the chaos run makes go wrong inside it.

The environment says what: ``CHAOS_PROVIDER`` is the provider of the round; ``CHAOS_DISK=N`` fills
the disk under the ledger after the N-th paid request, for this process; ``CHAOS_CLOCK=S`` sets the
wall clock by so many seconds after a second.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import veo_gemini.error_table
import veo_laozhang.error_table
import veo_laozhang.files
import veo_laozhang.sync_route
from veo.engine import poll, response_wait, retry_delay
from veo.ledger import Ledger
from veo_commands import main

if TYPE_CHECKING:
    from collections.abc import Sequence

_real_time = time.time


def shorten_pauses() -> None:
    """Have a run take minutes in place of hours: pauses after errors are a hundredth."""
    retry_delay.RETRY_DELAYS_S = (0.02, 0.05, 0.1, 0.2)
    poll.SETTLE_RETRY_S = 0.05
    response_wait.GRACE_S = 2.0
    veo_laozhang.files.NOT_READY_S = 0.05
    veo_laozhang.sync_route.MAX_SILENCE_S = 3.0
    for table in (veo_laozhang.error_table, veo_gemini.error_table):
        table.ERROR_RULES = tuple(
            replace(rule, retry_after=rule.retry_after and 0.1) for rule in table.ERROR_RULES
        )


def shorten_timeouts_of_google() -> None:
    """Give up after 3 s what is given up after a minute or three; LaoZhang has options for it."""
    from veo.http import ApiClient
    from veo_gemini import sdk_client
    from veo_gemini.interactions import wire

    ApiClient.__init__.__kwdefaults__.update(connect_s=3.0, read_s=3.0)
    wire.SUBMIT_S = 3.0
    sdk_client.POLL_MS = sdk_client.SUBMIT_MS = 3_000


def set_clock(shift: float) -> None:
    """Set the wall clock of this process after a second."""
    start = time.monotonic() + 1.0

    def read_clock() -> float:
        return _real_time() + (shift if time.monotonic() > start else 0.0)

    time.time = read_clock


def fill_disk(after: int) -> None:
    """Let the ledger not grow any more after so many paid requests."""
    begin, numbers = Ledger.begin_submit, count(1)

    def begin_submit(self: Ledger, *args: Any, **options: Any) -> Any:
        result = begin(self, *args, **options)
        if next(numbers) == after:
            driver = self.database._driver  # type: ignore[union-attr]  # noqa: SLF001 - a full disk
            driver.execute("PRAGMA max_page_count = 1")
        return result

    Ledger.begin_submit = begin_submit  # type: ignore[method-assign]


def run_client(args: Sequence[str] | None = None) -> None:
    """Run a command, by default that of this process."""
    shorten_pauses()
    if os.environ["CHAOS_PROVIDER"] in {"gemini", "vertex"}:
        shorten_timeouts_of_google()
    if shift := os.environ.get("CHAOS_CLOCK"):
        set_clock(float(shift))
    if after := os.environ.get("CHAOS_DISK"):
        fill_disk(int(after))
    main(args)


if __name__ == "__main__":
    run_client()
