"""What a clip shall show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A clip to be made.

    Attributes:
        prompt: The words it shows, and what its scenery is drawn from.
        width: Pixels, even.
        height: Pixels, even.
        seconds: Its length; 24 frames a second.
        start: Path of the picture it starts on, or "".
        end: Path of the picture it ends on, or "".
        references: Paths of pictures shown small.
        earlier: Path of an MP4 that it continues, or ""; `seconds` are then those added.
        tiny: A few kilobytes that cost next to nothing instead of a real picture.
        least_bytes: A tiny clip is padded to this many bytes.
    """

    prompt: str
    width: int
    height: int
    seconds: float = 8.0
    start: str = ""
    end: str = ""
    references: tuple[str, ...] = ()
    earlier: str = ""
    tiny: bool = False
    least_bytes: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height

    @classmethod
    def parse(cls, facts: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` and JSON made of one."""
        return cls(**{**facts, "references": tuple(facts["references"])})
