"""The dresses of `/v1/videos`. A task wears the one it was created under all its life."""

from veo_sandbox.profiles.base import Asked, Profile
from veo_sandbox.profiles.legacy import Capture, Docs

PROFILES: dict[str, type[Profile]] = {cls.name: cls for cls in (Capture, Docs)}

__all__ = ["PROFILES", "Asked", "Profile"]
