"""Whether the frames of a request suit the video: their shape and their size. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from veo.model import SHORT_SIDES, Model
from veo.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from veo.request import Request

    Sizes = Mapping[str, tuple[int, int]]  # width and height in pixels, by the field of the frame

# A photograph of 3:2 or 4:3 is another shape than 16:9; 1920x1088 for 1080p is the same.
_MAX_DEVIATION = 0.04


def frame_ratio(size: tuple[int, int]) -> str:
    """Return the aspect ratio of a video that lies the way of a frame, width and height."""
    return "9:16" if size[1] > size[0] else "16:9"


def follow_frame(request: Request, size: tuple[int, int] | None, models: list[Model]) -> Request:
    """Return the request in the orientation of its start frame, if it leaves the ratio open.

    ``models`` are those that it may be sent to; nothing is changed where none has that ratio, and
    the default of a single model is left out, so that equal requests stay equal.
    """
    if size is None or size[0] == size[1] or request.aspect_ratio:
        return request
    ratio = frame_ratio(size)
    offered = [model for model in models if ratio in model.aspect_ratios]
    if not offered or models[0].aspect_ratios[0] == ratio:
        return request
    return replace(request, aspect_ratio=ratio)


def check_frames(request: Request, model: Model, sizes: Sizes) -> Iterator[Problem]:
    """Yield what is lost if frames become this video: an error where they lie the other way."""
    ratio = request.aspect_ratio or model.aspect_ratios[0]
    width, height = map(int, ratio.split(":"))
    for field, (frame_width, frame_height) in sizes.items():
        shape = (frame_width / frame_height) / (width / height)
        name = f"{getattr(request, field).source} is {frame_width}x{frame_height}"
        if request.fit is None and (frame_width - frame_height) * (width - height) < 0:
            yield Problem(field, f"{name}, and the video is {ratio}; fit (crop or pad) adapts it")
        elif request.fit is None and abs(shape - 1) > _MAX_DEVIATION:
            message = f"{name}, and the video is {ratio}: the service decides what is cut or added"
            yield Problem(field, message, severity="warning")
        side = SHORT_SIDES.get(request.resolution or model.resolutions[0], 0)
        if min(frame_width, frame_height) < side * (1 - _MAX_DEVIATION):
            message = f"{name}, smaller than the video, which will look blurred"
            yield Problem(field, message, severity="warning")
