"""The Files API of the Gemini Developer API: generated videos, and uploads that may be resumed."""

import base64
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.google.errors import google_error
from veo_sandbox.google.interaction_source import PROFILE
from veo_sandbox.google.operations import random_id
from veo_sandbox.google.paging import cut_page
from veo_sandbox.google.storage import is_processing
from veo_sandbox.responses import VideoResponse
from veo_sandbox.routes import RouteSpec, mount
from veo_sandbox.routes.gemini import FOLDERS, authorize
from veo_sandbox.state.clock import format_time
from veo_sandbox.state.tasks import Task
from veo_sandbox.state.uploads import StoredFile

_MAX_FILE_BYTES = 2 * 1024**3
"""Of one upload (documented)."""

_CHUNK_BYTES = 8 * 1024 * 1024
_FILE_NAME = re.compile(r"files/([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """What the API tells about an upload, or about a video that it made as if it were one."""

    file: StoredFile
    url: str
    path: Path
    state: str
    source: str
    expires_at: float

    def to_json(self) -> dict[str, Any]:
        file, data = self.file, self.path.read_bytes()
        name = f"files/{file.id}"
        body: dict[str, Any] = {
            "name": name,
            "mimeType": file.mime_type,
            "sizeBytes": str(len(data)),
            "createTime": format_time(file.created_at),
            "updateTime": format_time(file.finished_at or file.created_at),
            "expirationTime": format_time(self.expires_at),
            "sha256Hash": base64.b64encode(sha256(data).hexdigest().encode()).decode(),
            "uri": f"{self.url}/{name}",
            "state": self.state,
            "source": self.source,
        }
        if file.title:
            body["displayName"] = file.title
        if self.source == "GENERATED":
            body["downloadUri"] = f"{self.url}/{name}:download?alt=media"
        if file.footage:
            body["videoMetadata"] = {"videoDuration": f"{file.footage[2]:g}s"}
        return body


async def get_file(core: Core, exchange: Exchange) -> Response:
    return JSONResponse(_find_file(core, exchange).to_json())


async def list_files(core: Core, exchange: Exchange) -> Response:
    tasks = [task for task in core.tasks.list_tasks() if _has_address(core, task)]
    files = [_describe_task(core, task) for task in tasks]
    now = core.clock.now()
    uploads = [file for file in core.uploads.list_files() if file.is_available(now)]
    files += [_describe_upload(core, file) for file in uploads if not file.uri]
    # The newest comes first.
    files.sort(key=lambda each: each.file.created_at, reverse=True)
    page, rest = cut_page(exchange.query, files, default_size=10, max_size=100)
    return JSONResponse({"files": [file.to_json() for file in page]} | rest if page else {})


async def delete_file(core: Core, exchange: Exchange) -> Response:
    _find_file(core, exchange)  # refuses one that is not listed
    if upload := core.uploads.find(exchange.params["file"]):
        core.uploads.delete(upload)
    elif exchange.task:
        core.tasks.add_mark(exchange.task, "file deleted", core.clock.now())
    return JSONResponse({})


async def download_file(core: Core, exchange: Exchange) -> Response:
    file = _find_file(core, exchange)
    if exchange.query.get("alt") != "media":
        raise google_error("alt_media")
    if file.source != "GENERATED":
        raise google_error("not_generated", file=file.file.id)
    # Of Omni's files it was seen live that they cannot be fetched yet; of Veo's it was not.
    if file.state == "PROCESSING" and exchange.task and exchange.task.spec.profile == PROFILE:
        raise google_error("inactive_file", file=file.file.id)
    return VideoResponse(file.path)


async def upload_file(core: Core, exchange: Exchange) -> Response:
    """Start an upload, or continue one at the address that its start returned."""
    commands = {
        word.strip() for word in exchange.headers.get("x-goog-upload-command", "").split(",")
    }
    session = exchange.query.get("upload_id")
    # The address of an upload is its own credential.
    if session is None:
        authorize(core, exchange)
        if "start" not in commands:
            raise google_error("bad_upload", reason="expected the command `start`")
        return _start_upload(core, exchange)
    file = core.uploads.find_session(session)
    if file is None or file.deleted:
        raise google_error("not_found")
    if commands & {"upload", "finalize"} and file.finished_at is None:
        return _continue_upload(core, exchange, file, is_last="finalize" in commands)
    if "cancel" in commands:
        core.uploads.delete(file)
    return _upload_response(core, file, {})


def _start_upload(core: Core, exchange: Exchange) -> Response:
    described = exchange.fields.get("file") or {}
    if not isinstance(described, dict):
        raise google_error("not_an_object", name="file")
    headers = exchange.headers
    size = headers.get("x-goog-upload-header-content-length", "")
    mime_type = headers.get("x-goog-upload-header-content-type") or _member(described, "mime_type")
    if not size.isdecimal() or not 0 < int(size) <= _MAX_FILE_BYTES or not mime_type:
        raise google_error("bad_upload", reason="length and type of the content are needed")
    file_id = _choose_id(core, _member(described, "name"))
    title = _member(described, "display_name")
    file = core.uploads.begin(file_id, mime_type, title, int(size), core.clock.now())
    address = f"{core.url}{exchange.path}?upload_id={file.session}&upload_protocol=resumable"
    response = _upload_response(core, file, None)
    response.headers["x-goog-upload-url"] = address
    response.headers["x-goog-upload-chunk-granularity"] = str(_CHUNK_BYTES)
    return response


def _continue_upload(
    core: Core, exchange: Exchange, file: StoredFile, *, is_last: bool
) -> Response:
    offset = exchange.headers.get("x-goog-upload-offset", "0")
    received = core.uploads.received_bytes(file)
    if offset != str(received):
        raise google_error("bad_upload", reason=f"expected the offset {received}, got {offset}")
    if received + len(exchange.body) > file.size:
        raise google_error("bad_upload", reason="more bytes than announced")
    # Also what arrived before a client was cut off: it asks how much there is, and goes on.
    core.uploads.append(file, exchange.body)
    if not is_last:
        return _upload_response(core, file, {})
    if core.uploads.received_bytes(file) < file.size:
        raise google_error("bad_upload", reason="fewer bytes than announced")
    file = core.uploads.finish(file, core.clock.now())
    return _upload_response(core, file, {"file": _describe_upload(core, file).to_json()})


def _upload_response(core: Core, file: StoredFile, body: dict[str, Any] | None) -> Response:
    response = Response() if body is None else JSONResponse(body)
    status = "active" if file.finished_at is None else "final"
    response.headers["x-goog-upload-status"] = "cancelled" if file.deleted else status
    response.headers["x-goog-upload-size-received"] = str(core.uploads.received_bytes(file))
    return response


def _choose_id(core: Core, name: str) -> str:
    if not name:
        return random_id()
    match = _FILE_NAME.fullmatch(name if name.startswith("files/") else f"files/{name}")
    if match is None:
        raise google_error("bad_file_name")
    if core.uploads.find(match[1]):
        raise google_error("existing_file", file=match[1])
    return match[1]


def _member(members: dict[str, Any], name: str) -> str:
    """Return a member by its name in snake_case or camelCase: clients send both."""
    head, *rest = name.split("_")
    camel = head + "".join(word.capitalize() for word in rest)
    return str(members.get(name) or members.get(camel) or "")


def _find_file(core: Core, exchange: Exchange) -> ListedFile:
    upload = core.uploads.find(exchange.params["file"])
    if upload and upload.is_available(core.clock.now()):
        return _describe_upload(core, upload)
    if exchange.task is None or not _has_address(core, exchange.task):
        raise google_error("forbidden_file", file=exchange.params["file"])
    return _describe_task(core, exchange.task)


def _has_address(core: Core, task: Task) -> bool:
    # An inline video of Omni's has none.
    is_delivered = task.spec.profile != PROFILE or task.spec.extra["delivery"] == "uri"
    return task.spec.route == "gemini" and is_delivered and core.has_file(task)


def _describe_task(core: Core, task: Task) -> ListedFile:
    footage = (*task.spec.clip.size, task.spec.extra["length"])
    file = StoredFile(task.file, "", "video/mp4", "", 0, task.created_at, task.done_at, footage)
    state = "PROCESSING" if is_processing(core, task) else "ACTIVE"
    path, expires_at = core.clips.clip_path(task), core.tasks.file_expires_at(task)
    return ListedFile(file, core.google_url, path, state, "GENERATED", expires_at)


def _describe_upload(core: Core, file: StoredFile) -> ListedFile:
    state = "FAILED" if file.is_video and file.footage is None else "ACTIVE"
    if file.is_processing(core.clock.now(), core.settings.processing_s):
        state = "PROCESSING"
    path = core.uploads.path(file)
    return ListedFile(file, core.google_url, path, state, "UPLOADED", file.expires_at)


ROUTES = (
    *mount(
        FOLDERS,
        authorize,
        RouteSpec("GET", "/files/{file}:download", "content", download_file),
        RouteSpec("GET", "/files/{file}", "other", get_file),
        RouteSpec("DELETE", "/files/{file}", "other", delete_file),
        RouteSpec("GET", "/files", "other", list_files),
    ),
    *(RouteSpec("POST", f"/upload{folder}/files", "upload", upload_file) for folder in FOLDERS),
)
