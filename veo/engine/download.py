"""The last step: from the provider's server to a whole file under its final name."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from veo.engine.poll import ask
from veo.errors import (
    DownloadError,
    GoneError,
    NotReadyError,
    ProtocolError,
    SetupError,
    UnreachableError,
    VeoError,
)
from veo.files import output as download
from veo.files import sidecar
from veo.ledger.record import State
from veo.paths import part_path
from veo.problems import Remedy
from veo.update import Stage

if TYPE_CHECKING:
    from veo.engine.context import ActiveJob, StepContext
    from veo.provider import ByteStream, Provider
    from veo.update import RemoteVideo

TRIES = 6
NOT_READY_TRIES = 30
_log = logging.getLogger(__name__)


def fetch(context: StepContext, work: ActiveJob) -> float | None:
    """Download a finished video, check it, name it. Returns when to step again."""
    if _saved_already(context, work):
        return None
    if work.failures and context.stop_if_overdue(work):
        return None
    try:
        saved = _receive(context, work)
    except VeoError as error:
        return _failed(context, work, error)
    _done(context, work, saved)
    return None


def _receive(context: StepContext, work: ActiveJob) -> download.SavedFile:
    output = Path(work.record.output)
    part = part_path(output, work.record.id)
    stream = _open(context, work, download.size_on_disk(part))
    if work.record.state is State.READY or stream.etag != work.record.tag:
        context.move(work, State.DOWNLOADING, tag=stream.etag)
    output.parent.mkdir(parents=True, exist_ok=True)

    def told(count: int, total: int | None) -> None:
        if count > work.received:
            work.failures = 0
        work.received, work.total = count, total
        work.on_change(work)

    download.write_stream(stream, part, told)
    checked = download.verify_part(part)
    # Known before the file has its name: after a crash in between it is recognised by content.
    context.move(work, kind="verified", bytes=checked.bytes, sha256=checked.sha256)
    path = download.publish_part(part, output, work.record.id, force=work.record.force)
    return download.SavedFile(path, checked.bytes, checked.sha256)


def _open(context: StepContext, work: ActiveJob, kept: int) -> ByteStream:
    provider = context.find_provider(work.record.provider).provider
    video = _video(work)
    # Bytes of an earlier try are only worth something if the server can prove the same file.
    offset = kept if work.record.tag else 0
    try:
        stream = _from(provider, video, offset)
        if stream.offset and stream.etag != work.record.tag:
            stream.close()
            stream = provider.open(video, 0)
    except VeoError:
        raise
    except Exception as error:
        _log.exception("provider %s failed while opening a video", work.record.provider)
        raise ProtocolError(f"the provider's code failed: {type(error).__name__}") from error
    return stream


def _from(provider: Provider, video: RemoteVideo, offset: int) -> ByteStream:
    """The bytes from an offset on; all of them where the server makes nothing of the offset."""
    try:
        return provider.open(video, offset)
    except (GoneError, ProtocolError):
        if not offset:
            raise
        return provider.open(video, 0)


def _video(work: ActiveJob) -> RemoteVideo:
    video = work.record.remote_video()
    if video is None:
        raise GoneError("the provider returned no link to the video")
    return video


def _done(context: StepContext, work: ActiveJob, saved: download.SavedFile) -> None:
    part_path(Path(work.record.output), work.record.id).unlink(missing_ok=True)
    changes = {"bytes": saved.bytes, "sha256": saved.sha256, "output": str(saved.path)}
    if str(saved.path) != work.record.output:
        work.message = f"{work.record.output} was there already: saved as {saved.path.name}"
    context.move(
        work, State.DONE, message=work.message, owner=None, ended_at=context.clock(), **changes
    )
    sidecar.write_sidecar(work.record)


def _saved_already(context: StepContext, work: ActiveJob) -> bool:
    """Whether an earlier process died between naming the file and saying so."""
    output = Path(work.record.output)
    digest = work.record.sha256
    if digest is None or not output.is_file() or download.hash_file(output) != digest:
        return False
    _done(context, work, download.SavedFile(output, output.stat().st_size, digest))
    return True


def _failed(context: StepContext, work: ActiveJob, error: VeoError) -> float | None:
    if isinstance(error, SetupError):
        context.stop_work(work, error)
        return None
    waiting = isinstance(error, NotReadyError)
    spent = work.failures >= (NOT_READY_TRIES if waiting else TRIES)
    gone = isinstance(error, GoneError) and not error.retryable
    if (gone or (waiting and spent)) and not _moved(context, work):
        context.end_job(work, State.EXPIRED, _gone(error))
        return None
    if gone:
        return context.clock()
    if spent or not error.retryable:
        context.stop_work(work, _resumable(work, error))
        return None
    if isinstance(error, UnreachableError | GoneError):
        _moved(context, work)
    return context.retry(work, error)


def _moved(context: StepContext, work: ActiveJob) -> bool:
    """Ask the task once more where its video is: links expire, hosts change."""
    if work.refreshed or not work.record.task_id:
        return False
    work.refreshed = True
    try:
        update = ask(context, work)
    except VeoError:
        return False
    if update.stage is not Stage.READY or update.video is None:
        return False
    if update.video == work.record.remote_video():
        return False
    video = json.dumps(update.video.to_json())
    context.move(work, kind="moved", message="the video has another link now", video=video)
    return True


def _gone(error: VeoError) -> GoneError:
    return GoneError(
        f"the video was made but no longer exists: {error.message}",
        hint="Providers keep a video for a day or two; it remains charged.",
        charged=True,
    )


def _resumable(work: ActiveJob, error: VeoError) -> DownloadError:
    return DownloadError(
        f"the video is made, but could not be downloaded: {error.message}",
        hint=error.hint or "A new attempt pays nothing.",
        remedies=[Remedy("resume", work.record.id)],
        charged=True,
    )
