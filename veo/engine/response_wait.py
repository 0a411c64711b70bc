"""Wait for the response to a paid request, but not for ever.

The time limits of HTTP end most waits. These are for the user: the end of the wait for the job, and
the end of the process. A request that is known to be accepted is not cut off, because its money is
spent. Only a worker that is stopped does that too: it must end before it is killed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from veo.engine.submit import submit
from veo.errors import LeaseLostError, UnknownOutcomeError
from veo.ledger.record import State
from veo.provider import has_tasks

if TYPE_CHECKING:
    from veo.engine.context import ActiveJob, StepContext

# Most responses come within seconds, and each that does not leaves a job of unknown outcome.
GRACE_S = 10.0  # unless ``StepContext.stop_grace_s`` says otherwise
CHECK_S = 0.5


async def submit_in_time(context: StepContext, job: ActiveJob) -> float | None:
    """Send a planned job in a thread; return when to step again.

    A response that comes after the wait is stored by the thread, if the process still lives.
    """
    call = context.threads.submit.start(submit, context, job)
    response = asyncio.wrap_future(call)
    try:
        while not response.done():
            await asyncio.wait({response}, timeout=CHECK_S)
            if not response.done() and _is_given_up(context, job):
                context.threads.submit.abandon(call)
                response.cancel()
                return await context.threads.write.run(_record_unknown, context, job)
    except asyncio.CancelledError:
        response.cancel()  # a call that has not begun is dropped
        raise
    return response.result()


def _is_given_up(context: StepContext, job: ActiveJob) -> bool:
    record = job.record
    if not (record.is_being_sent if context.queue_worker else record.state is State.SUBMITTING):
        return False
    ends = [] if job.deadline is None else [job.deadline + GRACE_S]
    if context.stopped_at is not None:
        grace_s = GRACE_S if context.stop_grace_s is None else context.stop_grace_s
        ends.append(context.stopped_at + grace_s)
    return bool(ends) and context.timer() >= min(ends)


def _record_unknown(context: StepContext, job: ActiveJob) -> float | None:
    error = UnknownOutcomeError(
        job.record.id,
        "the request was sent, and no response had come when the wait ended; "
        "it may have been accepted and paid for",
        has_tasks=has_tasks(job.record.provider),
    )
    try:
        context.record_outcome(job, State.UNKNOWN, error, certain=False)
    except LeaseLostError:  # the response has come at this moment
        job.record, job.error = context.ledger.find_job(job.record.id), None
        return context.timer()
    return None
