"""The Agent Platform as tests need it: its answers, and credentials that it gives tokens for."""

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


def platform(asked: RecordedRequest) -> Reply:
    """Accepts every operation, and has it done at once with the video inside the answer."""
    if asked.path.endswith("token"):
        return Reply({"access_token": "sandbox-token", "expires_in": 3600})
    if asked.path.endswith(":fetchPredictOperation"):
        return Reply({"name": PLATFORM_NAME, "done": True, "response": {"videos": [INLINE]}})
    return Reply({"name": PLATFORM_NAME})


def service_account(folder: Path, url: str) -> Path:
    """A credentials file of project ``p`` whose tokens come from a server at ``url``."""
    path = folder / "account.json"
    account = {
        "type": "service_account",
        "project_id": "p",
        "client_email": "sandbox@p.example",
        "private_key": _pem(),
        "token_uri": f"{url}/token",
    }
    path.write_text(json.dumps(account))
    return path


@cache
def _pem() -> str:
    """A private key made for this run: google-auth signs with it before it asks for a token."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*kind, serialization.NoEncryption()).decode()
