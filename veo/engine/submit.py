"""The paid step: stored before it is sent, and never sent again while its outcome is in doubt."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from veo.engine import charging
from veo.engine.context import (
    WAIT_FOR_CAPACITY,
    ActiveJob,
    ProviderHandle,
    StepContext,
    overdue_error,
)
from veo.engine.redaction import CallGuard, redact_update
from veo.engine.update import MAX_CLOCK_ERROR_S, apply_update
from veo.engine.upload import add_upload_note, upload_source, use_upload
from veo.errors import (
    BusyError,
    GoneError,
    HostNotFoundError,
    LeaseLostError,
    LedgerError,
    SetupError,
    TooLargeError,
    UnknownOutcomeError,
    VeoError,
)
from veo.files.images import FrameFit
from veo.ledger.heartbeat import free_dead_slots
from veo.ledger.record import State
from veo.problems import Remedy
from veo.provider import SEND_BEFORE, has_tasks, read_boot_clock
from veo.wire.values import MAX_RETRY_AFTER_S

if TYPE_CHECKING:
    from veo.ledger.limits import Admission
    from veo.request import Request
    from veo.update import Update

MAX_RETRIES = 10  # of a request that was certainly not accepted
LATE_S = 0.25  # between the count of a paid request and its first byte; see ``limits.WINDOW_S``
MAX_LATE_TRIES = 5  # on a disk that is always slow, requests are sent late
MAX_WRITE_TRIES = 5  # of a task id: without it the video that was paid for cannot be found
_log = logging.getLogger(__name__)


def submit(context: StepContext, job: ActiveJob) -> float | None:
    """Send a planned job, when its provider has room. Return when to step again. Blocks."""
    if context.is_overdue(job):
        context.stop_work(job, overdue_error(job))
        return None
    delay_s = _send_delay_s(context, job)
    if delay_s > 0:
        return context.capped_at_deadline(job, delay_s)
    try:
        handle = context.find_provider(job.record.provider)
    except SetupError as error:
        context.stop_work(job, error)
        return None
    # Before images are prepared, which takes CPU and is useless while there is no capacity.
    if not handle.limiter.try_acquire(job.record.id):
        return WAIT_FOR_CAPACITY
    try:
        upload_source(context, job, handle)
        request = _prepare_images(context, job, handle)
    except LeaseLostError:
        raise
    except VeoError as error:
        return _handle_preparation_error(context, job, error)
    return _send(context, job, handle, use_upload(job.record, request))


def _send_delay_s(context: StepContext, job: ActiveJob) -> float:
    """Return the seconds until a request may be sent that was refused before."""
    if job.not_before is not None:
        return job.not_before - context.timer()
    # Another process stored the time. If the clock was set back since, it may be far away.
    record, now = job.record, context.clock()
    is_set_back = max(record.created_at, record.submitted_at or 0.0) > now + MAX_CLOCK_ERROR_S
    delay_s = record.not_before - now
    return 0.0 if is_set_back or delay_s > MAX_RETRY_AFTER_S else delay_s


def _prepare_images(context: StepContext, job: ActiveJob, handle: ProviderHandle) -> Request:
    """Return the request with every image fitted to the limits of its model."""
    model = handle.provider.models[job.record.model]
    request = job.record.parse_request()
    ratio = request.aspect_ratio or model.aspect_ratios[0]
    shape = FrameFit(request.fit, ratio) if request.fit else None

    def prepare(image: Any) -> Any:
        fit = shape if image in request.frames else None
        fitted, note = context.images.prepare(image, model.image, job.shrink_count, fit)
        if note:
            job.message = note
            job.on_change(job)
        return fitted

    return request.map_images(prepare)


def _send(
    context: StepContext, job: ActiveJob, handle: ProviderHandle, request: Request
) -> float | None:
    if context.stopped_at is not None:  # the stop came while images were prepared
        return context.timer()
    admission = _persist_intent(context, job, handle)
    if admission.wait_s != 0.0:
        wait_s = admission.wait_s
        return WAIT_FOR_CAPACITY if wait_s is None else context.timer() + wait_s
    job.started_at = context.timer()
    if job.wait_s is not None and job.deadline is None:
        job.deadline = job.started_at + job.wait_s

    def report(update: Update) -> None:
        update = redact_update(update, handle.key)
        # The paid response must be read to its end, and this is not an error of the provider. If
        # the lease is lost or the disk is still full then, storing the response reports it.
        with contextlib.suppress(LeaseLostError, LedgerError):
            apply_update(context, job, update, **_acceptance_charge(job))

    # Half of the time after which other processes take this one for dead.
    send_before = SEND_BEFORE.set(admission.counted_at + context.ledger.database.lease_s / 2)
    try:
        with CallGuard(handle, "submitting"):
            update = redact_update(handle.provider.submit(request, report), handle.key)
    except VeoError as error:
        return _handle_submit_error(context, job, error)
    finally:
        SEND_BEFORE.reset(send_before)
    handle.has_accepted = True
    when = _persist_acceptance(context, job, update)
    if handle.limiter.is_slowed:
        capacity = context.ledger.recover(job.record.provider, handle.limiter.limits)
        handle.limiter.set_capacity(capacity)
    return when


def _persist_intent(context: StepContext, job: ActiveJob, handle: ProviderHandle) -> Admission:
    """Commit that the request is about to be sent, if the limits of its provider allow it.

    A process that dies from here on leaves a job that is never sent again by itself.

    Returns:
        Its ``wait_s`` is 0.0 if the request may be sent now; None means to wait for capacity.
    """
    limiter, submits = handle.limiter, job.record.submits + 1
    key_hash = handle.key.fingerprint(job.record.id) if handle.key else None
    for _ in range(MAX_LATE_TRIES):
        job.record, admission = context.ledger.begin_submit(
            job.record,
            limiter.limits,
            submitted_at=context.clock(),
            submits=submits,
            key_hash=key_hash,
            owner=context.queue_worker or job.record.owner,
        )
        if admission.wait_s != 0.0:
            return replace(admission, wait_s=_await_slot(context, job, handle, admission))
        # A slow disk, or a process that was stopped: the minute that was counted may be over, and
        # another process may have the job. Counting it again finds out.
        if read_boot_clock() - admission.counted_at < LATE_S:
            break
    limiter.on_admitted(job.record.id, admission)
    job.on_change(job)
    return admission


def _await_slot(
    context: StepContext, job: ActiveJob, handle: ProviderHandle, admission: Admission
) -> float | None:
    """Return how long to wait for what the ledger refused; see ``RateLimiter.on_refused``."""
    if job.record.state is State.SUBMITTING:  # it was late, and is certainly not sent
        submits = job.record.submits - 1
        context.move(job, State.PLANNED, kind="late", submits=submits)
    wait_s = handle.limiter.on_refused(job.record.id, admission)
    if admission.wait_s is None and wait_s:
        free_dead_slots(context.ledger, job.record.provider, context.clock())
    return wait_s


def _acceptance_charge(job: ActiveJob) -> dict[str, Any]:
    """Return the change of the amounts at the first report of acceptance; none at later ones."""
    return charging.on_accepted(job.record) if job.record.state is State.SUBMITTING else {}


def _persist_acceptance(context: StepContext, job: ActiveJob, update: Update) -> float | None:
    """Store the response, in several tries: only its task id leads to the video."""
    job.not_ready_at = context.timer()  # a video in this response became ready just now
    for number in range(MAX_WRITE_TRIES):
        try:
            return apply_update(context, job, update, **_acceptance_charge(job))
        except LeaseLostError:
            # A task with a usage report is polled again, so that its charge is that of the report.
            is_polled = update.task_id is not None and update.charge is not None
            video = None if is_polled else update.video
            context.ledger.attach_task(job.record.id, update.task_id, video, is_late_response=True)
            raise
        except LedgerError as error:
            if number == MAX_WRITE_TRIES - 1:
                raise _keep_task(context, job, update, error) from error
    return None


def _keep_task(
    context: StepContext, job: ActiveJob, update: Update, error: LedgerError
) -> LedgerError:
    """Keep a task that the ledger cannot store, log it, and return the error that names it."""
    job_id, task = job.record.id, update.task_id
    path = context.ledger.keep_task(job_id, task, update.video)
    advice = f"it is kept in {path}, and the next command takes it in" if path else "note it"
    subject = f"task {task}" if task else f"the video {update.video and update.video.uri}"
    text = f"job {job_id} was accepted as {subject}, which the ledger cannot store: {advice}"
    # In any case on the screen: other errors of the same full disk may hide the error of this job.
    _log.critical("%s", text)
    remedy = Remedy("attach_task", job_id, task) if task else Remedy("attach_url", job_id)
    return LedgerError(
        f"{error.message}. {text[0].upper()}{text[1:]}",
        hint=error.hint if path else "Attach it to the job later.",
        remedies=[remedy],
        charged=None,
    )


def _handle_submit_error(context: StepContext, job: ActiveJob, error: VeoError) -> float | None:
    money = charging.on_submit_error(job.record, error)
    if error.charged is not False:
        _name_addresses(job, error)
    # It may have been accepted: sending it again could pay twice.
    if error.charged is None:
        unknown = UnknownOutcomeError(
            job.record.id,
            f"the request was sent, but its outcome is unknown: {error.message}; "
            "it may have been accepted and paid for",
            request_id=error.request_id,
            has_tasks=has_tasks(job.record.provider),
        )
        unknown.response_end, unknown.urls = error.response_end, error.urls
        _name_addresses(job, unknown)
        context.record_outcome(job, State.UNKNOWN, unknown, **money)
        return None
    when = _retry_submit_at(context, job, error)
    if when is None:
        add_upload_note(context, job, error)
        context.record_outcome(job, State.FAILED, error, **money)
    return when


def _handle_preparation_error(
    context: StepContext, job: ActiveJob, error: VeoError
) -> float | None:
    """Upload again, or fail the job; the paid request was not sent, and an upload is free."""
    error.charged = False
    if not error.retryable or job.failures >= MAX_RETRIES:
        add_upload_note(context, job, error)
        context.record_outcome(job, State.FAILED, error, **charging.release_reservation())
        return None
    return _plan_again(context, job, error, context.retry_at(job, error))


def _name_addresses(job: ActiveJob, error: VeoError) -> None:
    """Add the addresses in a response that was not understood to the advice."""
    if not error.urls:
        return
    text = f"The response names {' and '.join(error.urls)}."
    if text not in (error.hint or ""):
        error.add_hint(text)
    remedy = Remedy("attach_url", job.record.id)
    if remedy not in error.remedies:
        error.remedies = (*error.remedies, remedy)


def _retry_submit_at(context: StepContext, job: ActiveJob, error: VeoError) -> float | None:
    """Return when to send a request again that was certainly not accepted; None for never."""
    must_shrink = (
        isinstance(error, TooLargeError)
        and job.shrink_count == 0
        and job.record.parse_request().images
    )
    # The copy of a local video was deleted before its time, or belongs to another account.
    is_gone = isinstance(error, GoneError) and job.record.upload is not None
    is_upload_gone = is_gone and not job.is_upload_repeated
    may_retry = must_shrink or is_upload_gone or (error.retryable and job.failures < MAX_RETRIES)
    # A name that has never led to a server is probably wrong; one that has, the network is down.
    has_accepted = context.find_provider(job.record.provider).has_accepted
    is_wrong_name = isinstance(error, HostNotFoundError) and not has_accepted
    if error.charged or is_wrong_name or not may_retry:
        return None
    if must_shrink:
        job.shrink_count, when = 1, context.timer()  # smaller images need no wait
    else:
        when = context.retry_at(job, error)
    changes: dict[str, Any] = {"upload": None} if is_upload_gone else {}
    job.is_upload_repeated |= is_upload_gone
    return _plan_again(context, job, error, when, **changes)


def _plan_again(
    context: StepContext, job: ActiveJob, error: VeoError, when: float, **changes: Any
) -> float:
    """Leave a job planned until it is tried again, and its place at the provider to others."""
    provider = job.record.provider
    limiter = context.find_provider(provider).limiter
    job.not_before, delay_s = when, max(0.0, when - context.timer())
    if isinstance(error, BusyError):
        slower = context.ledger.back_off(provider, limiter.limits, delay_s, limiter.in_flight)
        limiter.set_capacity(slower)
    not_before = context.clock() + delay_s  # for another process
    changes |= {"message": error.message, "not_before": not_before}
    context.move(job, State.PLANNED, kind="refused", **changes)
    limiter.release(job.record.id)
    return when
