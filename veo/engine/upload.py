"""The free step before the paid one: give the provider the local video that a request names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from veo.engine.redaction import CallGuard, redact_video
from veo.errors import ConfigError, UsageError, VeoError, os_errors
from veo.files.output import hash_file
from veo.provider import Uploader

if TYPE_CHECKING:
    from pathlib import Path

    from veo.engine.context import ActiveJob, ProviderHandle, StepContext
    from veo.ledger.record import Record
    from veo.request import Request
    from veo.update import RemoteVideo

# The provider reads the file after the paid request, so its copy must be there for some time.
EXPIRY_MARGIN_S = 900.0


def upload_source(context: StepContext, job: ActiveJob, handle: ProviderHandle) -> None:
    """Upload the video that a job extends or edits, unless the provider has it. Blocks.

    The result is in the ledger before the paid request is sent, so that the job continues with it
    in another process.

    Raises:
        VeoError: The file was not uploaded. Nothing was charged.
    """
    source = job.record.parse_request().source
    path = source.local_path if source else None
    if source is None or path is None or _is_stored(context, job.record):
        return
    _check_unchanged(path, source.sha256)
    video = _upload(job, handle, path)
    job.failures, job.message = 0, None
    text = json.dumps(video.to_json())
    context.move(job, kind="uploaded", message=f"{path} was uploaded", upload=text)


def use_upload(record: Record, request: Request) -> Request:
    """Return the request with the provider's copy in place of the local video."""
    uploaded, source = record.uploaded_video(), request.source
    if uploaded is None or source is None:
        return request
    video = replace(uploaded, seconds=uploaded.seconds or source.seconds)
    return replace(request, extend=video) if request.extend else replace(request, edit=video)


def add_upload_note(context: StepContext, job: ActiveJob, error: VeoError) -> None:
    """Add what is known about refused uploads to the hint, if the job's video is an upload."""
    source = job.record.parse_request().source
    if source is None or source.local_path is None:
        return
    model = context.find_model(job)
    if model and model.upload_note:
        error.add_hint(model.upload_note)


def _is_stored(context: StepContext, record: Record) -> bool:
    uploaded = record.uploaded_video()
    if uploaded is None:
        return False
    expires_at = uploaded.expires_at
    return expires_at is None or context.clock() + EXPIRY_MARGIN_S < expires_at


def _check_unchanged(path: Path, sha256: str | None) -> None:
    with os_errors(UsageError, path):
        is_changed = sha256 is not None and hash_file(path) != sha256
    if is_changed:
        raise UsageError(f"{path} has changed since the job was planned")


def _upload(job: ActiveJob, handle: ProviderHandle, path: Path) -> RemoteVideo:
    if not isinstance(handle.provider, Uploader):
        raise ConfigError(f"{handle.provider.name} cannot upload a video")

    def report(sent: int, total: int) -> None:
        job.message = f"{sent / max(total, 1):.0%} of {path.name} is uploaded"
        job.on_change(job)

    with CallGuard(handle, "uploading", retryable=False):
        return redact_video(handle.provider.upload(path, report), handle.key)
