"""What a person asks for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from veo.image import Image
from veo.update import RemoteVideo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    ImageSource = Image | str | Path | bytes

IMAGE_FIELDS = ("start_frame", "end_frame", "reference")


class RequestOptions(TypedDict, total=False):
    """The fields of a ``Request`` except its prompt, as keyword arguments of ``Client.submit``."""

    model: str | None
    aspect_ratio: str | None
    resolution: str | None
    duration: int | None
    negative_prompt: str | None
    seed: int | None
    person_generation: str | None
    start_frame: ImageSource | None
    end_frame: ImageSource | None
    reference: ImageSource | Sequence[ImageSource]
    extend: RemoteVideo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One video, asked for. None means: not said, the model's own default applies.

    Pictures may be given as whatever ``Image.of`` takes: paths, URLs, data URIs, bytes.

    Attributes:
        prompt: What the video shows.
        model: The provider's name of the model; chosen from the request when None.
        aspect_ratio: ``"16:9"`` or ``"9:16"``.
        resolution: ``"720p"``, ``"1080p"`` or ``"4k"``.
        duration: Seconds of video.
        negative_prompt: What the video must not show.
        seed: For more alike results; no provider promises the same video twice.
        person_generation: ``"allow_all"``, ``"allow_adult"`` or ``"dont_allow"``.
        start_frame: The picture the video starts on.
        end_frame: The picture the video ends on.
        reference: Pictures of things the video is to show.
        extend: The provider's video that this one continues.
    """

    prompt: str
    model: str | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    duration: int | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    person_generation: str | None = None
    start_frame: Image | None = None
    end_frame: Image | None = None
    reference: tuple[Image, ...] = ()
    extend: RemoteVideo | None = None

    def __post_init__(self) -> None:
        for name in ("start_frame", "end_frame"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Image.of(getattr(self, name)))
        given: Any = self.reference or ()
        several = given if isinstance(given, tuple | list) else (given,)
        object.__setattr__(self, "reference", tuple(map(Image.of, several)))

    @classmethod
    def of(cls, request: Request | str, **options: Unpack[RequestOptions]) -> Request:
        """Return a request, given whole or as a prompt, with the fields in ``options``."""
        values: dict[str, Any] = dict(options)
        if isinstance(request, Request):
            return replace(request, **values) if values else request
        return cls(prompt=request, **values)

    @property
    def frames(self) -> tuple[Image, ...]:
        """The start and the end frame, as far as given, in this order."""
        return tuple(frame for frame in (self.start_frame, self.end_frame) if frame)

    @property
    def images(self) -> tuple[Image, ...]:
        """Every image of the request: start frame, end frame, references."""
        return self.frames + self.reference

    def map_images(self, change: Callable[[Image], Image]) -> Request:
        """The same request with every image put through ``change``."""
        return replace(
            self,
            start_frame=self.start_frame and change(self.start_frame),
            end_frame=self.end_frame and change(self.end_frame),
            reference=tuple(change(image) for image in self.reference),
        )

    def to_json(self) -> dict[str, Any]:
        """What was said, without what was not; images by source and sha256, never their bytes."""
        said: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and value != ():
                said[item.name] = _plain(value)
        return said

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Request:
        """The request that ``to_json`` described; images come back by reference."""
        said = dict(body)
        for name in ("start_frame", "end_frame"):
            if name in said:
                said[name] = Image(**said[name])
        said["reference"] = tuple(Image(**image) for image in said.get("reference", ()))
        if "extend" in said:
            said["extend"] = RemoteVideo(**said["extend"])
        return cls(**said)

    def fingerprint(self) -> str:
        """A sha256 over what was asked for, the pictures by content, not by place."""
        said = self.map_images(lambda image: Image(image.sha256 or image.source)).to_json()
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Image):
        return {"source": value.source, "sha256": value.sha256}
    if isinstance(value, RemoteVideo):
        return value.to_json()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
