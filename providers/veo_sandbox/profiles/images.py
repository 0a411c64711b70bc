"""Uploaded pictures: what is taken, and what is refused."""

import base64
import binascii
import io
from collections.abc import Sequence

from PIL import Image

from veo_sandbox.exchange import Refusal, Upload
from veo_sandbox.profiles.base import MAX_IMAGE_BYTES, Profile

ACCEPTED_FORMATS = {"JPEG", "PNG", "WEBP"}
"""Formats as Pillow calls them."""


def check_images(profile: Profile, images: Sequence[Upload], most: int) -> list[Upload]:
    """The pictures, each of a kind and size that is taken; judged by bytes, never by name.

    Raises:
        Refusal: too many, too large, GIF, BMP, TIFF, or no picture at all.
    """
    if len(images) > most:
        text = f"at most {most} images are supported, got {len(images)}"
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
    """A data URI as an upload.

    Raises:
        Refusal: it is none; an address is not fetched.
    """
    head, _, data = str(text).partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise profile.invalid_request("invalid_request", f"{name}: must be a data URI", name)
    try:
        picture = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise profile.invalid_request("invalid_request", f"{name}: bad base64", name) from None
    return Upload(name, "", head[len("data:") : -len(";base64")], picture)


def image_format(data: bytes) -> str | None:
    """What Pillow calls the format of a picture; None if it is none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            return picture.format
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
