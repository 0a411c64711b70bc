"""Carries out the action that an item needs."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from veo.batch.entry import SKIPPED, Entry
from veo.batch.match import Action, choose_action, paying_actions
from veo.bucket import parse_path
from veo.errors import (
    BudgetError,
    GoneError,
    LeaseLostError,
    MissingVideoError,
    UnknownOutcomeError,
    VeoError,
)
from veo.files.output import prepare_folder
from veo.ledger import Record, State
from veo.problems import Remedy
from veo.provider import has_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from veo.batch.in_flight import InFlight, WaitingQueue
    from veo.batch.options import BatchContext


class EntryActions:
    """Carries out the actions of one batch; ``on_end`` gets each item that needs no more work."""

    def __init__(
        self,
        context: BatchContext,
        waiting: WaitingQueue,
        in_flight: InFlight,
        on_end: Callable[[Entry, str, VeoError | None], None],
    ) -> None:
        self._context = context
        self._session = context.session
        self._options = context.options
        self._waiting = waiting
        self._in_flight = in_flight
        self._on_end = on_end

    def check_usable(self, actions: Iterable[tuple[Entry, Action]]) -> None:
        """Connect the providers and test the folders that the actions need, or raise an error."""
        asking = {Action.FETCH, Action.JOIN, Action.GONE}
        working = paying_actions(self._options) | asking
        new_jobs = [entry.new_job for entry, action in actions if action in working]
        # Only where work is to do: a batch that is finished needs no key and no network.
        for provider in {job.provider for job in new_jobs}:
            self._session.connect(provider)
        for folder in {parse_path(job.output).parent for job in new_jobs}:
            prepare_folder(folder)

    def join_all(self, entries: list[Entry]) -> None:
        self._in_flight.join(entries, [entry.existing for entry in entries if entry.existing])

    def run_action(self, entry: Entry, action: Action) -> None:
        """Carry out an action other than ``JOIN``, which ``join_all`` does for many items."""
        record = entry.existing
        if record is None or action is Action.MAKE:
            self._waiting.add_last(entry)
            return
        match action:
            case Action.KEEP:
                self._on_end(entry, SKIPPED, None)
            case Action.CHANGED:
                self._handle_changed(entry, record)
            case Action.FETCH:
                self._download_again(entry, record)
            case Action.GONE:
                self._ask_again(entry, record)
            case Action.PAID:
                self.handle_gone(entry, record, None)
            case Action.ASK:
                self._handle_unknown(entry, record)

    def adopt_existing(self, entry: Entry, record: Record) -> None:
        """Carry out the action for a job that another process created or changed meanwhile."""
        entry.existing = record
        action = choose_action(record)
        if action is Action.JOIN:
            self.join_all([entry])
        self.run_action(entry, action)

    def handle_gone(self, entry: Entry, record: Record, error: VeoError | None) -> None:
        """Make a lost video again if the user has agreed to pay twice, else report it.

        Args:
            entry: The item.
            record: Its job, for which the provider has just returned no video.
            error: Why the provider does not have the video.
        """
        # Once a run: a second payment for a video that goes missing again is a new decision.
        if self._options.remake and entry.new_job.replaced_id is None:
            if not record.has_ended and not self._give_up(entry, record):
                return
            entry.reset_job(replaced_id=record.id)
            self._waiting.add_last(entry)
            return
        if record.state is State.FAILED:
            error = VeoError.from_json(record.error_json() or {})
        if isinstance(error, MissingVideoError) or (error and record.state is State.FAILED):
            error.remedies = (*error.remedies, Remedy("remake"))
        else:
            text = "neither this machine nor the provider has the video any more"
            hint = "It can be made again, which pays again."
            charged = True if record.charged else None
            error = GoneError(text, hint=hint, remedies=[Remedy("remake")], charged=charged)
        self._on_end(entry, str(record.state), error)

    def _ask_again(self, entry: Entry, record: Record) -> None:
        """Ask the provider once more for a video that it did not have; ``handle_gone`` follows."""
        if record.can_reopen:
            self._reopen(entry, record, "the provider is asked for the video again")
        elif record.state is State.EXPIRED:
            self.handle_gone(entry, record, None)
        else:
            self.join_all([entry])

    def _give_up(self, entry: Entry, record: Record) -> bool:
        """End a job as expired, because the user asked to make its video again."""
        ledger = self._session.ledger
        changes: dict[str, Any] = {"owner": None, "ended_at": time.time()}
        message = "given up, to be made again on request"
        for leased in self._session.runner.take_leases([ledger.find_job(record.id)]):
            with suppress(LeaseLostError):
                ledger.move_job(leased, State.EXPIRED, message=message, **changes)
                return True
        # Another process works on it now.
        self.adopt_existing(entry, ledger.find_job(record.id))
        return False

    def _handle_changed(self, entry: Entry, record: Record) -> None:
        if self._options.force:
            self._download_again(entry, record)
            return
        entry.note = "the file was changed after the download, and is kept"
        self._on_end(entry, SKIPPED, None)

    def _download_again(self, entry: Entry, record: Record) -> None:
        """Download a video that is made and paid for once more."""
        message = "downloaded again: the file is gone or changed"
        self._reopen(entry, record, message, force=self._options.force)

    def _reopen(self, entry: Entry, record: Record, message: str, **changes: Any) -> None:
        """Continue a job that has ended, to download its video."""
        owner = self._session.runner.worker
        try:
            record = self._session.ledger.reopen_job(record, owner, message, **changes)
        except LeaseLostError:  # another process has changed the job meanwhile
            self.adopt_existing(entry, self._session.ledger.find_job(record.id))
            return
        self._in_flight.work_on([entry], [record])

    def _handle_unknown(self, entry: Entry, record: Record) -> None:
        """Send a job of unknown outcome again if the user has agreed to pay twice."""
        if not self._options.resubmit_unknown:
            error = UnknownOutcomeError(record.id, has_tasks=has_tasks(record.provider))
            self._on_end(entry, str(record.state), error)
            return
        run, max_cost = self._context.run, self._options.max_cost
        try:
            planned = self._session.plan_resubmit(record, run, max_cost)
        except LeaseLostError:
            self.adopt_existing(entry, self._session.ledger.find_job(record.id))
        except BudgetError as error:
            self._on_end(entry, str(record.state), error)
        else:
            self._in_flight.work_on([entry], [planned])
