"""A batch on its way: what is made already is left alone, the rest is made once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from veo.batch.decider import Decider, standing
from veo.batch.entry import NOT_SENT, Entry
from veo.batch.in_flight import Flight
from veo.batch.match import Verdict, verdict
from veo.batch.queue import Queue
from veo.engine.context import still_running
from veo.errors import BudgetError, LeaseLostError, SetupError, VeoError, WithdrawnError
from veo.ledger import LIVE, State, budget
from veo.money import micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from veo.batch.options import Rules
    from veo.batch.validate import Checked
    from veo.job import Job
    from veo.ledger import Cap, Planned, Record
    from veo.session import Session


class Batch:
    """Many items, each made once however often, and in however many processes, it is run.

    Iterate over it, or call ``start`` once and then ``advance`` until it is ``over``.

    Args:
        client: Works on the jobs.
        checked: What a check of its items found.
        run: The name under which the money of its items is counted together.
        rules: How it is to be run.

    Attributes:
        entries: Its items, those with problems left out.
        full: Whether a cap keeps those that wait from being sent, as far as is known.
    """

    def __init__(self, client: Session, checked: Checked, run: str, rules: Rules) -> None:
        self.client = client
        self.checked = checked
        self.run = run
        self.rules = rules
        self.entries = checked.ready
        self.flight = Flight(client, rules.timeout)
        self.queue = Queue(self.flight.free)
        self._decider = Decider(self)
        self._started = False
        self._ended: list[Entry] = []
        self.full = False
        self._reason: WithdrawnError | None = None

    def __iter__(self) -> Iterator[Entry]:
        """Every item as soon as nothing more happens to it."""
        self.start()
        while not self.over:
            yield from self.advance(1.0)

    @property
    def over(self) -> bool:
        """Whether nothing more happens, and ``advance`` has told of every item."""
        return self._started and not (self.flight or self.queue or self._ended)

    @cached_property
    def outlook(self) -> list[tuple[Entry, Verdict]]:
        """What is to be done about every item, as far as can be told before it begins."""
        return [(entry, verdict(entry.standing)) for entry in self.entries]

    @property
    def accepted(self) -> bool:
        """Whether every item is over, or accepted by its provider."""
        jobs = [entry.job for entry in self.flight if entry.job]
        sent = all(job.record.task_id is not None for job in jobs)
        return self._started and sent and not (self.queue or self._ended)

    def start(self) -> None:
        """Begin, if that has not been done.

        Raises:
            SetupError, OutputError: A provider or folder cannot be used; nothing was sent.
        """
        if self._started:
            return
        met = self.outlook
        del self.outlook  # it was told; ten thousand pairs are not kept for nothing
        self._decider.prepare([entry for entry, what in met if self._decider.costs_work(what)])
        self._started = True
        joined = [entry for entry, what in met if what is Verdict.JOIN]
        self._take_back_leftovers(joined)
        self.flight.join(joined, [standing(entry) for entry in joined])
        for entry, what in met:
            self._decider.act(entry, what)
        self._fill()

    def advance(self, timeout: float) -> list[Entry]:
        """Wait for news, at most so many seconds; returns the items that are over now."""
        for entry, job in self.flight.landed(0.0 if self._ended else timeout):
            self._close(entry, job)
        if self._reason:
            self._take_back(self.flight, self._reason)
        else:
            self._fill()
        return self.told()

    def told(self) -> list[Entry]:
        """The items that are over and were not told of yet."""
        ended, self._ended = self._ended, []
        return ended

    def stop(self, reason: str) -> None:
        """Send nothing new; what was sent goes on. The money of what was not is free again."""
        self._reason = WithdrawnError(f"not sent: {reason}")
        self._give_up(self.queue.drain(), self._reason)
        self._take_back(self.flight, self._reason)

    def leave(self, *, content: bool = False) -> None:
        """Wait no longer for what is on its way; ``veo resume`` or another run carries on.

        Args:
            content: That is what the user wants, and no failure.
        """
        for entry in self.flight:
            if entry.job:
                error = None if content else still_running(entry.job.work)
                self.end(entry, str(entry.job.state), error)
        self.flight = Flight(self.client, self.rules.timeout)

    def caps(self) -> list[Cap]:
        """The limits on money that hold now."""
        return self.client.caps(self.run, self.rules.max_cost)

    def short(self, amount: int) -> BudgetError | None:
        """Why an amount (millionths of a USD) does not fit under the caps; None when it does."""
        spent = {cap: self.client.ledger.spent(cap) for cap in self.caps()}
        return budget.short(spent, amount)

    # Jobs begun, and jobs ended.

    def _fill(self) -> None:
        """Plan as much as can be sent soon and fits under the caps."""
        if not self.flight:
            self.full = False  # other processes may have given money back
        while not self.full and (entries := self.queue.next()):
            new = [entry.new for entry in entries]
            planned = self.client.ledger.plan(new, self.caps(), self.client.worker)
            self._planned(entries, planned)
        if self.full and not self.flight:
            left = self.queue.drain()
            amount = sum(micros(entry.new.quote.amount) for entry in left)
            error = self.short(amount) or BudgetError("other jobs hold the money under the cap")
            self._give_up(left, error)

    def _planned(self, entries: Sequence[Entry], planned: Planned) -> None:
        by_id = {entry.new.id: entry for entry in entries}
        begun = [by_id.pop(record.id) for record in planned.records]
        self.flight.work_on(begun, planned.records)
        for name, record in planned.found.items():
            self._decider.meet(by_id.pop(name), record)
        self.queue.put_back(by_id.values())
        self.full = planned.stopped_by is not None

    def _close(self, entry: Entry, job: Job) -> None:
        record, error = job.record, job.error
        if isinstance(error, LeaseLostError) and self._followed(entry, record):
            return
        if not (record.reserved or record.charged or record.doubtful):
            self.full = False
        if record.state is State.FAILED and isinstance(error, WithdrawnError):
            entry.renew()  # another process had it, and gave it up unsent
            self.queue.add(entry)
        elif record.state is State.EXPIRED and record.stands:
            entry.job, entry.standing = None, record
            self._decider.gone(entry)
        else:
            self.end(entry, str(record.state), None if record.state is State.DONE else error)
            self._learn(entry)

    def _followed(self, entry: Entry, record: Record) -> bool:
        """Whether a job that another process took over meanwhile goes on there."""
        now = self.client.ledger.job(record.id)
        if now.state in LIVE:
            self.flight.join([entry], [now])
        return now.state in LIVE

    def _learn(self, entry: Entry) -> None:
        """What an end means for the others."""
        if isinstance(entry.error, SetupError):
            provider = entry.new.provider
            error = type(entry.error)(f"not sent: {entry.error.message}", hint=entry.error.hint)
            self._give_up(self.queue.drain(provider), error)
            others = [each for each in self.flight if each.new.provider == provider]
            self._take_back(others, error)
        if entry.error and self.rules.fail_fast and not self._reason:
            self.stop(f"{entry.spot} failed")

    # What is not sent after all.

    def _take_back(self, entries: Iterable[Entry], error: VeoError) -> None:
        for entry in self.flight.take_back(entries, error):
            entry.job = None
            self.end(entry, NOT_SENT, error)

    def _take_back_leftovers(self, joined: Iterable[Entry]) -> None:
        """Give up what an earlier run planned and never sent, and no item asks for any more."""
        asked = {entry.standing.id for entry in joined if entry.standing}
        planned = self.client.ledger.jobs(run=self.run, states=[State.PLANNED])
        left = [record for record in planned if record.id not in asked]
        if left:
            error = WithdrawnError("the batch does not ask for it any more")
            self.client.ledger.withdraw(self.client.lease(left), error)

    def _give_up(self, entries: Iterable[Entry], error: VeoError) -> None:
        for entry in entries:
            self.end(entry, NOT_SENT, error)

    def end(self, entry: Entry, word: str, error: VeoError | None = None) -> None:
        """Nothing more happens to an item; ``advance`` will tell of it."""
        entry.end(word, error)
        self._ended.append(entry)
