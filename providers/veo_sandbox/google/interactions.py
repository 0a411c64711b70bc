"""Interactions: how one is accepted, and the facts that its responses are made from."""

from dataclasses import asdict

from veo_sandbox.clips import ClipSpec
from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.google.interaction_input import InputPart
from veo_sandbox.google.interaction_request import InteractionRequest, fit_size
from veo_sandbox.google.interaction_source import (
    PROFILE,
    Source,
    check_references,
    find_image,
    find_source,
)
from veo_sandbox.google.omni import OmniModel, Usage, count_usage
from veo_sandbox.google.omni_api import OmniApi
from veo_sandbox.google.operations import random_id
from veo_sandbox.google.storage import build_object_uri
from veo_sandbox.state.request_log import summarize_json
from veo_sandbox.state.tasks import DAY, TaskSpec

_RETENTION_S = 55 * DAY
"""Of an interaction on the paid tier (documented)."""

_FILE_RETENTION_S = 2 * DAY
"""Of its video in the Files API (seen live); nothing deletes an object in a user's own bucket."""


def build_spec(
    exchange: Exchange, api: OmniApi, model: OmniModel, request: InteractionRequest
) -> TaskSpec:
    """Return the task of a create, or raise a Refusal if what it names cannot be used."""
    core = exchange.core
    frames = [find_image(core, api, part) for part in request.roles.frames]
    references = [find_image(core, api, part) for part in request.roles.references]
    referred_s = check_references(core, api, request.roles.video_references)
    source = find_source(core, api, model, request)
    images = [image.data for image in frames], [image.data for image in references]
    clip, made_s, length = _plan_clip(core, request, source, *images)
    usage = count_usage(
        model,
        request.roles.text,
        len(frames) + len(references),
        (source.seconds if source else 0.0) + referred_s,
        made_s,
        request.resolution,
    )
    file = random_id()
    return TaskSpec(
        route=api.name,
        profile=PROFILE,
        id=api.new_id(),
        model=model.id,
        prompt=request.roles.text,
        clip=clip,
        amount=usage.price_micros(model),
        refusal_amount=_count_refusal(exchange, usage).price_micros(model),
        outcome=exchange.forced_outcome,
        service_s=exchange.forced_service_s,
        retention_s=_RETENTION_S,
        file_retention_s=_FILE_RETENTION_S if api.name == "gemini" else None,
        cancellable=True,
        file=file,
        request={
            "prompt": request.roles.text,
            "task": request.task,
            "size": f"{clip.width}x{clip.height}",
            "seconds": length,
            "images": [image.to_json() for image in (*frames, *references)],
            "previous_interaction_id": request.previous,
            "parameters": summarize_json({"format": request.format, "config": request.config}),
        },
        extra={
            "usage": asdict(usage),
            "input": [_describe_part(core, part) for part in request.parts],
            "format": request.format,
            "delivery": request.delivery,
            "length": length,
            "store": request.store,
            "uri": build_object_uri(request.folder, file),
        },
    )


def _count_refusal(exchange: Exchange, usage: Usage) -> Usage:
    forced = exchange.forced_outcome
    return usage.without_output() if forced and forced.shape == "empty" else usage.as_refusal()


def _plan_clip(
    core: Core,
    request: InteractionRequest,
    source: Source | None,
    frames: list[bytes],
    references: list[bytes],
) -> tuple[ClipSpec, float, float]:
    """Return the clip, the seconds that are made, and the length of the finished file."""
    prompt = request.roles.text
    if source is None:
        spec = ClipSpec(prompt, *request.size, request.seconds)
        clip = core.clips.plan_clip(spec, frames, references)
        return clip, request.seconds, request.seconds
    size = fit_size(request.resolution, source.ratio)
    if request.task == "extend":
        added, length = request.seconds, source.seconds + request.seconds
        spec = ClipSpec(prompt, *size, added)
        return core.clips.plan_extension(source.path, spec, length), added, length
    # An upscaled video shows no words.
    spec = ClipSpec(prompt if request.task == "edit" else "", *size, source.seconds)
    return core.clips.plan_change(source.path, spec), source.seconds, source.seconds


def _describe_part(core: Core, part: InputPart) -> dict[str, str]:
    """Return a part for the echo; the bytes of media stay in a file."""
    if part.kind == "text":
        return {"type": "text", "text": part.text}
    body = {"type": part.kind, "mime_type": part.mime_type}
    if part.data:
        return body | {"saved": core.clips.save_input(part.data)}
    return body | {"uri": part.uri}
