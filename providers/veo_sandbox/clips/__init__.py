"""The sandbox's videos: real H.264 + AAC MP4s made from a prompt and pictures.

`render` makes a clip, `extend` continues one; both write the file under its name only when it is
whole. Either may take a second or two of CPU: call them from a worker thread.
"""

from veo_sandbox.clips.mp4 import whole
from veo_sandbox.clips.render import StoppedError, extend, render
from veo_sandbox.clips.spec import ClipSpec

__all__ = ["ClipSpec", "StoppedError", "extend", "render", "whole"]
