"""How a batch on its way is shown: alive on a terminal, as lines in a log, or not at all."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from veo.batch.progress import Snapshot, take_snapshot
from veo_commands.commands import batch_output as report
from veo_commands.format import format_clock, format_usd
from veo_commands.output import out
from veo_commands.progress.live import MAX_ROWS, LiveView

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry
    from veo.job import Job

_EVERY_S = 1.0
_LINE_EVERY_S = 30.0
_WIDE = 40
_PRICE = 5  # the column of a job's price


@contextmanager
def view(batch: Batch) -> Iterator[Nothing]:
    """The view that fits: quiet, a terminal, or a log."""
    if out.options.quiet:
        yield Nothing()
    elif sys.stderr.isatty():
        with BatchLive(batch) as live:
            yield Screen(live)
    else:
        yield Lines(batch)


class Nothing:
    """Shows nothing but results and errors."""

    def look(self) -> None:
        """Nothing."""

    def ended(self, entries: Sequence[Entry]) -> None:
        """Print what is a result, and what went wrong."""
        for entry in entries:
            report.result(entry)
            if entry.error:
                report.tell(entry)


class Lines(Nothing):
    """A line for each item that is over, and now and then one about all."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._next = time.monotonic() + _LINE_EVERY_S

    def look(self) -> None:
        """Say how all of it is doing, if that was not said for a while."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            seen = take_snapshot(self._batch)
            out.info(f"{seen.ended} of {seen.total}: {', '.join(_parts(seen))}")

    def ended(self, entries: Sequence[Entry]) -> None:
        """Print them."""
        for entry in entries:
            report.result(entry)
            report.tell(entry)


class Screen(Nothing):
    """The live view; items that need a look are printed above it as they end."""

    def __init__(self, live: BatchLive) -> None:
        self._live = live

    def look(self) -> None:
        """Take a new look at the batch."""
        self._live.refresh()

    def ended(self, entries: Sequence[Entry]) -> None:
        """Print those that have no video; all of them where results go to the same screen."""
        printed = entries if out.options.json else [each for each in entries if report.is_odd(each)]
        if printed:
            with self._live.pause():
                for entry in printed:
                    report.result(entry)
                    if report.is_odd(entry):
                        report.tell(entry)


class BatchLive(LiveView):
    """The whole batch in three lines, and one for each of some jobs that move."""

    def __init__(self, batch: Batch) -> None:
        super().__init__([])
        self._batch = batch
        self._seen: Snapshot | None = None
        self._due = 0.0
        self._numbers: dict[str, int | None] = {}

    def is_active(self) -> bool:
        """Whether there is still something to show."""
        return not self._batch.is_over

    def refresh(self) -> None:
        """Take a new look now and then: it asks the ledger."""
        if time.monotonic() >= self._due:
            self._seen = take_snapshot(self._batch)
            self._due = time.monotonic() + _EVERY_S

    def render(self) -> RenderableType:
        """What is on the screen now."""
        if self._seen is None:
            return Text("")
        jobs = [entry.job for entry in self._batch.in_flight if entry.job]
        self._numbers = {e.job.id: e.location.index for e in self._batch.in_flight if e.job}
        moving = [job for job in jobs if job.state != "planned"]
        more = len(moving) - MAX_ROWS
        rest = [Text(f"  and {more} more", style="dim")] if more > 0 else []
        return Group(_head(self._seen), *_below(self._seen), self.job_table(moving), *rest)

    def _job_cells(self, job: Job) -> list[RenderableType]:
        """As that of a job alone, with the item's number for its price."""
        cells = super()._job_cells(job)
        cells[_PRICE] = Text(f"#{self._numbers.get(job.id, '')}")
        return cells


def _head(seen: Snapshot) -> RenderableType:
    line = Table.grid(padding=(0, 1))
    line.add_row(
        ProgressBar(total=max(1, seen.total), completed=seen.ended, width=_WIDE),
        Text(f"{seen.ended}/{seen.total}", style="bold"),
        Text(_left(seen), style="cyan"),
    )
    return line


def _below(seen: Snapshot) -> list[Text]:
    *states, money = _parts(seen, left=False)
    return [Text(" · ".join(states)), Text(money, style="dim")]


def _parts(seen: Snapshot, *, left: bool = True) -> list[str]:
    """Counts by state, the money, and the time that is left."""
    money = f"charged {format_usd(seen.sums.charged)}, reserved {format_usd(seen.sums.reserved)}"
    if seen.sums.doubtful:
        money += f", doubtful {format_usd(seen.sums.doubtful)}"
    if seen.cap is not None:
        money += f" of {format_usd(seen.cap)}"
    time_left = [_left(seen)] if left and _left(seen) else []
    return [*report.counted(seen.counts), money, *time_left]


def _left(seen: Snapshot) -> str:
    return f"about {format_clock(seen.remaining_s)} left" if seen.remaining_s else ""
