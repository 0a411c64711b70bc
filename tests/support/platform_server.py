"""A fake Agent Platform: its responses, and credentials for which it issues tokens."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google_routes import PLATFORM_NAME
from recording_server import RecordedRequest, Reply

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"\0\0\0\x18ftypmp42" + bytes(300)
INLINE = {"bytesBase64Encoded": base64.b64encode(DATA).decode(), "mimeType": "video/mp4"}


def platform(request: RecordedRequest) -> Reply:
    """Return the response to a request: every operation is done at once, with an inline video."""
    if request.path.endswith("token"):
        return Reply({"access_token": "sandbox-token", "expires_in": 3600})
    if request.path.endswith(":fetchPredictOperation"):
        return Reply({"name": PLATFORM_NAME, "done": True, "response": {"videos": [INLINE]}})
    return Reply({"name": PLATFORM_NAME})


def service_account(folder: Path, url: str) -> Path:
    """Write a credentials file of project ``p`` whose tokens a server at ``url`` issues."""
    path = folder / "account.json"
    account = {
        "type": "service_account",
        "project_id": "p",
        "client_email": "sandbox@p.example",
        "private_key": _make_private_key(),
        "token_uri": f"{url}/token",
    }
    path.write_text(json.dumps(account))
    return path


@cache
def _make_private_key() -> str:
    """Return a new private key; google-auth signs the request for a token with it.

    It is small because each client that loads it checks it, which takes 50 ms with 2048 bits.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*kind, serialization.NoEncryption()).decode()
