"""What a video file contains, and how its shape differs from what was asked for."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from veo.model import SHORT_SIDES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from veo.files.mp4 import Footage
    from veo.model import Model
    from veo.request import Request

_MAX_RATIO_ERROR = 0.02  # 1920x1088 is 16:9
_MIN_SIDE_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class ClipInfo:
    width: int  # pixels, as shown
    height: int
    seconds: float
    has_sound: bool
    differences: tuple[str, ...] = ()  # from the request

    @property
    def summary(self) -> str:
        """Return ``1280x720, 8.0 s, no sound``."""
        sound = "" if self.has_sound else ", no sound"
        return f"{self.width}x{self.height}, {self.seconds:.1f} s{sound}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": round(self.seconds, 3)}

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ClipInfo:
        return cls(**{**body, "differences": tuple(body["differences"])})


def describe_clip(footage: Footage) -> ClipInfo | None:
    """Return the size, length and sound of a video; None if its index does not tell the size."""
    if not all(footage.size):
        return None
    return ClipInfo(*footage.size, footage.seconds or 0.0, footage.has_sound)


def list_differences(clip: ClipInfo, request: Request, model: Model) -> list[str]:
    """Return how the shape of a video differs from what was asked for, a phrase for each.

    ``Record.has_other_length`` tells about its length.
    """
    found = []
    ratio = request.aspect_ratio or model.aspect_ratios[0]
    width, height = map(int, ratio.split(":"))
    if abs(math.log(clip.width * height / (clip.height * width))) > _MAX_RATIO_ERROR:
        found.append(f"it is {clip.width}x{clip.height} instead of {ratio}")
    resolution = request.resolution or model.resolutions[0]
    if min(clip.width, clip.height) < SHORT_SIDES.get(resolution, 0) * _MIN_SIDE_SHARE:
        found.append(f"it is {clip.width}x{clip.height} instead of {resolution}")
    return found
