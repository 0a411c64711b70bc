"""From a request to what google-genai takes, and from an operation to an update. No I/O.

The dicts name fields as the SDK does; it turns them into the ``predictLongRunning`` bodies that
were captured from google-genai 2.34. Operations come as the SDK has read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from veo.errors import GenerationError, ModeratedError, ProtocolError, VeoError
from veo.update import RemoteVideo, Stage, Update
from veo_gemini.error_table import is_moderation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.genai.types import GenerateVideosOperation, GenerateVideosResponse, Video

    from veo.image import Image
    from veo.request import Request

# google.rpc.Code: the service's own troubles, with which a new job may have more luck.
_PASSING = {4, 8, 10, 13, 14}


def source(request: Request, video: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a video is made from: prompt, start frame, and the video that it continues."""
    image = _image(request.start_frame) if request.start_frame else None
    return _said({"prompt": request.prompt, "image": image, "video": video})


def config(request: Request) -> dict[str, Any]:
    """What both APIs take beside the source; only what was said."""
    references = [
        {"image": _image(image), "reference_type": "ASSET"} for image in request.reference
    ]
    return _said(
        {
            "duration_seconds": request.duration,
            "aspect_ratio": request.aspect_ratio,
            "resolution": request.resolution,
            "negative_prompt": request.negative_prompt,
            "person_generation": request.person_generation,
            "last_frame": _image(request.end_frame) if request.end_frame else None,
            "reference_images": references or None,
        }
    )


def developer_config(request: Request) -> dict[str, Any]:
    """The config for the Developer API, whose SDK mode refuses a seed although the API takes one.

    An extension says ``sampleCount`` 1 and 720p, as Google's documents show it.
    """
    said = config(request)
    if request.extend:
        said |= {"number_of_videos": 1, "resolution": "720p"}
    if request.seed is not None:
        said["http_options"] = {"extra_body": {"parameters": {"seed": request.seed}}}
    return said


def platform_config(
    request: Request, *, generate_audio: bool, storage_uri: str | None
) -> dict[str, Any]:
    """The config for the Agent Platform, which makes up to 4 videos unless told to make one."""
    said = {
        "number_of_videos": 1,
        "seed": request.seed,
        "generate_audio": generate_audio,
        "output_gcs_uri": storage_uri,
    }
    return config(request) | _said(said)


def accepted(operation: GenerateVideosOperation) -> Update:
    """What the answer to a submit says; it may be done already.

    Raises:
        ProtocolError: It names no operation, so that nobody can ask for it again.
    """
    if not operation.name:
        raise ProtocolError("Google accepted the request, but its answer names no operation")
    if operation.done:
        return update(operation, operation.name)
    return Update(stage=Stage.SUBMITTED, task_id=operation.name)


def update(operation: GenerateVideosOperation, task_id: str) -> Update:
    """What a poll says. The SDK raises for no operation that failed; here each becomes an error."""
    if not operation.done:
        return Update(stage=Stage.RUNNING, task_id=task_id)
    if operation.error:
        return _failed(task_id, _failure(operation.error))
    video = first_video(operation)
    if video is None:
        return _failed(task_id, _nothing(operation.response))
    # A video that comes within the answer has no address but that answer's.
    remote = RemoteVideo(video.uri or task_id, video.mime_type or "video/mp4")
    return Update(stage=Stage.READY, task_id=task_id, video=remote)


def first_video(operation: GenerateVideosOperation) -> Video | None:
    """The first video of an operation that has an address or bytes."""
    response = operation.response
    made = response.generated_videos or [] if response else []
    videos = (item.video for item in made if item.video)
    return next((video for video in videos if video.uri or video.video_bytes), None)


def is_operation(uri: str) -> bool:
    """Whether a remote video's address is the name of the operation that carries its bytes."""
    return "://" not in uri and "operations/" in uri


def offered(body: Any, names: Iterable[str]) -> str:
    """A line about a list of models: which of ``names`` are in it.

    Raises:
        ProtocolError: The body is no list of models.
    """
    models = body.get("models") if isinstance(body, dict) else None
    if not isinstance(models, list):
        raise ProtocolError("the answer is no list of models")
    seen = {str(row.get("name")).removeprefix("models/") for row in models if isinstance(row, dict)}
    here = [name for name in names if name in seen]
    gone = [name for name in names if name not in seen]
    told = (("on offer: ", here), ("not on offer: ", gone))
    return "the key is good; " + "; ".join(word + ", ".join(some) for word, some in told if some)


def _failed(task_id: str, error: VeoError) -> Update:
    return Update(stage=Stage.FAILED, task_id=task_id, error=error)


def _failure(error: dict[str, Any]) -> VeoError:
    code, text = error.get("code"), str(error.get("message") or "no reason given")
    if is_moderation(text):
        return ModeratedError(text)
    return GenerationError(f"{text} (code {code})", retryable=code in _PASSING)


def _nothing(response: GenerateVideosResponse | None) -> VeoError:
    reasons = response.rai_media_filtered_reasons or [] if response else []
    count = response.rai_media_filtered_count or 0 if response else 0
    if reasons or count:
        why = "; ".join(reasons) or "no reason given"
        return ModeratedError(f"Google's safety filter kept the video back: {why}")
    return GenerationError("the operation ended without a video and without a reason")


def _image(image: Image) -> dict[str, Any]:
    return {"image_bytes": image.data, "mime_type": image.mime}


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
