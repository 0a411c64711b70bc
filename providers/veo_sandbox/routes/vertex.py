"""The Agent Platform (Vertex AI) under `/v1beta1` and `/v1`, and a Cloud Storage for its videos.

Videos are in the response to the poll, or at `gs://` addresses if `storageUri` is set.
"""

import asyncio
import base64
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.google.catalogue import find_veo, list_names
from veo_sandbox.google.errors import google_error, wrong_key_error
from veo_sandbox.google.operations import accept_video, check_source, operation_body
from veo_sandbox.google.paging import cut_page
from veo_sandbox.google.request import GoogleApi, VideoRequest, decode_base64, parse_request
from veo_sandbox.google.storage import (
    StoredObject,
    build_object_uri,
    find_object,
    find_stored,
    object_uris,
)
from veo_sandbox.google.storage import list_objects as list_stored
from veo_sandbox.responses import VideoResponse
from veo_sandbox.routes import RouteSpec, mount
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Task

_DEFAULT_LOCATION = "projects/sandbox/locations/us-central1"
"""The location of operations whose create named no project."""

_API = GoogleApi.load("vertex")


async def create_video(core: Core, exchange: Exchange) -> Response:
    model = _find_model(core, exchange)
    request = parse_request(_API, model, exchange)
    # Compares bytes of files, which would block the event loop.
    source = await asyncio.to_thread(_find_source, core, request)
    name = f"{_model_name(exchange)}/operations/{uuid4()}"
    file = str(uuid4())
    extra = {"uri": build_object_uri(_parse_folder(request), file)}
    return accept_video(_API, exchange, model, request, source, id=name, file=file, extra=extra)


async def poll_operation(_core: Core, exchange: Exchange) -> Response:
    # Reads and encodes a whole video.
    return JSONResponse(await asyncio.to_thread(operation_body, exchange, _API, _describe_video))


async def list_models(core: Core, exchange: Exchange) -> Response:
    names = list_names(core, "vertex")
    page, rest = cut_page(exchange.query, names, default_size=100, max_size=100)
    return JSONResponse({"publisherModels": [_describe_model(name) for name in page]} | rest)


async def get_model(core: Core, exchange: Exchange) -> Response:
    name = exchange.params["model"]
    if name not in list_names(core, "vertex"):
        raise google_error("unknown_publisher_model", model=_model_name(exchange))
    return JSONResponse(_describe_model(name))


async def list_objects(core: Core, exchange: Exchange) -> Response:
    """List a bucket, or the objects in it whose names begin with `prefix`."""
    bucket = exchange.params["bucket"]
    stored = list_stored(core, f"gs://{bucket}/{exchange.query.get('prefix', '')}")
    items = [_object_metadata(each) for each in stored]
    # Like Google's, the list has no `items` when nothing is found.
    return JSONResponse({"kind": "storage#objects"} | ({"items": items} if items else {}))


async def get_object(core: Core, exchange: Exchange) -> Response:
    found = find_object(core, f"gs://{exchange.params['bucket']}/{exchange.params['object']}")
    if found is None:
        raise google_error("no_object", **exchange.params)
    if exchange.query.get("alt") == "media":
        return VideoResponse(found.path, media_type=found.mime_type)
    return JSONResponse(_object_metadata(found))


async def put_object(core: Core, exchange: Exchange) -> Response:
    """POST /upload/storage/...: put an object, an image for example, into a bucket."""
    name = exchange.query.get("name", "")
    if exchange.query.get("uploadType") != "media" or not name:
        raise google_error("bad_upload", reason="`uploadType=media` and `name` are needed")
    uri = f"gs://{exchange.params['bucket']}/{name}"
    mime_type = exchange.headers.get("content-type", "application/octet-stream")
    file = core.uploads.put_object(uri, mime_type, exchange.body, core.clock.now())
    stored = StoredObject(uri, core.uploads.path(file), mime_type)
    return JSONResponse(_object_metadata(stored))


def find_by_body(core: Core, exchange: Exchange) -> Task | None:
    task = core.tasks.find(str(exchange.fields.get("operationName", "")))
    return task if task and task.spec.profile == "vertex" else None


def find_by_object(core: Core, exchange: Exchange) -> Task | None:
    return find_stored(core, f"gs://{exchange.params['bucket']}/{exchange.params['object']}")


