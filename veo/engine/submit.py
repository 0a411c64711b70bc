"""The paid step: written down before it is sent, sent once, and never sent again in doubt."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from veo.engine import charging as charge
from veo.engine.context import WAIT_FOR_CAPACITY
from veo.errors import (
    BusyError,
    ImageError,
    LeaseLostError,
    LedgerError,
    SetupError,
    TooLargeError,
    UnknownOutcomeError,
    VeoError,
)
from veo.ledger.record import State
from veo.problems import Remedy
from veo.update import Stage, Update

if TYPE_CHECKING:
    from veo.engine.context import ActiveJob, ProviderHandle, StepContext
    from veo.ledger.record import Record
    from veo.request import Request

TRIES = 10
WRITES = 5
_log = logging.getLogger(__name__)


def submit(context: StepContext, work: ActiveJob) -> float | None:
    """Send a planned job, when its provider has room. Returns when to step again."""
    if context.stop_if_overdue(work):
        return None
    now = context.clock()
    if work.record.not_before > now:
        return context.later(work, work.record.not_before - now)
    try:
        route = context.find_provider(work.record.provider)
    except SetupError as error:
        context.stop_work(work, error)
        return None
    wait = route.limiter.try_acquire(work.record.id, now)
    if wait != 0.0:
        return WAIT_FOR_CAPACITY if wait is None else now + wait
    try:
        request = _prepare(context, work, route)
    except ImageError as error:
        context.end_job(work, State.FAILED, error, **charge.on_refused(work.record, error))
        return None
    return _send(context, work, route, request)


def mark_unknown(context: StepContext, work: ActiveJob) -> None:
    """A job that was found being sent, its sender dead: nobody can tell whether it was paid."""
    was = work.record.state
    error = UnknownOutcomeError(
        work.record.id,
        f"the process that sent job {work.record.id} ended before the response arrived; "
        "it may have been accepted and paid for",
    )
    context.end_job(work, State.UNKNOWN, error, certain=False)
    _log.info("job %s: %s -> unknown", work.record.id, was)


def apply_update(
    context: StepContext, work: ActiveJob, update: Update, **changes: Any
) -> float | None:
    """Take in what a provider reported of an accepted job. Returns when to step again."""
    work.failures = 0
    work.progress, work.message = update.progress, update.message or work.message
    if update.stage is Stage.FAILED:
        error = update.error or VeoError("the provider reported a failure without a reason")
        context.end_job(work, State.FAILED, error, **charge.on_failed(work.record))
        return None
    changes |= {"task_id": update.task_id or work.record.task_id}
    if update.stage is Stage.READY:
        return _ready(context, work, update, changes)
    if must_persist(work.record, update):
        context.move(work, _state(work.record, update), message=update.message, **changes)
    else:
        work.on_change(work)
    return context.next_poll(work, update.poll_after)


def must_persist(record: Record, update: Update) -> bool:
    """Whether a report has to be written down."""
    other = update.task_id is not None and update.task_id != record.task_id
    return other or _state(record, update) is not record.state


def _state(record: Record, update: Update) -> State:
    if update.stage is Stage.SUBMITTED and record.state is State.RUNNING:
        return State.RUNNING  # some servers go back to `queued`; a life does not
    return State(update.stage)


def _ready(context: StepContext, work: ActiveJob, update: Update, changes: dict[str, Any]) -> float:
    video = json.dumps(update.video.to_json()) if update.video else None
    money = charge.on_ready(work.record)
    polls = work.record.polls + work.polls
    work.polls = 0
    times = {"ready_at": context.clock()}
    context.move(work, State.READY, video=video, polls=polls, **changes, **times, **money)
    context.find_provider(work.record.provider).limiter.release(work.record.id)
    return context.clock()


def _prepare(context: StepContext, work: ActiveJob, route: ProviderHandle) -> Request:
    limits = route.provider.models[work.record.model].image

    def fit(image: Any) -> Any:
        fitted, note = context.images.prepare(image, limits, work.shrink)
        if note:
            work.message = note
            work.on_change(work)
        return fitted

    return work.record.parse_request().map_images(fit)


def _send(
    context: StepContext, work: ActiveJob, route: ProviderHandle, request: Request
) -> float | None:
    now = context.clock()
    if work.wait_s is not None and work.deadline is None:
        work.deadline = now + work.wait_s
    context.move(work, State.SUBMITTING, submitted_at=now, submits=work.record.submits + 1)

    def report(update: Update) -> None:
        # A lost lease shows again with the answer, which must not be missed for it.
        with contextlib.suppress(LeaseLostError):
            apply_update(context, work, update, **_first(work))

    try:
        update = route.provider.submit(request, report)
    except VeoError as error:
        return _not_made(context, work, route, error)
    except Exception as error:  # noqa: BLE001 - a provider's bug must not end in a second payment
        _log.exception("provider %s failed while submitting", work.record.provider)
        return _not_made(context, work, route, _broke(error))
    route.limiter.recover()
    return _keep(context, work, update, _first(work))


def _first(work: ActiveJob) -> dict[str, Any]:
    """What the first sign of acceptance does to the money."""
    return charge.on_accepted(work.record) if work.record.state is State.SUBMITTING else {}


def _keep(
    context: StepContext, work: ActiveJob, update: Update, money: dict[str, Any]
) -> float | None:
    """Write the answer down, whatever it takes: it is the only handle on something paid for."""
    for tries in range(WRITES):
        try:
            return apply_update(context, work, update, **money)
        except LeaseLostError:
            context.ledger.adopt_late_response(work.record.id, update.task_id, update.video)
            raise
        except LedgerError as error:
            if tries == WRITES - 1:
                raise LedgerError(
                    f"{error.message}. Job {work.record.id} was accepted as task "
                    f"{update.task_id}, which could not be stored",
                    hint="Attach the task to the job later.",
                    remedies=[Remedy("attach_task", work.record.id, update.task_id)],
                    charged=None,
                ) from error
    return None


def _not_made(
    context: StepContext, work: ActiveJob, route: ProviderHandle, error: VeoError
) -> float | None:
    money = charge.on_refused(work.record, error)
    if error.charged is None:
        unknown = UnknownOutcomeError(
            work.record.id,
            f"the request was sent, but its outcome is unknown: {error.message}; "
            "it may have been accepted and paid for",
            request_id=error.request_id,
        )
        context.end_job(work, State.UNKNOWN, unknown, **money)
        return None
    again = _again(context, work, route, error)
    if again is None:
        context.end_job(work, State.FAILED, error, **money)
    return again


def _again(
    context: StepContext, work: ActiveJob, route: ProviderHandle, error: VeoError
) -> float | None:
    """When to send a request again that was certainly not accepted; None for never."""
    smaller = (
        isinstance(error, TooLargeError) and work.shrink == 0 and work.record.parse_request().images
    )
    if error.charged or not (smaller or (error.retryable and work.failures < TRIES)):
        return None
    if smaller:
        work.shrink, when = 1, context.clock()
    else:
        when = context.retry(work, error)
    if isinstance(error, BusyError):
        route.limiter.back_off(context.clock(), max(0.0, when - context.clock()))
    context.move(work, State.PLANNED, kind="refused", message=error.message, not_before=when)
    route.limiter.release(work.record.id)
    return when


def _broke(error: Exception) -> VeoError:
    return VeoError(f"the provider's code failed: {type(error).__name__}", charged=None)
