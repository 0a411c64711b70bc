"""Convert requests to the SDK's arguments, and operations to updates. No I/O.

The dicts have the SDK's field names; the SDK converts them to the ``predictLongRunning`` bodies
that were captured from google-genai 2.34. Operations are those that the SDK has parsed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo.errors import GenerationError, ModeratedError, ProtocolError, VeoError
from veo.update import RemoteVideo, Stage, Update
from veo_gemini.error_table import is_moderation

if TYPE_CHECKING:
    from collections.abc import Collection

    from google.genai.types import GenerateVideosOperation, GenerateVideosResponse, Video

    from veo.image import Image
    from veo.request import Request

# google.rpc.Code: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE. These
# are failures of the service, so that a new job may succeed.
_TRANSIENT_CODES = {4, 8, 10, 13, 14}


def build_source(request: Request, video: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the prompt, the start frame, and the video to extend."""
    image = _build_image(request.start_frame) if request.start_frame else None
    return _drop_missing({"prompt": request.prompt, "image": image, "video": video})


def build_config(request: Request) -> dict[str, Any]:
    """Return the options that both APIs accept; options without a value are left out."""
    references = [
        {"image": _build_image(image), "reference_type": "ASSET"} for image in request.reference
    ]
    return _drop_missing(
        {
            "duration_seconds": request.duration,
            "aspect_ratio": request.aspect_ratio,
            "resolution": request.resolution,
            "negative_prompt": request.negative_prompt,
            "person_generation": request.person_generation,
            "last_frame": _build_image(request.end_frame) if request.end_frame else None,
            "reference_images": references or None,
        }
    )


def build_developer_config(request: Request) -> dict[str, Any]:
    """Return the options for the Developer API.

    An extension sends ``sampleCount`` 1 and 720p, as Google's documents show it.
    """
    config = build_config(request)
    if request.extend:
        config |= {"number_of_videos": 1, "resolution": "720p"}
    if request.seed is not None:
        # The API accepts a seed, but the SDK refuses one in this mode (google-genai 2.34).
        config["http_options"] = {"extra_body": {"parameters": {"seed": request.seed}}}
    return config


def build_platform_config(
    request: Request, *, generate_audio: bool, storage_uri: str | None
) -> dict[str, Any]:
    """Return the options for the Agent Platform."""
    config = {
        "number_of_videos": 1,  # without it the platform may make, and charge for, up to 4
        "seed": request.seed,
        "generate_audio": generate_audio,
        "output_gcs_uri": storage_uri,
    }
    return build_config(request) | _drop_missing(config)


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


def describe_offer(listed: Collection[str], names: Collection[str]) -> str:
    """Return a line that says which of some models a list of models contains."""
    present = [name for name in names if name in listed]
    missing = [name for name in names if name not in listed]
    parts = (("offered: ", present), ("not offered: ", missing))
    return "the key is valid; " + "; ".join(text + ", ".join(each) for text, each in parts if each)


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


def _build_image(image: Image) -> dict[str, Any]:
    return {"image_bytes": image.data, "mime_type": image.mime}


def _drop_missing(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
