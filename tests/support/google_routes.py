"""Google's providers for tests, and the names and formats of their APIs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from veo.key import Key
from veo.provider import ByteStream, Connection, Provider
from veo.request import Request
from veo_gemini import Gemini, Vertex

if TYPE_CHECKING:
    from veo.image import Image
    from veo.update import Update

HOME = "https://generativelanguage.googleapis.com"
FAST = "veo-3.1-fast-generate-preview"
NAME = f"models/{FAST}/operations/vz341u0pmdlc"
CLIP = f"{HOME}/v1beta/files/vz341u0pmdlc:download?alt=media"

PLATFORM_FAST = "veo-3.1-fast-generate-001"
PLACE = "projects/p/locations/us-central1"
PLATFORM_NAME = f"{PLACE}/publishers/google/models/{PLATFORM_FAST}/operations/1234"


def gemini(url: str, key: str | None = "sandbox-key") -> Gemini:
    """Return the provider of the Developer API at a URL."""
    return Gemini(Connection(url, Key(key) if key else None, Gemini.facts.models))


def express(url: str, **options: Any) -> Vertex:
    """Return the provider of the Agent Platform at a URL, with a key."""
    return Vertex(Connection(url, Key("sandbox-key"), Vertex.facts.models, options))


def project(url: str, **options: Any) -> Vertex:
    """Return the provider of the Agent Platform at a URL, with this machine's credentials."""
    return Vertex(Connection(url, None, Vertex.facts.models, options))


def with_token(url: str, **options: Any) -> Vertex:
    """Return the provider of the Agent Platform at a URL, with an access token of project ``p``."""
    settings = {"key_is_access_token": True, "project": "p", **options}
    return Vertex(Connection(url, Key("sandbox-key"), Vertex.facts.models, settings))


def submit(provider: Provider, **options: Any) -> Update:
    """Submit a request for a lion, to the preferred Veo model unless one is named."""
    model = next(name for name, row in provider.models.items() if not row.wire)
    return provider.submit(Request(**{"prompt": "lion", "model": model} | options), lambda _: None)


def fetch(stream: ByteStream) -> bytes:
    """Return all bytes of a stream, and close it."""
    try:
        return b"".join(stream.chunks)
    finally:
        stream.close()


def picture(image: Image) -> dict[str, str]:
    """Return an image in the API's format."""
    data = image.data or b""
    return {"bytesBase64Encoded": base64.b64encode(data).decode(), "mimeType": image.mime}


def asset(image: Image) -> dict[str, Any]:
    """Return a reference image in the API's format."""
    return {"image": picture(image), "referenceType": "ASSET"}
