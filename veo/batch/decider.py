"""What is done about an item that a job of the ledger stands for, or that none does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from veo.batch.entry import SKIPPED
from veo.batch.match import Action, choose_action
from veo.errors import GoneError, LeaseLostError
from veo.files.output import claim_folder
from veo.ledger import State, budget
from veo.money import to_micros
from veo.resume import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry
    from veo.ledger import Record


class EntryActions:
    """Acts on the verdicts about the items of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._client = batch.client

    def needs_provider(self, what: Action) -> bool:
        """Whether a provider and the output folder will be needed."""
        again = what is Action.GONE and self._batch.options.remake
        anew = what is Action.ASK and self._batch.options.resubmit_unknown
        return again or anew or what in {Action.MAKE, Action.FETCH, Action.JOIN}

    def check_usable(self, entries: Iterable[Entry]) -> None:
        """Find out now what would be in the way of every single item."""
        wanted = list(entries)
        for provider in {entry.new_job.provider for entry in wanted}:
            self._client.route(provider)
        for folder in {Path(entry.new_job.output).parent for entry in wanted}:
            claim_folder(folder)

    def run_action(self, entry: Entry, what: Action) -> None:
        """Do what is to be done; jobs on their way are joined by the caller, many at once."""
        actions: dict[Action, Callable[[Entry], None]] = {
            Action.MAKE: self._batch.queue.add,
            Action.KEEP: self._skip_entry,
            Action.CHANGED: self._keep_changed,
            Action.FETCH: self._download_again,
            Action.GONE: self.handle_gone,
            Action.ASK: self._handle_unknown,
        }
        if what in actions:
            actions[what](entry)

    def adopt_existing(self, entry: Entry, record: Record) -> None:
        """A job was found that stands for the item, made by another process meanwhile."""
        entry.existing = record
        what = choose_action(record)
        if what is Action.JOIN:
            self._batch.in_flight.join([entry], [record])
        self.run_action(entry, what)

    def _skip_entry(self, entry: Entry) -> None:
        self._batch.end_entry(entry, SKIPPED)

    def _keep_changed(self, entry: Entry) -> None:
        if self._batch.options.force:
            self._download_again(entry)
            return
        entry.note = "its file was changed since it was made, and is kept as it is"
        self._skip_entry(entry)

    def _download_again(self, entry: Entry) -> None:
        """Download once more what is made and paid for."""
        record = existing_job(entry)
        try:
            record = self._client.ledger.move_job(
                record,
                State.READY,
                kind="fetch",
                message="fetched again: its file is gone or changed",
                owner=self._client.worker,
                force=self._batch.options.force,
                **dict.fromkeys(("ended_at", "tag", "error")),
            )
        except LeaseLostError:
            self.adopt_existing(entry, self._client.ledger.find_job(record.id))
            return
        self._batch.in_flight.work_on([entry], [record])

    def handle_gone(self, entry: Entry) -> None:
        """Its video was made, and is nowhere any more: whether to pay again is the user's word."""
        record = existing_job(entry)
        if self._batch.options.remake:
            entry.reset_job(instead_of=record.id)
            self._batch.queue.add(entry)
            return
        text = "its video was made, but the file is gone, here and at the provider's"
        hint = "--remake makes it anew, and pays again."
        self._batch.end_entry(entry, str(record.state), GoneError(text, hint=hint, charged=True))

    def _handle_unknown(self, entry: Entry) -> None:
        record = existing_job(entry)
        if not self._batch.options.resubmit_unknown:
            self._batch.end_entry(entry, str(record.state), unknown(record))
            return
        try:
            planned = self._client.ledger.plan_resubmit(
                record, self._batch.current_caps(), self._client.worker
            )
        except LeaseLostError:
            self.adopt_existing(entry, self._client.ledger.find_job(record.id))
            return
        if planned.stopped_by:
            amount = to_micros(record.parse_quote().amount)
            error = budget.over_cap_error(planned.stopped_by, planned.spent, amount)
            self._batch.end_entry(entry, str(record.state), error)
            return
        self._batch.in_flight.work_on([entry], planned.records)


def existing_job(entry: Entry) -> Record:
    """The job that stands for an item, where the verdict says that one does."""
    assert entry.existing  # noqa: S101
    return entry.existing
