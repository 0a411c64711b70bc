"""The free step: ask how a task is doing, as often as it takes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from veo.engine.policy import Progress
from veo.engine.submit import advance
from veo.errors import GoneError, ProtocolError, TaskNotFoundError, VeoError
from veo.ledger.record import State

if TYPE_CHECKING:
    from veo.engine.work import Context, Work
    from veo.update import Update

SETTLE_RETRY_S = 3.0
_log = logging.getLogger(__name__)


def poll(context: Context, work: Work) -> float | None:
    """Poll an accepted job once. Returns when to step again."""
    if context.overdue(work):
        return None
    try:
        update = ask(context, work)
    except TaskNotFoundError as error:
        return _not_found(context, work, error)
    except VeoError as error:
        if error.retryable:
            return context.retry(work, error)
        context.stop(work, error)
        return None
    if update.progress is not None:
        work.watch = work.watch or Progress()
        submitted = work.record.submitted_at or work.record.created_at
        work.watch.saw(update.progress, context.clock() - submitted)
    return advance(context, work, update)


def ask(context: Context, work: Work) -> Update:
    """What the provider says of a job's task; a provider's bug counts as an unreadable answer."""
    work.polls += 1
    provider = context.route(work.record.provider).provider
    try:
        return provider.poll(str(work.record.task_id))
    except VeoError:
        raise
    except Exception as error:
        _log.exception("provider %s broke while polling", work.record.provider)
        raise ProtocolError(f"the provider's code broke: {type(error).__name__}") from error


def _not_found(context: Context, work: Work, error: TaskNotFoundError) -> float | None:
    age = context.clock() - (work.record.submitted_at or work.record.created_at)
    if age < context.route(work.record.provider).facts.settle_s:
        return context.later(work, error.retry_after or SETTLE_RETRY_S)
    gone = GoneError(
        f"the provider does not know task {work.record.task_id} any more: {error.message}",
        hint="Its console may tell whether it was charged.",
        request_id=error.request_id,
    )
    context.end(work, State.EXPIRED, gone, certain=False)
    return None