def _authorize(core: Core, exchange: Exchange) -> None:
    if exchange.google_key:
        if exchange.google_key != core.key:
            raise wrong_key_error("aiplatform.googleapis.com")
    elif exchange.bearer_key != core.key:
        raise google_error("no_credentials")


def _authorize_storage(core: Core, exchange: Exchange) -> None:
    if exchange.google_key:
        core.add_leak(exchange.to_log_entry())
    if exchange.bearer_key != core.key:
        caller = "Anonymous caller" if exchange.bearer_key is None else "The caller"
        raise google_error("no_object_access", caller=caller)


def _find_model(core: Core, exchange: Exchange) -> Model:
    name = exchange.params["model"]
    model = find_veo(core, "vertex", name)
    if model is None:
        raise google_error("unknown_publisher_model", model=_model_name(exchange))
    return model


def _model_name(exchange: Exchange) -> str:
    location, params = _DEFAULT_LOCATION, exchange.params
    if "project" in params:
        location = f"projects/{params['project']}/locations/{params['location']}"
    return f"{location}/publishers/google/models/{params['model']}"


def _parse_folder(request: VideoRequest) -> str:
    folder = request.parameters.get("storageUri")
    if folder is not None and not str(folder).startswith("gs://"):
        raise google_error("bad_storage_uri")
    return str(folder or "")


def _find_source(core: Core, request: VideoRequest) -> Task | None:
    if request.video is None:
        return None
    if "gcsUri" in request.video:
        task = find_stored(core, str(request.video["gcsUri"]))
    else:
        task = _find_by_bytes(
            core, decode_base64(request.video.get("bytesBase64Encoded", ""), "video")
        )
    if task is None or task.spec.profile != "vertex" or not core.has_file(task):
        raise google_error("unprocessed")
    check_source(_API, request, task)
    return task


def _describe_video(core: Core, task: Task) -> dict[str, Any]:
    # All videos of one request show the same.
    if task.spec.extra["uri"]:
        locations = [{"gcsUri": uri} for uri in object_uris(task)]
    else:
        data = core.clips.clip_path(task).read_bytes()
        text = base64.b64encode(data).decode()
        locations = [{"bytesBase64Encoded": text}] * task.spec.extra["samples"]
    videos = [location | {"mimeType": "video/mp4"} for location in locations]
    return {"raiMediaFilteredCount": 0, "videos": videos}


def _find_by_bytes(core: Core, data: bytes) -> Task | None:
    for task in reversed(core.tasks.list_tasks()):
        if task.spec.profile == "vertex" and core.has_file(task):
            path = core.clips.clip_path(task)
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return task
    return None


def _object_metadata(stored: StoredObject) -> dict[str, Any]:
    bucket, _, name = stored.uri.removeprefix("gs://").partition("/")
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": name,
        "size": str(stored.path.stat().st_size),
        "contentType": stored.mime_type,
    }


def _describe_model(name: str) -> dict[str, Any]:
    return {
        "name": f"publishers/google/models/{name}",
        "versionId": "default",
        "openSourceCategory": "PROPRIETARY",
        "launchStage": "PUBLIC_PREVIEW" if name.endswith("preview") else "GA",
    }


_MODELS, _MODEL = "/publishers/google/models", "/publishers/google/models/{model}"
_PROJECT = "/projects/{project}/locations/{location}"
ROUTES = mount(
    ("/v1beta1", f"/v1beta1{_PROJECT}", "/v1", f"/v1{_PROJECT}"),
    _authorize,
    RouteSpec("POST", f"{_MODEL}:predictLongRunning", "create", create_video),
    RouteSpec("POST", f"{_MODEL}:fetchPredictOperation", "poll", poll_operation, find_by_body),
    RouteSpec("GET", _MODEL, "other", get_model),
    RouteSpec("GET", _MODELS, "other", list_models),
)
FILES = mount(
    ("",),
    _authorize_storage,
    RouteSpec("GET", "/storage/v1/b/{bucket}/o/{object:path}", "file", get_object, find_by_object),
    RouteSpec("GET", "/storage/v1/b/{bucket}/o", "other", list_objects),
    RouteSpec("POST", "/upload/storage/v1/b/{bucket}/o", "upload", put_object),
)
