"""A job's life as one function: it moves one job by one step, and holds no thread in between."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from veo.engine.download import fetch
from veo.engine.poll import poll
from veo.engine.submit import mark_unknown, submit
from veo.errors import LeaseLostError, UnknownOutcomeError, VeoError
from veo.ledger.record import State

if TYPE_CHECKING:
    from veo.engine.context import ActiveJob, StepContext

_log = logging.getLogger(__name__)


def step(context: StepContext, work: ActiveJob) -> float | None:
    """Move a job by one step.

    Returns:
        When to call again, Unix seconds; ``PARKED`` when its provider has no room; None when
        there is nothing more to do, because the job has ended or the work on it was stopped.
    """
    try:
        return _step(context, work)
    except LeaseLostError as error:
        context.stop_work(work, error)
    except VeoError as error:
        work.error, work.stopped = error, True
    except Exception as error:  # noqa: BLE001 - a bug in one job must not stop the others
        _log.exception("job %s", work.record.id)
        work.error, work.stopped = VeoError(f"a bug: {type(error).__name__}: {error}"), True
    return None


def _step(context: StepContext, work: ActiveJob) -> float | None:
    record = work.record
    if record.state is State.PLANNED:
        return submit(context, work)
    if record.state in {State.READY, State.DOWNLOADING}:
        return fetch(context, work)
    if record.state in {State.SUBMITTED, State.RUNNING} and record.task_id:
        return poll(context, work)
    if record.state is State.UNKNOWN:
        work.error = UnknownOutcomeError(record.id)
    elif not record.has_ended:
        mark_unknown(context, work)
    return None
