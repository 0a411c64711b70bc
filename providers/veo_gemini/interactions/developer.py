"""Interactions of the Developer API, and its Files API for videos that a user uploads."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from veo.errors import (
    BusyError,
    GoneError,
    NotReadyError,
    ProtocolError,
    RefusedError,
    ResponseLostError,
    TooLargeError,
    UnreachableError,
    VeoError,
)
from veo.update import RemoteVideo, UploadCallback
from veo.wire.values import get_path, get_text, parse_json_or_none, parse_timestamp
from veo_gemini import files, request_bodies
from veo_gemini.error_table import google_error
from veo_gemini.interactions.wire import Interactions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from veo.http import ApiClient, Response
    from veo.model import Model
    from veo.provider import ByteStream
    from veo.request import Request

VERSION = "v1beta"  # of all captures; the documents of some models lag behind in v1
MAX_FILE_BYTES = 2 << 30  # documented
CHUNK_BYTES = 8 << 20  # a multiple of the 256 kB that the protocol prescribes
MAX_RESUMES = 3  # interruptions of one upload, before the engine decides when to try again
FILE_RETENTION_S = 48 * 3600  # documented, and the server states the moment
_FILE_NAME = re.compile(r"files/([a-z0-9-]+)")


class DeveloperInteractions(Interactions):
    """The wire at the Developer API."""

    _path = f"{VERSION}/interactions"

    def __init__(self, http: ApiClient, models: Mapping[str, Model]) -> None:
        super().__init__(models)
        self._http = http

    def _connect(self) -> ApiClient:
        return self._http

    def _prepare(self, request: Request, model: Model) -> tuple[dict[str, Any], str]:
        if request.source and not request.source.id:
            check_uploaded(self._http, request.source.uri)
        return request_bodies.build_developer_interaction(request, model), ""


def open_file(http: ApiClient, url: str, offset: int) -> ByteStream:
    """Return the bytes of a finished video from an offset.

    Raises:
        NotReadyError: The file is still processed, which can outlast its interaction.
        GoneError: Google has deleted it, or another project made it.
    """
    try:
        return files.open_url(http, url, offset)
    except (GoneError, ProtocolError) as error:
        if _read_state(http, url) == "PROCESSING":
            raise _processing_error() from error
        raise


def check_uploaded(http: ApiClient, uri: str) -> None:
    """Check that a file can be used, before the paid request names it.

    Raises:
        NotReadyError: It is still processed.
        GoneError: It no longer exists.
        RefusedError: It could not be processed, or is no file of the API.
    """
    if not _FILE_NAME.search(uri):
        raise RefusedError(f"{uri} is not a file that was uploaded to the Gemini API")
    state = _read_state(http, uri)
    if state == "PROCESSING":
        raise _processing_error()
    if state == "FAILED":
        raise RefusedError(f"Google could not process the uploaded video {uri}")
    if state == "GONE":
        raise GoneError(f"{uri} is gone: Google keeps an uploaded file for 2 days", retryable=False)


def upload_file(http: ApiClient, path: Path, report: UploadCallback) -> RemoteVideo:
    """Upload a video by the resumable protocol, free of charge; it is usable once it is ACTIVE.

    The address that the server names for the bytes needs no key, and receives it only if it is on
    the API's own origin.

    Raises:
        VeoError: ``charged`` is False.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise TooLargeError(f"{path} has {size} bytes, of which Google takes {MAX_FILE_BYTES}")
    try:
        return read_file(_send_chunks(http, _start_upload(http, size), path, size, report))
    except VeoError as error:
        error.charged = False
        raise


def _start_upload(http: ApiClient, size: int) -> str:
    """Return the address to which the bytes are sent."""
    headers = {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(size),
        "X-Goog-Upload-Header-Content-Type": "video/mp4",
        "Content-Type": "application/json",
    }
    content = json.dumps({"file": {"mime_type": "video/mp4"}}).encode()
    response = _require_ok(http.post_bytes(f"upload/{VERSION}/files", content, headers))
    url = response.headers.get("x-goog-upload-url", "")
    if not url.startswith(("https://", "http://")):
        raise ProtocolError("the response to an upload names no address for the bytes")
    return url


def _send_chunks(
    http: ApiClient, url: str, path: Path, size: int, report: UploadCallback
) -> Response:
    """Send the bytes, continue where the server has them after an interruption, and finish."""
    offset, resumes = 0, 0
    report(0, size)
    with path.open("rb") as file:
        while True:
            file.seek(offset)
            chunk = file.read(CHUNK_BYTES)
            is_last = offset + len(chunk) >= size
            try:
                response = _send_chunk(http, url, chunk, offset, is_last=is_last)
            except (ResponseLostError, UnreachableError, BusyError):
                if resumes == MAX_RESUMES:
                    raise
                resumes += 1
                offset = _query_offset(http, url)
                continue
            offset += len(chunk)
            report(offset, size)
            if is_last:
                return response


def _send_chunk(http: ApiClient, url: str, chunk: bytes, offset: int, *, is_last: bool) -> Response:
    headers = {
        "X-Goog-Upload-Command": "upload, finalize" if is_last else "upload",
        "X-Goog-Upload-Offset": str(offset),
    }
    return _require_ok(http.post_bytes(url, chunk, headers))


def _query_offset(http: ApiClient, url: str) -> int:
    """Return how many bytes the server has.

    Raises:
        ResponseLostError: The upload is complete, but its response, with the file's name, is lost.
    """
    response = _require_ok(http.post_bytes(url, b"", {"X-Goog-Upload-Command": "query"}))
    received = response.headers.get("x-goog-upload-size-received", "")
    if response.headers.get("x-goog-upload-status") != "active" or not received.isdigit():
        raise ResponseLostError("the upload ended without the name of its file")
    return int(received)


def _require_ok(response: Response) -> Response:
    if not response.ok:
        raise google_error(response, "submit")
    return response


def read_file(response: Response) -> RemoteVideo:
    """Return the uploaded file that the last response of an upload describes."""
    row = get_path(parse_json_or_none(response.body), "file")
    uri = get_text(get_path(row, "uri"))
    if not _FILE_NAME.search(uri):
        raise ProtocolError("the response to an upload names no file")
    if get_path(row, "state") == "FAILED":
        raise RefusedError("Google could not process the uploaded video")
    expires_at = parse_timestamp(get_path(row, "expirationTime"))
    return RemoteVideo(uri, "video/mp4", expires_at or time.time() + FILE_RETENTION_S)


def _read_state(http: ApiClient, uri: str) -> str:
    """Return the state of a file by the Files API; GONE if there is none, empty if unknown."""
    name = _FILE_NAME.search(uri)
    if not name:
        return ""
    response = http.get(f"{VERSION}/{name[0]}")
    if response.status in {403, 404}:
        return "GONE"
    return get_text(get_path(parse_json_or_none(response.body), "state"))


def _processing_error() -> NotReadyError:
    # Usually for seconds, but up to 95 s were seen: the engine waits longer after each attempt.
    return NotReadyError("Google is still processing the file", charged=False)
