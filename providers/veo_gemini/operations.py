"""Read the operations of the SDK, as it has parsed them, into updates. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo.errors import GenerationError, ModeratedError, ProtocolError, VeoError
from veo.update import RemoteVideo, Stage, Update
from veo_gemini.error_table import is_moderation

if TYPE_CHECKING:
    from google.genai.types import GenerateVideosOperation, GenerateVideosResponse, Video


# google.rpc.Code: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE. These
# are failures of the service, so that a new job may succeed.
_TRANSIENT_CODES = {4, 8, 10, 13, 14}


def read_submit_response(operation: GenerateVideosOperation) -> Update:
    """Return the update of the response to a submit; the operation may be done already.

    Raises:
        ProtocolError: The response does not name the operation, so that it cannot be polled.
    """
    if not operation.name:
        raise ProtocolError("Google accepted the request, but the response names no operation")
    if operation.done:
        return read_operation(operation, operation.name)
    return Update(stage=Stage.SUBMITTED, task_id=operation.name)


def read_operation(operation: GenerateVideosOperation, task_id: str) -> Update:
    """Return the update of a polled operation.

    The SDK returns a failed operation like any other; here its error becomes an exception.
    """
    if not operation.done:
        return Update(stage=Stage.RUNNING, task_id=task_id)
    if operation.error:
        return _failed_update(task_id, _operation_error(operation.error))
    video = find_video(operation)
    if video is None:
        return _failed_update(task_id, _no_video_error(operation.response))
    # A video within the response has no URL; the operation's name leads to it.
    remote = RemoteVideo(video.uri or task_id, video.mime_type or "video/mp4")
    return Update(stage=Stage.READY, task_id=task_id, video=remote)


def find_video(operation: GenerateVideosOperation) -> Video | None:
    """Return the first video of an operation that has a URL or bytes."""
    response = operation.response
    generated = response.generated_videos or [] if response else []
    videos = (item.video for item in generated if item.video)
    return next((video for video in videos if video.uri or video.video_bytes), None)


def is_operation_name(uri: str) -> bool:
    """Return whether a video's address is the name of the operation whose response holds it."""
    return "://" not in uri and "operations/" in uri


def _failed_update(task_id: str, error: VeoError) -> Update:
    return Update(stage=Stage.FAILED, task_id=task_id, error=error)


def _operation_error(error: dict[str, Any]) -> VeoError:
    code, text = error.get("code"), str(error.get("message") or "no reason given")
    if is_moderation(text):
        return ModeratedError(text)
    is_transient = isinstance(code, int) and code in _TRANSIENT_CODES
    return GenerationError(f"{text} (code {code})", retryable=is_transient)


def _no_video_error(response: GenerateVideosResponse | None) -> VeoError:
    reasons = response.rai_media_filtered_reasons or [] if response else []
    count = response.rai_media_filtered_count or 0 if response else 0
    if reasons or count:
        why = "; ".join(reasons) or "no reason given"
        return ModeratedError(f"Google's safety filter blocked the video: {why}")
    return GenerationError("the operation ended without a video and without a reason")
