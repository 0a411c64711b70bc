"""The profiles of `/v1/videos`. A task keeps the one it was created under."""

from veo_sandbox.profiles.base import Profile, VideoRequest
from veo_sandbox.profiles.legacy import Capture, Docs, Seed
from veo_sandbox.profiles.official import Official
from veo_sandbox.profiles.openai import OpenAI
from veo_sandbox.profiles.resold import Resold

PROFILES: dict[str, type[Profile]] = {
    profile.name: profile for profile in (Capture, Docs, Official, OpenAI, Resold, Seed)
}

__all__ = ["PROFILES", "OpenAI", "Profile", "VideoRequest"]
