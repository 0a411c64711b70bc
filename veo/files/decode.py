"""Decode images: with limits, and into colours that every service shows as the user sees them."""

from __future__ import annotations

import io
import re
import struct
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from veo.errors import ImageError
from veo.image import shorten_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image as Pil

EXIF_ORIENTATION = 0x0112  # the tag's number in the EXIF standard
# A decoded PNG or WebP takes 3 or 4 bytes a pixel. A JPEG is decoded at a smaller size; above its
# limit Pillow warns.
MAX_PIXELS, MAX_JPEG_PIXELS = 50_000_000, 89_000_000
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Pillow rejects an image if one of these is longer than a megabyte when decompressed.
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
_PROFILE_CHUNK = b"iCCP"
_MAX_PROFILE_BYTES = 4_000_000
_SIXTEEN_BIT_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
_OBJECT = re.compile(r"<[^<>]{0,100} object at 0x[0-9a-f]+>")


@contextmanager
def decode_errors(source: str) -> Iterator[None]:
    """Turn every error of a decoder into an ``ImageError`` that names the source."""
    from PIL import Image as Pil  # noqa: PLC0415 - takes 27 ms; few requests have images
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    name = shorten_source(source)
    try:
        yield
    except ImageError:
        raise
    except (Pil.DecompressionBombError, Pil.DecompressionBombWarning):
        raise ImageError(f"{name} has too many pixels") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is broken or truncated") from None
    except Exception as error:  # noqa: BLE001 - decoders raise errors of many types
        reason = _OBJECT.sub("the data", str(error))
        raise ImageError(f"{name} is broken or truncated: {reason}") from None


def open_image(source: str, data: bytes) -> Pil.Image:
    """Return an image whose pixels are not decoded yet.

    Raises:
        ImageError: It has so many pixels that decoding it would fill the memory.
    """
    from PIL import Image as Pil  # noqa: PLC0415

    is_png = data.startswith(_PNG_SIGNATURE)
    plain, profile = _drop_metadata(data) if is_png else (data, None)
    decoded = Pil.open(io.BytesIO(plain), formats=("JPEG", "PNG", "WEBP"))
    limit = MAX_PIXELS if decoded.format in {"PNG", "WEBP"} else MAX_JPEG_PIXELS
    width, height = decoded.size
    if width * height > limit:
        raise ImageError(
            f"{shorten_source(source)} has too many pixels: {width}x{height}",
            hint=f"At most {limit // 1_000_000} million are accepted; make it smaller.",
        )
    if profile:
        decoded.info["icc_profile"] = profile
    return decoded


def describe_losses(decoded: Pil.Image) -> list[str]:
    """Return what a service might show in another way than the user sees it."""
    losses = []
    if decoded.mode in _SIXTEEN_BIT_MODES:
        losses.append("16 bits of grey become 8")
    if decoded.mode == "CMYK":
        losses.append("CMYK becomes RGB")
    # Photos of phones in MPO have more images inside; the first one is the photo.
    count = getattr(decoded, "n_frames", 1)
    if count > 1 and decoded.format in {"PNG", "WEBP"}:
        losses.append(f"only the first of {count} frames is used")
    if decoded.has_transparency_data and _has_transparent_pixels(decoded):
        losses.append("transparent parts become white")
    return losses


def make_upright(decoded: Pil.Image) -> Pil.Image:
    """Return the image in RGB, rotated as its EXIF data says, on white where transparent.

    The colour profile is kept if the mode was RGB before: it does not fit converted colours.
    """
    from PIL import Image as Pil  # noqa: PLC0415
    from PIL import ImageOps  # noqa: PLC0415

    upright = ImageOps.exif_transpose(decoded)
    profile = upright.info.get("icc_profile")
    if upright.mode in _SIXTEEN_BIT_MODES:
        # Otherwise all values above 255 would become white.
        upright = upright.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    elif upright.mode == "CMYK" and profile:
        upright = _convert_cmyk(upright, profile)
    profile = profile if upright.mode in {"RGB", "RGBA"} and decoded.mode != "CMYK" else None
    if upright.has_transparency_data:
        layered = upright.convert("RGBA")
        white = Pil.new("RGBA", layered.size, "white")
        upright = Pil.alpha_composite(white, layered)
    plain = upright.convert("RGB")
    plain.info = {"icc_profile": profile}
    return plain


def _has_transparent_pixels(decoded: Pil.Image) -> bool:
    alpha = decoded.convert("RGBA").getchannel("A")
    return alpha.getextrema()[0] != 255  # most screenshots have an alpha channel without use


def _convert_cmyk(image: Pil.Image, profile: bytes) -> Pil.Image:
    """Return a CMYK image in sRGB by its colour profile, or as it is if that does not fit."""
    from PIL import ImageCms  # noqa: PLC0415

    with suppress(ImageCms.PyCMSError, OSError, ValueError):
        srgb = ImageCms.createProfile("sRGB")
        found = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
        return found or image
    return image


def _drop_metadata(data: bytes) -> tuple[bytes, bytes | None]:
    """Return a PNG without texts and colour profile, and the profile."""
    pieces, profile = [_PNG_SIGNATURE], None
    at = len(_PNG_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length  # length, kind and checksum are 12 bytes
        if kind == _PROFILE_CHUNK:
            profile = _read_profile(data[at + 8 : end - 4])
        elif kind not in _TEXT_CHUNKS:
            pieces.append(data[at:end])
        at = end
    pieces.append(data[at:])
    return b"".join(pieces), profile


def _read_profile(chunk: bytes) -> bytes | None:
    _, _, rest = chunk.partition(b"\0")  # the name; then the method, which is always 0
    inflater = zlib.decompressobj()
    with suppress(zlib.error):
        profile = inflater.decompress(rest[1:], _MAX_PROFILE_BYTES)
        return None if inflater.unconsumed_tail else profile
    return None
