"""What is done about an item that a job of the ledger stands for, or that none does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from veo.batch.entry import SKIPPED
from veo.batch.match import Verdict, verdict
from veo.errors import GoneError, LeaseLostError
from veo.files.output import claim_folder
from veo.ledger import State, budget
from veo.money import micros
from veo.resume import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from veo.batch.batch import Batch
    from veo.batch.entry import Entry
    from veo.ledger import Record


class Decider:
    """Acts on the verdicts about the items of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._client = batch.client

    def costs_work(self, what: Verdict) -> bool:
        """Whether a provider and the output folder will be needed."""
        again = what is Verdict.GONE and self._batch.rules.remake
        anew = what is Verdict.ASK and self._batch.rules.resubmit_unknown
        return again or anew or what in {Verdict.MAKE, Verdict.FETCH, Verdict.JOIN}

    def prepare(self, entries: Iterable[Entry]) -> None:
        """Find out now what would be in the way of every single item."""
        wanted = list(entries)
        for provider in {entry.new.provider for entry in wanted}:
            self._client.route(provider)
        for folder in {Path(entry.new.output).parent for entry in wanted}:
            claim_folder(folder)

    def act(self, entry: Entry, what: Verdict) -> None:
        """Do what is to be done; jobs on their way are joined by the caller, many at once."""
        actions: dict[Verdict, Callable[[Entry], None]] = {
            Verdict.MAKE: self._batch.queue.add,
            Verdict.KEEP: self._skip,
            Verdict.CHANGED: self._changed,
            Verdict.FETCH: self._fetch,
            Verdict.GONE: self.gone,
            Verdict.ASK: self._ask,
        }
        if what in actions:
            actions[what](entry)

    def meet(self, entry: Entry, record: Record) -> None:
        """A job was found that stands for the item, made by another process meanwhile."""
        entry.standing = record
        what = verdict(record)
        if what is Verdict.JOIN:
            self._batch.flight.join([entry], [record])
        self.act(entry, what)

    def _skip(self, entry: Entry) -> None:
        self._batch.end(entry, SKIPPED)

    def _changed(self, entry: Entry) -> None:
        if self._batch.rules.force:
            self._fetch(entry)
            return
        entry.note = "its file was changed since it was made, and is kept as it is"
        self._skip(entry)

    def _fetch(self, entry: Entry) -> None:
        """Download once more what is made and paid for."""
        record = standing(entry)
        try:
            record = self._client.ledger.move(
                record,
                State.READY,
                kind="fetch",
                message="fetched again: its file is gone or changed",
                owner=self._client.worker,
                force=self._batch.rules.force,
                **dict.fromkeys(("ended_at", "tag", "error")),
            )
        except LeaseLostError:
            self.meet(entry, self._client.ledger.job(record.id))
            return
        self._batch.flight.work_on([entry], [record])

    def gone(self, entry: Entry) -> None:
        """Its video was made, and is nowhere any more: whether to pay again is the user's word."""
        record = standing(entry)
        if self._batch.rules.remake:
            entry.renew(instead_of=record.id)
            self._batch.queue.add(entry)
            return
        text = "its video was made, but the file is gone, here and at the provider's"
        hint = "--remake makes it anew, and pays again."
        self._batch.end(entry, str(record.state), GoneError(text, hint=hint, charged=True))

    def _ask(self, entry: Entry) -> None:
        record = standing(entry)
        if not self._batch.rules.resubmit_unknown:
            self._batch.end(entry, str(record.state), unknown(record))
            return
        try:
            planned = self._client.ledger.resubmit(record, self._batch.caps(), self._client.worker)
        except LeaseLostError:
            self.meet(entry, self._client.ledger.job(record.id))
            return
        if planned.stopped_by:
            amount = micros(record.quoted().amount)
            error = budget.over(planned.stopped_by, planned.spent, amount)
            self._batch.end(entry, str(record.state), error)
            return
        self._batch.flight.work_on([entry], planned.records)


def standing(entry: Entry) -> Record:
    """The job that stands for an item, where the verdict says that one does."""
    assert entry.standing  # noqa: S101
    return entry.standing
