"""A batch on its way: what is made already is left alone, the rest is made once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from veo.batch.decider import EntryActions, existing_job
from veo.batch.entry import NOT_SENT, Entry
from veo.batch.in_flight import InFlight
from veo.batch.match import Action, choose_action
from veo.batch.queue import Queue
from veo.engine.context import still_running_error
from veo.errors import BudgetError, LeaseLostError, SetupError, VeoError, WithdrawnError
from veo.ledger import LIVE, State, budget
from veo.money import to_micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from veo.batch.options import BatchOptions
    from veo.batch.validate import ValidationResult
    from veo.job import Job
    from veo.ledger import Cap, PlanResult, Record
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

    def __init__(
        self, client: Session, checked: ValidationResult, run: str, rules: BatchOptions
    ) -> None:
        self.client = client
        self.validation = checked
        self.run = run
        self.options = rules
        self.entries = checked.ready
        self.in_flight = InFlight(client, rules.timeout)
        self.queue = Queue(self.in_flight.free_slots)
        self._decider = EntryActions(self)
        self._started = False
        self._finished: list[Entry] = []
        self.is_cap_reached = False
        self._stop_error: WithdrawnError | None = None

    def __iter__(self) -> Iterator[Entry]:
        """Every item as soon as nothing more happens to it."""
        self.start()
        while not self.is_over:
            yield from self.advance(1.0)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens, and ``advance`` has told of every item."""
        return self._started and not (self.in_flight or self.queue or self._finished)

    @cached_property
    def planned_actions(self) -> list[tuple[Entry, Action]]:
        """What is to be done about every item, as far as can be told before it begins."""
        return [(entry, choose_action(entry.existing)) for entry in self.entries]

    @property
    def is_accepted(self) -> bool:
        """Whether every item is over, or accepted by its provider."""
        jobs = [entry.job for entry in self.in_flight if entry.job]
        sent = all(job.record.task_id is not None for job in jobs)
        return self._started and sent and not (self.queue or self._finished)

    def start(self) -> None:
        """Begin, if that has not been done.

        Raises:
            SetupError, OutputError: A provider or folder cannot be used; nothing was sent.
        """
        if self._started:
            return
        met = self.planned_actions
        del self.planned_actions  # it was told; ten thousand pairs are not kept for nothing
        self._decider.check_usable(
            [entry for entry, what in met if self._decider.needs_provider(what)]
        )
        self._started = True
        joined = [entry for entry, what in met if what is Action.JOIN]
        self._withdraw_leftovers(joined)
        self.in_flight.join(joined, [existing_job(entry) for entry in joined])
        for entry, what in met:
            self._decider.run_action(entry, what)
        self._plan_waiting()

    def advance(self, timeout: float) -> list[Entry]:
        """Wait for news, at most so many seconds; returns the items that are over now."""
        for entry, job in self.in_flight.wait_finished(0.0 if self._finished else timeout):
            self._close_entry(entry, job)
        if self._stop_error:
            self._withdraw(self.in_flight, self._stop_error)
        else:
            self._plan_waiting()
        return self.pop_finished()

    def pop_finished(self) -> list[Entry]:
        """The items that are over and were not told of yet."""
        ended, self._finished = self._finished, []
        return ended

    def stop(self, reason: str) -> None:
        """Send nothing new; what was sent goes on. The money of what was not is free again."""
        self._stop_error = WithdrawnError(f"not sent: {reason}")
        self._end_unsent(self.queue.drain(), self._stop_error)
        self._withdraw(self.in_flight, self._stop_error)

    def detach(self, *, content: bool = False) -> None:
        """Wait no longer for what is on its way; ``veo resume`` or another run carries on.

        Args:
            content: That is what the user wants, and no failure.
        """
        for entry in self.in_flight:
            if entry.job:
                error = None if content else still_running_error(entry.job.work)
                self.end_entry(entry, str(entry.job.state), error)
        self.in_flight = InFlight(self.client, self.options.timeout)

    def current_caps(self) -> list[Cap]:
        """The limits on money that hold now."""
        return self.client.caps(self.run, self.options.max_cost)

    def budget_error(self, amount: int) -> BudgetError | None:
        """Why an amount (millionths of a USD) does not fit under the caps; None when it does."""
        spent = {cap: self.client.ledger.count_spent(cap) for cap in self.current_caps()}
        return budget.caps_error(spent, amount)

    # Jobs begun, and jobs ended.

    def _plan_waiting(self) -> None:
        """Plan as much as can be sent soon and fits under the caps."""
        if not self.in_flight:
            self.is_cap_reached = False  # other processes may have given money back
        while not self.is_cap_reached and (entries := self.queue.pop_next()):
            new = [entry.new_job for entry in entries]
            planned = self.client.ledger.plan_jobs(new, self.current_caps(), self.client.worker)
            self._start_planned(entries, planned)
        if self.is_cap_reached and not self.in_flight:
            left = self.queue.drain()
            amount = sum(to_micros(entry.new_job.quote.amount) for entry in left)
            error = self.budget_error(amount) or BudgetError(
                "other jobs hold the money under the cap"
            )
            self._end_unsent(left, error)

    def _start_planned(self, entries: Sequence[Entry], planned: PlanResult) -> None:
        by_id = {entry.new_job.id: entry for entry in entries}
        begun = [by_id.pop(record.id) for record in planned.records]
        self.in_flight.work_on(begun, planned.records)
        for name, record in planned.existing.items():
            self._decider.adopt_existing(by_id.pop(name), record)
        self.queue.put_back(by_id.values())
        self.is_cap_reached = planned.stopped_by is not None

    def _close_entry(self, entry: Entry, job: Job) -> None:
        record, error = job.record, job.error
        if isinstance(error, LeaseLostError) and self._follow_elsewhere(entry, record):
            return
        if not (record.reserved or record.charged or record.doubtful):
            self.is_cap_reached = False
        if record.state is State.FAILED and isinstance(error, WithdrawnError):
            entry.reset_job()  # another process had it, and gave it up unsent
            self.queue.add(entry)
        elif record.state is State.EXPIRED and record.covers_request:
            entry.job, entry.existing = None, record
            self._decider.handle_gone(entry)
        else:
            self.end_entry(entry, str(record.state), None if record.state is State.DONE else error)
            self._handle_failure(entry)

    def _follow_elsewhere(self, entry: Entry, record: Record) -> bool:
        """Whether a job that another process took over meanwhile goes on there."""
        now = self.client.ledger.find_job(record.id)
        if now.state in LIVE:
            self.in_flight.join([entry], [now])
        return now.state in LIVE

    def _handle_failure(self, entry: Entry) -> None:
        """What an end means for the others."""
        if isinstance(entry.error, SetupError):
            provider = entry.new_job.provider
            error = type(entry.error)(f"not sent: {entry.error.message}", hint=entry.error.hint)
            self._end_unsent(self.queue.drain(provider), error)
            others = [each for each in self.in_flight if each.new_job.provider == provider]
            self._withdraw(others, error)
        if entry.error and self.options.fail_fast and not self._stop_error:
            self.stop(f"{entry.location} failed")

    # What is not sent after all.

    def _withdraw(self, entries: Iterable[Entry], error: VeoError) -> None:
        for entry in self.in_flight.withdraw(entries, error):
            entry.job = None
            self.end_entry(entry, NOT_SENT, error)

    def _withdraw_leftovers(self, joined: Iterable[Entry]) -> None:
        """Give up what an earlier run planned and never sent, and no item asks for any more."""
        asked = {entry.existing.id for entry in joined if entry.existing}
        planned = self.client.ledger.list_jobs(run=self.run, states=[State.PLANNED])
        left = [record for record in planned if record.id not in asked]
        if left:
            error = WithdrawnError("the batch does not ask for it any more")
            self.client.ledger.withdraw_jobs(self.client.lease(left), error)

    def _end_unsent(self, entries: Iterable[Entry], error: VeoError) -> None:
        for entry in entries:
            self.end_entry(entry, NOT_SENT, error)

    def end_entry(self, entry: Entry, word: str, error: VeoError | None = None) -> None:
        """Nothing more happens to an item; ``advance`` will tell of it."""
        entry.finish(word, error)
        self._finished.append(entry)
