"""The sandbox's videos: real H.264 + AAC MP4s made from a prompt and images.

`render` makes a clip, `extend` continues one. Both write the file under its name only when it is
complete, and may take a second of CPU: call them from a worker thread.
"""

from veo_sandbox.clips.mp4 import Footage, atomic_write
from veo_sandbox.clips.render import StoppedError, extend, render
from veo_sandbox.clips.spec import ClipSpec

__all__ = ["ClipSpec", "Footage", "StoppedError", "atomic_write", "extend", "render"]
