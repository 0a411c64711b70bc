"""What a clip shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClipSpec:
    """A clip to be rendered.

    Attributes:
        prompt: The text that it shows, and the seed of its scenery.
        width: Pixels, even, as is the height.
        seconds: Its length, at 24 frames per second.
        start: Path of the image that it starts on, or "", as is `end`.
        references: Paths of images that are shown small.
        earlier: Path of an MP4 that it continues, or ""; `seconds` is then the length that is
            added.
        changed: Path of an MP4 of which it shows a version changed by the prompt, or "". Without
            a prompt only the size differs.
        tiny: Whether it is a few kilobytes at almost no cost instead of real scenery.
        min_bytes: A tiny clip is padded to this many bytes.
    """

    prompt: str
    width: int
    height: int
    seconds: float = 8.0
    start: str = ""
    end: str = ""
    references: tuple[str, ...] = ()
    earlier: str = ""
    changed: str = ""
    tiny: bool = False
    min_bytes: int = 0

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height
