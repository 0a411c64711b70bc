"""The last step: download the video to a complete file under its final name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from veo.engine.context import ActiveJob, StepContext, not_downloaded_error, overdue_error
from veo.engine.poll import MAX_MISSING_RETRIES, query_task
from veo.engine.redaction import CallGuard, redact_stream
from veo.errors import (
    GoneError,
    LeaseLostError,
    LedgerError,
    NotReadyError,
    ProtocolError,
    SetupError,
    UnreachableError,
    VeoError,
)
from veo.files import sidecar
from veo.files.clip import ClipInfo, describe_clip, list_differences
from veo.files.mp4 import inspect_path
from veo.files.output import (
    SavedFile,
    disk_errors,
    hash_file,
    publish_part,
    size_on_disk,
    verify_part,
    write_stream,
)
from veo.ledger.record import State
from veo.money import expected_seconds
from veo.update import RemoteVideo, Stage

if TYPE_CHECKING:
    from veo.provider import ByteStream, Provider

MAX_RETRIES = 6
MAX_NOT_READY_RETRIES = 30  # storage may be minutes behind the task
# A download that goes on after the end of the wait must bring so many bytes in so many seconds.
LATE_BYTES, LATE_S = 1 << 18, 5.0


async def download(context: StepContext, job: ActiveJob) -> float | None:
    """Download a finished video, check it, name it. Return when to step again."""
    try:
        await context.threads.download.run(fetch_file, context, job)
    except LeaseLostError:
        raise
    except VeoError as error:
        if context.queue_worker and isinstance(error, LedgerError):
            raise  # the worker tries again when the database is back
        return await _handle_download_error(context, job, error)
    return None


def fetch_file(context: StepContext, job: ActiveJob) -> None:
    """Make the video a file on disk and the job done, trying once. Blocks.

    Raises:
        VeoError: This try failed.
    """
    with disk_errors(job.record.path):
        if _is_saved_already(context, job):
            return
        # The first try is always made: the video is paid for.
        if job.failures and context.is_overdue(job):
            context.stop_work(job, overdue_error(job))
            return
        _persist_done(context, job, _receive(context, job))


def _receive(context: StepContext, job: ActiveJob) -> SavedFile:
    output, part = job.record.path, context.part_path(job)
    stream = _open_stream(context, job, size_on_disk(part))
    if job.record.state is State.READY or stream.etag != job.record.etag:
        context.move(job, State.DOWNLOADING, etag=stream.etag)
    part.parent.mkdir(parents=True, exist_ok=True)

    pace = _LatePace(context, job)

    def on_received(count: int, total: int | None) -> None:
        if count > job.received:  # a try that brings new bytes is not a failure
            job.failures = 0
        job.received, job.total = count, total
        job.on_change(job)
        pace.check()

    write_stream(stream, part, on_received)
    checked = verify_part(part)
    # Stored before the file is renamed, so that after a crash the file is recognised by its hash.
    context.move(
        job,
        kind="verified",
        bytes=checked.bytes,
        sha256=checked.sha256,
        video_s=checked.footage.seconds,
        bought_s=_find_bought_s(context, job),
    )
    path = publish_part(part, output, job.record.id, force=job.record.force)
    return replace(checked, path=path)


class _LatePace:
    """Ends a download that goes on after the end of the wait, unless it comes fast."""

    def __init__(self, context: StepContext, job: ActiveJob) -> None:
        self._context, self._job = context, job
        self._since, self._count = float("inf"), 0

    def check(self) -> None:
        """Raise a DownloadError if the wait has ended and too little was received since."""
        if not self._context.is_overdue(self._job):
            return
        now = self._context.timer()
        if now < self._since or self._job.received - self._count >= LATE_BYTES:
            self._since, self._count = now, self._job.received
        elif now > self._since + LATE_S:
            raise overdue_error(self._job)


def _open_stream(context: StepContext, job: ActiveJob, part_bytes: int) -> ByteStream:
    handle = context.find_provider(job.record.provider)
    video = job.record.remote_video()
    if video is None:
        raise GoneError("the provider returned no link to the video")
    # Bytes of an earlier try can be used only if the ETag proves that the file is still the same.
    offset = part_bytes if job.record.etag else 0
    with CallGuard(handle, "opening a video"):
        stream = redact_stream(_open_at(handle.provider, video, offset), handle.key)
        if stream.offset and stream.etag != job.record.etag:
            stream.close()
            stream = redact_stream(handle.provider.open(video, 0), handle.key)
    return stream


def _open_at(provider: Provider, video: RemoteVideo, offset: int) -> ByteStream:
    """Open a video at an offset, or from its start if the server refuses the offset."""
    try:
        return provider.open(video, offset)
    except (GoneError, ProtocolError):
        if not offset:
            raise
        return provider.open(video, 0)


def _find_bought_s(context: StepContext, job: ActiveJob) -> float | None:
    model = context.find_model(job)
    return expected_seconds(job.record.parse_request(), model) if model else None


def _persist_done(context: StepContext, job: ActiveJob, saved: SavedFile) -> None:
    context.part_path(job).unlink(missing_ok=True)  # that of a video in a bucket
    clip = describe_clip(saved.footage)
    changes: dict[str, Any] = {
        "owner": None,
        "ended_at": context.clock(),
        "error": None,
        "bytes": saved.bytes,
        "sha256": saved.sha256,
        "output": str(saved.path),
    }
    if clip:
        compared = replace(clip, differences=_list_differences(context, job, clip))
        changes["clip"] = json.dumps(compared.to_json())
    if str(saved.path) != job.record.output:
        job.message = f"{job.record.output} was there already: saved as {saved.path.name}"
    record = job.record
    if record.has_other_length:
        job.message = f"the video is {record.video_s:.1f} s long instead of {record.bought_s:g} s"
    # Before the last commit: nothing looks at a job that is done, so a crash between the two would
    # leave the video without a sidecar for ever.
    sidecar.write_sidecar(replace(record, state=State.DONE, **changes))
    context.move(job, State.DONE, message=job.message, **changes)


def _list_differences(context: StepContext, job: ActiveJob, clip: ClipInfo) -> tuple[str, ...]:
    model = context.find_model(job)
    return tuple(list_differences(clip, job.record.parse_request(), model)) if model else ()


def _is_saved_already(context: StepContext, job: ActiveJob) -> bool:
    """Complete a job whose process died after it named the file; return whether that was so."""
    output = job.record.path
    digest = job.record.sha256
    if digest is None or not output.is_file() or hash_file(output) != digest:
        return False
    part = context.part_path(job)
    # The part of a video in a bucket is still here, and need not be read over the network.
    footage = inspect_path(part if part.is_file() else output)
    _persist_done(context, job, SavedFile(output, output.stat().st_size, digest, footage))
    return True


async def _handle_download_error(
    context: StepContext, job: ActiveJob, error: VeoError
) -> float | None:
    run_write = context.threads.write.run
    context.name_other_key(job, error)
    if isinstance(error, SetupError):
        await run_write(context.stop_work, job, error)
        return None
    is_gone = isinstance(error, GoneError) and not error.retryable
    is_exhausted = job.failures >= _max_retries(context, job, error)
    if is_gone and await _refresh_url(context, job):
        return context.timer()
    if is_exhausted and (is_gone or isinstance(error, NotReadyError)):
        await run_write(_end_missing, context, job, error)
        return None
    if is_exhausted or not (is_gone or error.retryable):
        reason = not_downloaded_error(job, error.message, error.hint)
        await run_write(context.stop_work, job, reason)
        return None
    if isinstance(error, UnreachableError | GoneError):
        await _refresh_url(context, job)
    return context.retry_at(job, error)


def _max_retries(context: StepContext, job: ActiveJob, error: VeoError) -> int:
    if isinstance(error, NotReadyError):
        return MAX_NOT_READY_RETRIES
    if isinstance(error, GoneError) and not error.retryable:
        return 0 if context.is_retention_over(job) else MAX_MISSING_RETRIES
    return MAX_RETRIES


def _end_missing(context: StepContext, job: ActiveJob, error: VeoError) -> None:
    """Stop the work on a job whose file is missing; end the job if the file is deleted by now."""
    if context.is_retention_over(job):
        context.record_outcome(job, State.EXPIRED, _gone_error(error))
    else:
        text = "the video is made, but the provider does not have the file now"
        context.stop_missing(job, text, error, charged=True)


async def _refresh_url(context: StepContext, job: ActiveJob) -> bool:
    """Query the task once more, because links expire and hosts change.

    Returns:
        Whether the video has another URL now.
    """
    if job.is_url_refreshed or not job.record.task_id:
        return False
    job.is_url_refreshed = True  # once: a provider that keeps changing links would loop
    try:
        update = await query_task(context, job)
    except VeoError:
        return False
    is_ready = update.stage is Stage.READY and update.video is not None
    if not is_ready or update.video == job.record.remote_video():
        return False
    await context.threads.write.run(_persist_url, context, job, update.video)
    return True


def _persist_url(context: StepContext, job: ActiveJob, video: RemoteVideo) -> None:
    message = "the video has another link now"
    context.move(job, kind="moved", message=message, video=json.dumps(video.to_json()))


def _gone_error(error: VeoError) -> GoneError:
    return GoneError(
        f"the video was made but no longer exists: {error.message}",
        hint="Providers keep a video for a day or two; it remains charged.",
        charged=True,
    )
