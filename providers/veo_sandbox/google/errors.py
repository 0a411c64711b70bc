"""Google's error bodies; their texts are in `errors.toml`."""

import html
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from veo_sandbox.exchange import Refusal
from veo_sandbox.tables import load_texts

STATUS_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
}


def google_error(name: str, /, *details: dict[str, Any], **facts: object) -> Refusal:
    """Make an error of `errors.toml`; `facts` fill its text."""
    status, text = load_texts("google/errors.toml")[name]
    code = int(status)
    message = text.format(**facts)
    body: dict[str, Any] = {"code": code, "message": message, "status": STATUS_WORDS[code]}
    return Refusal(JSONResponse({"error": body | ({"details": details} if details else {})}, code))


def wrong_key_error(service: str) -> Refusal:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": service},
    }
    return google_error("wrong_key", info)


def unknown_url_page(path: str) -> Response:
    # Google serves this page, not JSON, outside its APIs.
    return HTMLResponse(
        "<!DOCTYPE html>\n<html lang=en>\n  <title>Error 404 (Not Found)!!1</title>\n"
        "  <p><b>404.</b> <ins>That's an error.</ins>\n"
        f"  <p>The requested URL <code>{html.escape(path)}</code> was not found on this server.  "
        "<ins>That's all we know.</ins>\n",
        404,
    )
