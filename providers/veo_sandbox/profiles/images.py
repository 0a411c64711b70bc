"""Checks of uploaded images."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from veo_sandbox.exchange import Refusal, Upload
from veo_sandbox.profiles.base import MAX_IMAGE_BYTES, Profile

ACCEPTED_FORMATS = {"JPEG", "PNG", "WEBP"}
"""Formats, in Pillow's names."""


def check_images(profile: Profile, images: Sequence[Upload], maximum: int) -> list[Upload]:
    """Check number, size and format, or raise a Refusal; the bytes decide, not the name."""
    if len(images) > maximum:
        text = f"at most {maximum} images are supported, got {len(images)}"
        raise profile.invalid_request("invalid_parameter", text, "input_reference")
    for image in images:
        if len(image.data) > MAX_IMAGE_BYTES:
            raise Refusal(profile.image_too_large())
        kind = image_format(image.data)
        if kind not in ACCEPTED_FORMATS:
            text = f"unsupported image format {kind or 'unknown'}: use JPEG, PNG or WebP"
            raise profile.invalid_request("invalid_image_format", text, "input_reference")
    return list(images)


def parse_data_uri(profile: Profile, name: str, text: object) -> Upload:
    """Read a data URI as an upload, or raise a Refusal; an address is not fetched."""
    head, _, data = str(text).partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise profile.invalid_request("invalid_request", f"{name}: must be a data URI", name)
    try:
        image = base64.b64decode(data, validate=True)
    except ValueError:  # also for a character that is not ASCII
        raise profile.invalid_request("invalid_request", f"{name}: bad base64", name) from None
    return Upload(name, "", head[len("data:") : -len(";base64")], image)


def image_format(data: bytes) -> str | None:
    """Return the format of an image in Pillow's names; None if it is not an image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            # Decodes all of it: a truncated file has a valid header.
            image.load()
            return image.format
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
