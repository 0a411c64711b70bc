"""A running batch: plans what is missing, and reports each item as it ends."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from veo.batch.actions import EntryActions
from veo.batch.entry import NOT_SENT, Entry
from veo.batch.in_flight import InFlight, WaitingQueue
from veo.batch.match import Action, choose_action
from veo.bucket import find_bucket_path, map_files
from veo.engine.context import overdue_error
from veo.errors import (
    BudgetError,
    LeaseLostError,
    MissingVideoError,
    SetupError,
    VeoError,
    WithdrawnError,
)
from veo.ledger import LIVE, PlanResult, Record, State
from veo.money import to_micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from veo.batch.options import BatchContext
    from veo.batch.validate import ValidationResult
    from veo.job import Job


_INTERRUPTED = "the batch was interrupted"


class Batch:
    """Many items. Each is made once, however often and in however many processes they are run.

    Iterate over a batch to run it; or call ``start``, and ``advance`` until it ``is_over``.

    Attributes:
        entries: The items that are valid.
        in_flight: The items whose jobs have begun and have not ended.
        waiting: The items that still need a job.
        is_cap_reached: Whether a cap prevents the waiting items from being sent, as far as known.
    """

    def __init__(self, context: BatchContext, validation: ValidationResult) -> None:
        self.context = context
        self.session = context.session
        self.run = context.run
        self.options = context.options
        self.validation = validation
        self.entries = validation.entries
        self.in_flight = InFlight(context.session, context.options.timeout)
        self.waiting = WaitingQueue(self.in_flight.free_capacity)
        self.is_cap_reached = False
        self._actions = EntryActions(context, self.waiting, self.in_flight, self._end_entry)
        self._is_started = False
        self._ended: list[Entry] = []
        self._stop_error: WithdrawnError | None = None

    def __iter__(self) -> Iterator[Entry]:
        self.start()
        while not self.is_over:
            yield from self.advance(1.0)

    @property
    def is_over(self) -> bool:
        """Whether all items have ended and ``advance`` has returned them."""
        return self._is_started and not (self.in_flight or self.waiting or self._ended)

    @property
    def is_accepted(self) -> bool:
        """Whether each item has ended, was accepted, or waits for a worker or because of a cap."""
        jobs = [entry.job for entry in self.in_flight if entry.job]
        all_sent = all(job.is_accepted for job in jobs)
        is_waiting = self.waiting and not self.is_cap_reached
        return self._is_started and all_sent and not (is_waiting or self._ended)

    @cached_property
    def planned_actions(self) -> list[tuple[Entry, Action]]:
        """The action for each item, as far as known before the batch starts."""
        found = [entry.existing for entry in self.entries]
        is_remote = any(find_bucket_path(each.output) for each in found if each)
        actions = map_files(choose_action, found, is_remote=is_remote)
        return list(zip(self.entries, actions, strict=True))

    def start(self) -> None:
        """Begin to work on the items; further calls do nothing.

        Raises:
            SetupError, OutputError: A provider or a folder cannot be used. Nothing was sent.
        """
        if self._is_started:
            return
        # The ledger may have changed since: `adopt_existing` handles what planning finds then.
        actions = self.planned_actions
        del self.planned_actions  # not needed any more: ten thousand pairs take memory
        self._actions.check_usable(actions)
        self._is_started = True
        joined = [entry for entry, action in actions if action is Action.JOIN]
        self._withdraw_leftovers(joined)
        self._actions.join_all(joined)
        for entry, action in actions:
            self._actions.run_action(entry, action)
        self._plan_waiting()

    def advance(self, timeout: float) -> list[Entry]:
        """Wait up to ``timeout`` seconds for news, and return the items that have ended."""
        # Items that ended without a job, such as skipped ones, are returned without a wait.
        for entry, job in self.in_flight.wait_finished(0.0 if self._ended else timeout):
            self._handle_finished(entry, job)
        if self._stop_error:
            # This process may have taken over unsent jobs that a closing one released.
            self._withdraw(self.in_flight, self._stop_error)
        else:
            self._plan_waiting()
        return self.pop_ended()

    def pop_ended(self) -> list[Entry]:
        ended, self._ended = self._ended, []
        return ended

    def stop(self, reason: str) -> None:
        """Send no new items, and release the money reserved for them; sent jobs continue."""
        self._stop_error = WithdrawnError(f"not sent: {reason}")
        self._end_unsent(self.waiting.drain(), self._stop_error)
        self._withdraw(self.in_flight, self._stop_error)

    def detach(self, *, is_intended: bool = False) -> None:
        """Stop waiting for the jobs in flight. ``veo resume`` or another run continues them.

        With ``is_intended`` the user asked for this, so the items end without an error, apart from
        those that a cap has kept from being planned.
        """
        for entry in self.in_flight.forget_all():
            if entry.job:
                error = None if is_intended else overdue_error(entry.job.work, _INTERRUPTED)
                self._end_entry(entry, str(entry.job.state), error)
        if is_intended and self.waiting:
            self._end_over_cap()

    def _plan_waiting(self) -> None:
        if not self.in_flight:
            self.is_cap_reached = False  # other processes may have released money
        while not self.is_cap_reached and (entries := self.waiting.pop_next()):
            new_jobs = [entry.new_job for entry in entries]
            caps = self.context.current_caps()
            planned = self.session.ledger.plan_jobs(new_jobs, caps, self.session.runner.worker)
            self._start_planned(entries, planned)
        if self.is_cap_reached and not self.in_flight:
            # No job of this batch is left that could fail and release money.
            self._end_over_cap()

    def _end_over_cap(self) -> None:
        unsent = self.waiting.drain()
        amount = sum(to_micros(entry.new_job.quote.amount) for entry in unsent)
        error = self.context.budget_error(amount)
        self._end_unsent(
            unsent, error or BudgetError("other jobs have reserved the money under the limit")
        )

    def _start_planned(self, entries: Sequence[Entry], planned: PlanResult) -> None:
        by_id = {entry.new_job.id: entry for entry in entries}
        started = [by_id.pop(record.id) for record in planned.records]
        self.in_flight.work_on(started, planned.records)
        for job_id, record in planned.existing.items():
            self._actions.adopt_existing(by_id.pop(job_id), record)
        self.waiting.put_back(by_id.values())
        self.is_cap_reached = planned.stopped_by is not None

    def _handle_finished(self, entry: Entry, job: Job) -> None:
        record, error = job.record, job.error
        if isinstance(error, LeaseLostError) and self._follow_elsewhere(entry, record):
            return
        if not (record.reserved or record.charged or record.doubtful):
            self.is_cap_reached = False  # the job has released its money
        if record.state is State.FAILED and isinstance(error, WithdrawnError):
            entry.reset_job()  # another process planned this job and withdrew it unsent
            self.waiting.add_last(entry)
        elif isinstance(error, MissingVideoError) or (
            record.state is State.EXPIRED and record.covers_request
        ):
            # The video was paid for and is lost; the options decide whether it is made again.
            entry.job, entry.existing = None, record
            self._actions.handle_gone(entry, record, error)
        else:
            error = None if record.state is State.DONE else error
            self._end_entry(entry, str(record.state), error)
            self._stop_after(entry)

    def _follow_elsewhere(self, entry: Entry, record: Record) -> bool:
        """Follow a job that another process took over; return False if it has ended."""
        current = self.session.ledger.find_job(record.id)
        is_live = current.state in LIVE
        if is_live:
            self.in_flight.join([entry], [current])
        return is_live

    def _stop_after(self, entry: Entry) -> None:
        """Send no items that would fail for the same reason, or none at all if so asked."""
        if isinstance(entry.error, SetupError):
            provider = entry.new_job.provider
            why = entry.error
            error = type(why)(f"not sent: {why.message}", hint=why.hint, remedies=why.remedies)
            self._end_unsent(self.waiting.drain(provider), error)
            same_provider = [each for each in self.in_flight if each.new_job.provider == provider]
            self._withdraw(same_provider, error)
        if entry.error and self.options.fail_fast and not self._stop_error:
            self.stop(f"{entry.location} failed")

    def _withdraw(self, entries: Iterable[Entry], error: VeoError) -> None:
        for entry in self.in_flight.withdraw(entries, error):
            entry.job = None
            self._end_entry(entry, NOT_SENT, error)

    def _withdraw_leftovers(self, joined: Iterable[Entry]) -> None:
        """Withdraw planned jobs of earlier runs whose items are not in the batch any more."""
        joined_ids = {entry.existing.id for entry in joined if entry.existing}
        planned = self.session.ledger.list_jobs(run=self.run, states=[State.PLANNED])
        leftovers = [record for record in planned if record.id not in joined_ids]
        if leftovers:
            error = WithdrawnError("the item is not in the batch any more")
            self.session.ledger.withdraw_jobs(self.session.runner.take_leases(leftovers), error)

    def _end_unsent(self, entries: Iterable[Entry], error: VeoError) -> None:
        for entry in entries:
            self._end_entry(entry, NOT_SENT, error)

    def _end_entry(self, entry: Entry, state: str, error: VeoError | None) -> None:
        entry.finish(state, error)
        self._ended.append(entry)
