"""Convert requests to what Google's APIs take: an option is sent by the functions here only.

Veo: the SDK's arguments, with its field names; it converts them to ``predictLongRunning`` bodies,
which were captured from google-genai 2.34. Omni: the bodies of ``POST .../interactions``, with the
names and shapes of captured requests (October 2026) and of Google's documents; every option is in
``response_format``, and only the task in ``video_config``. No I/O.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veo.image import Image
    from veo.model import Model
    from veo.request import Request

WITHOUT_TASK = "chained_without_task"  # a quirk: no task beside ``previous_interaction_id``
# Without it an edit tends to change the rest of the video too (documented advice).
KEEP_THE_REST = "Keep everything else the same."


def build_source(request: Request, video: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the prompt, the start frame, and the video to extend."""
    image = _build_sdk_image(request.start_frame) if request.start_frame else None
    return _drop_missing({"prompt": request.prompt, "image": image, "video": video})


def build_config(request: Request) -> dict[str, Any]:
    """Return the options that both APIs accept; options without a value are left out."""
    references = [
        {"image": _build_sdk_image(image), "reference_type": "ASSET"} for image in request.reference
    ]
    return _drop_missing(
        {
            "duration_seconds": request.duration,
            "aspect_ratio": request.aspect_ratio,
            "resolution": request.resolution,
            "negative_prompt": request.negative_prompt,
            "person_generation": request.person_generation,
            "last_frame": _build_sdk_image(request.end_frame) if request.end_frame else None,
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


def _build_sdk_image(image: Image) -> dict[str, Any]:
    return {"image_bytes": image.data, "mime_type": image.mime}


def _drop_missing(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def build_developer_interaction(request: Request, model: Model) -> dict[str, Any]:
    """Return the body for the Developer API.

    ``background`` returns the id at once: without it a lost response loses a paid video.
    """
    parts = _build_parts(request)
    # A text alone is sent as documented for it; parts are needed for media only.
    content = parts[0]["text"] if len(parts) == 1 else parts
    return _build_body(
        request, model, content, _build_response_format(request, model, {"delivery": "uri"})
    )


def build_platform_interaction(
    request: Request, model: Model, folder: str | None
) -> dict[str, Any]:
    """Return the body for the Agent Platform.

    Args:
        request: The request.
        model: Its model.
        folder: The ``gs://`` folder for the video; without one it is part of the response.
    """
    delivery = {"delivery": "uri", "gcs_uri": folder} if folder else {}
    form = [_build_response_format(request, model, delivery)]
    return _build_body(request, model, _build_parts(request), form)


def _build_body(request: Request, model: Model, content: Any, form: Any) -> dict[str, Any]:
    members = {
        "model": model.name,
        "input": content,
        "background": True,
        "store": True,
        "response_format": form,
        "generation_config": _build_generation_config(request, model),
        "previous_interaction_id": _previous_id(request),
    }
    return {name: value for name, value in members.items() if value not in (None, {})}


def _build_response_format(
    request: Request, model: Model, delivery: dict[str, str]
) -> dict[str, Any]:
    """Return ``response_format`` with every value, so that no default of the service counts.

    Values of an earlier interaction are not inherited. A video that is edited or extended has
    its own ratio, and an edited one its own length: both keys are refused there (live reports).
    """
    form = {"type": "video", **delivery}
    if not request.source:
        form["aspect_ratio"] = request.aspect_ratio or model.aspect_ratios[0]
    form["resolution"] = request.resolution or model.resolutions[0]
    if not request.edit:
        form["duration"] = f"{_choose_seconds(request, model)}s"
    return form


def _choose_seconds(request: Request, model: Model) -> int | None:
    """Return the seconds of a new video, or those that an extension adds."""
    if request.extend:
        return model.added_seconds(request.duration)
    return request.duration or model.durations[0]


def _build_generation_config(request: Request, model: Model) -> dict[str, Any]:
    is_untasked = WITHOUT_TASK in model.quirks and _previous_id(request) is not None
    task = None if is_untasked else _choose_task(request)
    config: dict[str, Any] = {"video_config": {"task": task}} if task else {}
    return config if request.seed is None else {**config, "seed": request.seed}


def _choose_task(request: Request) -> str | None:
    """Return the task; None where no documented one covers the request: the model decides."""
    if request.edit:
        return "edit"
    if request.extend:
        return "extend"
    if request.frames and request.reference:
        return None
    if request.reference:
        return "reference_to_video"
    return "image_to_video" if request.frames else "text_to_video"


def _previous_id(request: Request) -> str | None:
    source = request.source
    return source.id if source else None


def _build_parts(request: Request) -> list[dict[str, Any]]:
    """Return media first and the text last, the order of all captured requests."""
    source = request.source
    parts = [_build_image_part(image) for image in (*request.frames, *request.reference)]
    if source and not source.id:
        parts.insert(0, {"type": "video", "uri": source.uri, "mime_type": source.mime})
    return [*parts, {"type": "text", "text": _build_text(request)}]


def _build_text(request: Request) -> str:
    """Return the prompt with the tags that give each image its role.

    The model decides how it uses an image without a tag, and may ignore it (live reports). Tags
    that the prompt contains already stay as they are.
    """
    if request.edit:
        is_complete = "keep everything else" in request.prompt.lower()
        return request.prompt if is_complete else f"{request.prompt} {KEEP_THE_REST}"
    sources = ("<FIRST_FRAME>", "<LAST_FRAME>")[: len(request.frames)]
    references = [f"<IMAGE_REF_{number}>" for number in range(len(request.reference))]
    if sources and references:
        header = f"[# Sources {_bind(sources, 1)}]"
        header += f" [# References {_bind(references, len(sources) + 1)}]"
        return f"{header} {request.prompt}"
    missing = [tag for tag in (*sources, *references) if tag not in request.prompt]
    return " ".join([*missing, request.prompt])


def _bind(tags: tuple[str, ...] | list[str], first: int) -> str:
    """Return tags bound to images by number, which counts all media from 1."""
    return " ".join(f"{tag}@Image{number}" for number, tag in enumerate(tags, first))


def _build_image_part(image: Image) -> dict[str, Any]:
    data = base64.b64encode(image.data or b"").decode()
    return {"type": "image", "data": data, "mime_type": image.mime}
