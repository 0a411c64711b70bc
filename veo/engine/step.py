"""The state machine of a job: ``step`` moves one job by one step; a waiting job has no thread.

Everything that is decided about a job is decided in its steps. What calls them is a queue with a
clock: the dispatcher of this process, or a worker with a queue of its own.
"""

from __future__ import annotations

import logging

from veo.engine.context import MADE, ActiveJob, StepContext
from veo.engine.download import download
from veo.engine.poll import poll
from veo.engine.response_wait import submit_in_time
from veo.errors import LeaseLostError, UnknownOutcomeError, VeoError
from veo.ledger.record import State
from veo.provider import has_tasks

_POLLED = frozenset({State.SUBMITTED, State.RUNNING})
_log = logging.getLogger(__name__)


async def step(context: StepContext, job: ActiveJob) -> float | None:
    """Move a job by one step.

    Whatever blocks (paid requests, downloads, writes to the ledger) runs in ``context.threads``.

    Returns:
        When to call again, by the timer of the context; ``WAIT_FOR_CAPACITY`` if its provider has
        no room; None if there is nothing more to do, because the job has ended or the work on it
        was stopped.
    """
    try:
        return await _take_step(context, job)
    except LeaseLostError as error:
        context.stop_work(job, error)
    except VeoError as error:
        job.error = error
    except Exception as error:  # noqa: BLE001 - a bug in one job must not stop the others
        _log.exception("job %s", job.record.id)
        job.error = VeoError(f"a bug: {type(error).__name__}: {error}")
    return None


async def _take_step(context: StepContext, job: ActiveJob) -> float | None:
    record = job.record
    if record.state in _POLLED and record.task_id:
        return await poll(context, job)
    if record.state in MADE:
        return await download(context, job)
    if record.state is State.PLANNED:
        return await submit_in_time(context, job)
    if record.state is State.UNKNOWN:
        job.error = UnknownOutcomeError(record.id, has_tasks=has_tasks(record.provider))
    elif not record.has_ended:
        await context.threads.write.run(mark_unknown, context, job)
    return None


def mark_unknown(context: StepContext, job: ActiveJob) -> None:
    """Make a job unknown whose process died while it sent the request; it may be paid for."""
    previous = job.record.state
    error = UnknownOutcomeError(
        job.record.id,
        f"the process that sent job {job.record.id} ended before the response arrived; "
        "it may have been accepted and paid for",
        has_tasks=has_tasks(job.record.provider),
    )
    context.record_outcome(job, State.UNKNOWN, error, certain=False)
    _log.info("job %s: %s -> unknown", job.record.id, previous)
