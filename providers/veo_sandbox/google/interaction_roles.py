"""What the images and videos of an input are for: tags in the text say it, as documented.

Tags stand for media in their order. A header may name the media instead, counted from 1:
`[# Sources <FIRST_FRAME>@Image1] [# References <IMAGE_REF_0>@Image2]`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from veo_sandbox.google.interaction_input import InputPart
from veo_sandbox.google.omni_api import OmniApi

_TAG = re.compile(r"<(FIRST_FRAME|LAST_FRAME|IMAGE_REF_\d+|VIDEO_REF_\d+)>")
_BOUND_TAG = re.compile(_TAG.pattern + r"@(?:Image|Video)(\d+)")
_HEADER = re.compile(r"\[#[^\]]*\]")
_MAX_IMAGES, _MAX_VIDEOS = 12, 3
"""Twelve images were accepted live, though pages name 6 or 10; three videos are documented."""


@dataclass(slots=True)
class Roles:
    """The media of an input by their use, and its text without tags."""

    text: str = ""
    frames: list[InputPart] = field(default_factory=list)
    references: list[InputPart] = field(default_factory=list)
    video_references: list[InputPart] = field(default_factory=list)


def assign_roles(api: OmniApi, parts: Sequence[InputPart]) -> Roles:
    """Bind tags to media, or raise a Refusal. An image without a tag counts as a reference."""
    text = " ".join(part.text for part in parts if part.kind == "text").strip()
    media = [part for part in parts if part.kind != "text"]
    images = [part for part in media if part.kind == "image"]
    bound = {tag: media[int(number) - 1 : int(number)] for tag, number in _BOUND_TAG.findall(text)}
    tags = dict.fromkeys(_TAG.findall(text))
    if "LAST_FRAME" in tags and "FIRST_FRAME" not in tags:
        raise api.error("last_without_first")
    roles = Roles(" ".join(_TAG.sub("", _HEADER.sub("", text)).split()))
    rest = list(images)
    for tag in ("FIRST_FRAME", "LAST_FRAME"):
        if tag in tags and (frame := (bound.get(tag) or rest)[:1]):
            roles.frames += frame
            rest = [image for image in rest if image is not frame[0]]
    roles.references = rest
    if any(tag.startswith("VIDEO_REF") for tag in tags):
        roles.video_references = [part for part in media if part.kind == "video"]
    _check_counts(api, roles)
    return roles


def _check_counts(api: OmniApi, roles: Roles) -> None:
    for most, kind, found in (
        (_MAX_IMAGES, "reference images", roles.references),
        (_MAX_VIDEOS, "reference videos", roles.video_references),
    ):
        if len(found) > most:
            raise api.error("reference_count", most=most, kind=kind)
