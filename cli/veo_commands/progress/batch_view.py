"""The progress of a batch: a live view on a terminal, lines in a log, or nothing when quiet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from veo.batch.batch import Batch
from veo.batch.entry import Entry
from veo.batch.progress import Snapshot, take_snapshot
from veo.job import Job
from veo.money import format_micros
from veo_commands.format import format_remaining
from veo_commands.output import out
from veo_commands.progress.batch_output import (
    format_counts,
    needs_attention,
    print_entry,
    print_outcome,
)
from veo_commands.progress.live import MAX_ROWS, LiveView, make_bar
from veo_commands.progress.view import QuietView

# A snapshot reads the ledger and all items: too slow for each of the frames in a second.
_SNAPSHOT_INTERVAL_S = 1.0
_LOG_INTERVAL_S = 30.0
_BAR_WIDTH = 40


def open_view(batch: Batch) -> AbstractContextManager[BatchQuietView | BatchLiveView]:
    if out.options.quiet:
        return nullcontext(BatchQuietView())
    return BatchLiveView(batch) if out.can_redraw else nullcontext(BatchLogView(batch))


class BatchQuietView(QuietView):
    """Prints results and errors only."""

    def print_ended(self, entries: Sequence[Entry]) -> None:
        """Print items that have ended."""
        for entry in entries:
            print_entry(entry)
            print_outcome(entry)


class BatchLogView(BatchQuietView):
    """Prints a line for each ended item, and now and then one about the whole batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._next_line = time.monotonic() + _LOG_INTERVAL_S

    def refresh(self) -> None:
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LOG_INTERVAL_S
            snapshot = take_snapshot(self._batch)
            parts = [*format_counts(snapshot.counts), _format_money(snapshot)]
            parts += [left] if (left := format_remaining(snapshot.remaining_s)) else []
            out.info(f"{snapshot.ended} of {snapshot.total}: {', '.join(parts)}")


class BatchLiveView(LiveView):
    """Three lines about the whole batch, and one for each of some running jobs."""

    def __init__(self, batch: Batch) -> None:
        super().__init__([], batch.session)
        self._batch = batch
        self._snapshot: Snapshot | None = None
        self._next_snapshot = 0.0
        self._item_numbers: dict[str, int | None] = {}

    def is_active(self) -> bool:
        return not self._batch.is_over

    def refresh(self) -> None:
        """Take a new snapshot if the last one is old enough."""
        if time.monotonic() >= self._next_snapshot:
            self._snapshot = take_snapshot(self._batch)
            self._next_snapshot = time.monotonic() + _SNAPSHOT_INTERVAL_S

    def print_ended(self, entries: Sequence[Entry]) -> None:
        """Print items that need attention above the view."""
        # JSON results go to the same screen, so that the view must pause for each of them.
        printed = [each for each in entries if out.options.json or needs_attention(each)]
        if printed:
            with self.pause():
                for entry in printed:
                    print_entry(entry)
                    if needs_attention(entry):
                        print_outcome(entry)

    def render(self) -> RenderableType:
        if self._snapshot is None:
            return Text("")
        entries = list(self._batch.in_flight)
        self._item_numbers = {entry.job.id: entry.location.number for entry in entries if entry.job}
        running = [entry.job for entry in entries if entry.job and entry.job.state != "planned"]
        hidden = len(running) - MAX_ROWS
        rest = [Text(f"  and {hidden} more", style="dim")] if hidden > 0 else []
        counts = Text(" · ".join(format_counts(self._snapshot.counts)))
        money = Text(_format_money(self._snapshot), style="dim")
        head = _render_head(self._snapshot, min(_BAR_WIDTH, self.width // 3))
        return Group(head, counts, money, self.job_table(running), *rest)

    def _job_cells(self, job: Job) -> dict[str, RenderableType]:
        cells = super()._job_cells(job)
        del cells["price"]  # those of the items are alike; which item it is says more
        return {"item": Text(f"#{self._item_numbers.get(job.id, '')}"), **cells}


def _render_head(snapshot: Snapshot, bar_width: int) -> RenderableType:
    line = Table.grid(padding=(0, 1))
    line.add_row(
        make_bar(snapshot.ended, max(1, snapshot.total), bar_width),
        Text(f"{snapshot.ended}/{snapshot.total}", style="bold"),
        Text(format_remaining(snapshot.remaining_s), style="cyan"),
    )
    return line


def _format_money(snapshot: Snapshot) -> str:
    spending = snapshot.spending
    money = f"charged {format_micros(spending.charged)}, reserved {format_micros(spending.held)}"
    if spending.in_doubt:
        money += f", in doubt {format_micros(spending.in_doubt)}"
    if snapshot.cap is not None:
        money += f" of {format_micros(snapshot.cap)}"
    return money
