"""What a provider reports about an accepted job, applied to the job and its money."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from veo.engine import charging
from veo.engine.poll_schedule import HINT_FACTOR
from veo.engine.upload import add_upload_note
from veo.errors import VeoError
from veo.ledger.ledger import SEEN_LATE
from veo.ledger.record import Record, State
from veo.ledger.statement import USAGE_CHARGE
from veo.update import Stage, Update

if TYPE_CHECKING:
    from veo.engine.context import ActiveJob, StepContext

MAX_CLOCK_ERROR_S = 5.0  # the wall clock may be corrected by so much while a video is made
_STATES = {stage: State(stage) for stage in Stage}


def apply_update(
    context: StepContext, job: ActiveJob, update: Update, **changes: Any
) -> float | None:
    """Apply a provider's report on an accepted job. Return when to step again."""
    if not must_persist(job.record, update):
        return note_update(context, job, update)
    _note_report(job, update)
    if update.stage is Stage.FAILED:
        error = update.error or VeoError("the provider reported a failure without a reason")
        add_upload_note(context, job, error)
        money = charging.on_failed(job.record, error, update.charge)
        context.record_outcome(job, State.FAILED, error, data=_usage_data(update), **money)
        return None
    # The task is known, so an earlier "not found" does not hold any more.
    changes |= {"task_id": update.task_id or job.record.task_id, "error": None}
    if update.stage is Stage.READY:
        return _persist_ready(context, job, update, changes)
    job.not_ready_at = context.timer()
    context.move(job, _next_state(job.record, update), message=update.message, **changes)
    return context.next_poll_at(job, update.poll_after)


def note_update(context: StepContext, job: ActiveJob, update: Update) -> float:
    """Apply a report that changes nothing in the ledger, as most do. Return when to poll again."""
    _note_report(job, update)
    job.not_ready_at = context.timer()
    job.on_change(job)
    return context.next_poll_at(job, update.poll_after)


def _note_report(job: ActiveJob, update: Update) -> None:
    job.failures, job.retry_reason, job.retry_at = 0, None, 0.0
    job.progress, job.message = update.progress, update.message or job.message


def must_persist(record: Record, update: Update) -> bool:
    """Whether a report changes the ledger."""
    if update.stage in {Stage.READY, Stage.FAILED} or record.is_missing:
        return True
    is_other_task = update.task_id is not None and update.task_id != record.task_id
    return is_other_task or _next_state(record, update) is not record.state


def _next_state(record: Record, update: Update) -> State:
    if update.stage is Stage.SUBMITTED and record.state is State.RUNNING:
        return State.RUNNING  # some servers go back to `queued`; a job does not
    return _STATES[update.stage]


def _persist_ready(
    context: StepContext, job: ActiveJob, update: Update, changes: dict[str, Any]
) -> float:
    video = json.dumps(update.video.to_json()) if update.video else None
    changes |= charging.on_ready(job.record, update.charge)
    # The ledger counts polls when a job changes, not at each poll: most polls write nothing.
    polls = job.record.polls + job.polls
    job.polls = 0
    now = context.clock()
    # Without this, a job that is resumed hours later would teach the poll schedule hours.
    data = _usage_data(update) | ({SEEN_LATE: True} if _is_seen_late(context, job) else {})
    context.move(job, State.READY, video=video, polls=polls, ready_at=now, data=data, **changes)
    context.find_provider(job.record.provider).limiter.release(job.record.id)
    return context.timer()


def _usage_data(update: Update) -> dict[str, Any]:
    return {} if update.charge is None else {USAGE_CHARGE: str(update.charge)}


def _is_seen_late(context: StepContext, job: ActiveJob) -> bool:
    """Whether the times of the ledger may not tell how long the video took.

    It may have been ready long before this process polled, or the clock was set.
    """
    if job.not_ready_at is None:
        return True
    submitted_at = job.record.submitted_at or job.record.created_at
    if abs(context.clock() - submitted_at - context.elapsed_s(job)) > MAX_CLOCK_ERROR_S:
        return True
    durations = context.learn_durations(job.record.provider, job.record.model)
    # The longest time between two polls, which a hint of the server may ask for.
    return context.timer() - job.not_ready_at > durations.max_interval_s * HINT_FACTOR
