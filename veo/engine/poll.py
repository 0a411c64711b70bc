"""The free step: query the task until it ends."""

from __future__ import annotations

from veo.engine.context import MADE, ActiveJob, StepContext, overdue_error
from veo.engine.poll_schedule import ProgressTracker
from veo.engine.redaction import CallGuard, redact_update
from veo.engine.update import apply_update, must_persist, note_update
from veo.errors import GoneError, TaskNotFoundError, UnknownOutcomeError, VeoError
from veo.ledger.record import LONGEST_GENERATION_S, State
from veo.update import Stage, Update

SETTLE_RETRY_S = 3.0  # between two polls of a task that is too new to be known
# A gateway of several machines may not know a task on one of them: one response proves nothing.
MAX_MISSING_RETRIES = 2
_UNFINISHED = (Stage.SUBMITTED, Stage.RUNNING)


async def poll(context: StepContext, job: ActiveJob) -> float | None:
    """Poll an accepted job once. Return when to step again.

    A job whose time is over is polled once more: a laptop that was asleep finds its video.
    """
    is_last = context.is_overdue(job)
    when = await _poll_once(context, job)
    if is_last and when is not None and job.record.state not in MADE:
        await context.threads.write.run(context.stop_work, job, overdue_error(job))
        return None
    return when


async def _poll_once(context: StepContext, job: ActiveJob) -> float | None:
    """Poll; most polls change nothing in the ledger, and stay on the event loop."""
    run_write = context.threads.write.run
    try:
        update = await query_task(context, job)
    except VeoError as error:
        return await _handle_poll_error(context, job, error)
    if update.progress:
        job.tracker = job.tracker or ProgressTracker()
        job.tracker.record(update.progress, context.elapsed_s(job))
    if update.stage in _UNFINISHED and _is_endless(context, job):
        await run_write(_end_endless, context, job)
        return None
    # Only what changes the ledger goes to a thread: a commit takes milliseconds.
    if must_persist(job.record, update):
        return await run_write(apply_update, context, job, update)
    return note_update(context, job, update)


async def query_task(context: StepContext, job: ActiveJob) -> Update:
    """Return what the provider reports of a job's task.

    Raises:
        VeoError: What the provider raised. A bug in its code counts as an unreadable response.
    """
    job.polls += 1
    handle = context.find_provider(job.record.provider)
    with CallGuard(handle, "polling"):
        update = await handle.provider.poll(str(job.record.task_id))
        return redact_update(update, handle.key)


async def _handle_poll_error(context: StepContext, job: ActiveJob, error: VeoError) -> float | None:
    run_write = context.threads.write.run
    context.name_other_key(job, error)
    # Databases of providers lag: a task may be unknown for a moment after its submit.
    if isinstance(error, TaskNotFoundError):
        if _is_too_new(context, job):
            return context.retry_in(job, error, error.retry_after or SETTLE_RETRY_S)
        if job.failures < MAX_MISSING_RETRIES and not context.is_retention_over(job):
            return context.retry_at(job, error)
        await run_write(_end_missing, context, job, error)
        return None
    await run_write(_keep_reason, context, job, error)
    if error.retryable:
        return context.retry_at(job, error)
    await run_write(context.stop_work, job, error)
    return None


def _keep_reason(context: StepContext, job: ActiveJob, error: VeoError) -> None:
    """Add why a poll failed to the history, unless the latest one there is of the same kind."""
    if job.poll_error is not type(error):
        polls = job.record.polls + job.polls
        context.move(job, kind="poll failed", message=error.reason, polls=polls)
        job.poll_error, job.polls = type(error), 0


def _is_too_new(context: StepContext, job: ActiveJob) -> bool:
    """Whether the provider may not know the task yet."""
    settle_s = context.find_provider(job.record.provider).facts.settle_s
    return context.elapsed_s(job) < settle_s


def _is_endless(context: StepContext, job: ActiveJob) -> bool:
    beyond_s = context.elapsed_s(job) - LONGEST_GENERATION_S
    if beyond_s <= 0:
        return False  # nearly every poll
    model = context.find_model(job)
    return model is not None and beyond_s > model.retention_s


def _end_endless(context: StepContext, job: ActiveJob) -> None:
    """End the work on a task that runs for longer than the provider keeps a task.

    Nobody knows whether it is charged: its reservation becomes an amount in doubt, which the
    provider's list of charges settles.
    """
    error = UnknownOutcomeError(
        job.record.id,
        f"task {job.record.task_id} has not ended within the time for which the provider keeps "
        "it; it may have been charged",
    )
    context.record_outcome(job, State.UNKNOWN, error, certain=False)


def _end_missing(context: StepContext, job: ActiveJob, error: TaskNotFoundError) -> None:
    """Stop the work on a job whose task is not known; end it if the video is deleted by now."""
    if not context.is_retention_over(job):
        text = f"the provider does not know task {job.record.task_id}"
        context.stop_missing(job, text, error, charged=None)
        return
    gone = GoneError(
        f"the provider no longer knows task {job.record.task_id}: {error.message}",
        hint=error.hint or "The provider's console may show whether it was charged.",
        request_id=error.request_id,
    )
    context.record_outcome(job, State.EXPIRED, gone, certain=False)
