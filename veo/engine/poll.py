"""The free step: ask how a task is doing, as often as it takes."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from veo.engine.poll_schedule import ProgressTracker
from veo.engine.submit import apply_update, must_persist
from veo.errors import GoneError, ProtocolError, TaskNotFoundError, VeoError
from veo.ledger.record import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from veo.engine.context import ActiveJob, StepContext
    from veo.provider import Asked
    from veo.update import Update

SETTLE_RETRY_S = 3.0
Said = TypeVar("Said")
_log = logging.getLogger(__name__)


def poll(context: StepContext, work: ActiveJob) -> float | None:
    """Poll an accepted job once. Returns when to step again.

    Where the provider can wait for many answers at once this takes two steps: one sends the
    question and leaves ``work.asked``, the other reads the answer.
    """
    if not work.asked and context.stop_if_overdue(work):
        return None
    try:
        update = _ask(context, work)
    except TaskNotFoundError as error:
        return _not_found(context, work, error)
    except VeoError as error:
        if error.retryable:
            return context.retry(work, error)
        context.stop_work(work, error)
        return None
    return context.clock() if update is None else _take_in(context, work, update)


def send(context: StepContext, work: ActiveJob) -> bool:
    """The first of two steps, if it takes no time; else, whatever the reason, `poll` does it."""
    asking = context.find_provider(work.record.provider).asking
    if not asking or (work.deadline is not None and work.deadline <= context.clock()):
        return False
    with suppress(Exception):  # it will happen to `poll` as well, which knows what to do
        work.asked = asking.ask(str(work.record.task_id), wait=False)
    work.polls += work.asked is not None
    return work.asked is not None


def hear(context: StepContext, work: ActiveJob, asked: Asked) -> float | None:
    """The second step, if nothing has to be written down.

    Returns when to step again; None where `poll` has to do it, which finds the answer as it was.
    """
    heard: Update | Exception | None = None
    try:
        heard = asked.read()
        if not must_persist(work.record, heard):
            when = _take_in(context, work, heard)
            work.asked = None
            return when
    except Exception as error:  # noqa: BLE001 - as above
        heard = heard or error
    work.asked = Heard(heard)
    return None


@dataclass(slots=True)
class Heard:
    """An answer that was read already, to be read again by who can act upon it."""

    answer: Update | Exception
    socket: int | None = None
    until: float = 0.0

    def ready(self) -> bool:
        """There is nothing to wait for."""
        return True

    def read(self) -> Update:
        """The answer, or what was raised for it."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _take_in(context: StepContext, work: ActiveJob, update: Update) -> float | None:
    if update.progress:
        work.watch = work.watch or ProgressTracker()
        submitted = work.record.submitted_at or work.record.created_at
        work.watch.record(update.progress, context.clock() - submitted)
    return apply_update(context, work, update)


def ask(context: StepContext, work: ActiveJob) -> Update:
    """What the provider says of a job's task."""
    work.polls += 1
    provider = context.find_provider(work.record.provider).provider
    return _sound(work, lambda: provider.poll(str(work.record.task_id)))


def _ask(context: StepContext, work: ActiveJob) -> Update | None:
    """The same in two steps where the provider can: None when the question was sent."""
    asking, asked = context.find_provider(work.record.provider).asking, work.asked
    if asked:
        work.asked = None
        return _sound(work, asked.read)
    if asking:
        work.asked = _sound(work, lambda: asking.ask(str(work.record.task_id)))
    if not work.asked:
        return ask(context, work)
    work.polls += 1
    return None


def _sound(work: ActiveJob, call: Callable[[], Said]) -> Said:
    """What a provider's code gives; a bug in it counts as an unreadable answer."""
    try:
        return call()
    except VeoError:
        raise
    except Exception as error:
        _log.exception("provider %s failed while polling", work.record.provider)
        raise ProtocolError(f"the provider's code failed: {type(error).__name__}") from error


def _not_found(context: StepContext, work: ActiveJob, error: TaskNotFoundError) -> float | None:
    age = context.clock() - (work.record.submitted_at or work.record.created_at)
    if age < context.find_provider(work.record.provider).facts.settle_s:
        return context.later(work, error.retry_after or SETTLE_RETRY_S)
    gone = GoneError(
        f"the provider no longer knows task {work.record.task_id}: {error.message}",
        hint="The provider's console may show whether it was charged.",
        request_id=error.request_id,
    )
    context.end_job(work, State.EXPIRED, gone, certain=False)
    return None
