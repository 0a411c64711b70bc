"""The Agent Platform (Vertex AI) under `/v1beta1` and `/v1`, and a Cloud Storage for its videos.

Videos are in the response to the poll, or at `gs://` addresses if `storageUri` is set. Those are
served on the files port, as Cloud Storage's JSON API does, only with a Bearer token:
`/storage/v1/b/BUCKET/o/OBJECT?alt=media`.
"""

import asyncio
import base64
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal
from veo_sandbox.google.errors import (
    UNPROCESSED_TEXT,
    bad_request_error,
    error_response,
    invalid_key_error,
    not_found_error,
)
from veo_sandbox.google.operations import build_spec, check_source, operation_body
from veo_sandbox.google.request import (
    COMMON_PARAMETERS,
    ApiFields,
    VideoRequest,
    decode_base64,
    parse_request,
)
from veo_sandbox.responses import VideoResponse
from veo_sandbox.routes import RouteSpec
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model, load_models
from veo_sandbox.state.tasks import Task

_DEFAULT_LOCATION = "projects/sandbox/locations/us-central1"
"""The location of operations whose create named no project."""

_PERSON_VALUES = frozenset({"allow_all", "allow_adult", "dont_allow", "disallow"})
_API = ApiFields(
    top=frozenset({"labels"}),
    parameters=COMMON_PARAMETERS
    | {"storageUri", "fps", "pubsubTopic", "generateAudio", "compressionQuality", "resizeMode"},
    video=frozenset({"gcsUri", "bytesBase64Encoded", "mimeType"}),
    persons=(_PERSON_VALUES, _PERSON_VALUES),
)
_RESPONSE = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"


class _VertexFormat:
    filter_reason = (
        "Veo could not generate 1 videos based on the prompt provided. You will not be charged for "
        "this request. Try rephrasing the prompt. If you think this was an error, send feedback. "
        "Support codes: 42237218"
    )

    def __init__(self, core: Core) -> None:
        self._core = core

    def video_response(self, task: Task) -> dict[str, Any]:
        if uri := task.spec.extra["uri"]:
            location = {"gcsUri": uri}
        else:
            data = self._core.clips.clip_path(task).read_bytes()
            location = {"bytesBase64Encoded": base64.b64encode(data).decode()}
        videos = [location | {"mimeType": "video/mp4"}]
        return {"@type": _RESPONSE, "raiMediaFilteredCount": 0, "videos": videos}

    def filtered_response(self, reason: str) -> dict[str, Any]:
        return {"@type": _RESPONSE, "raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [reason]}

    def empty_response(self) -> dict[str, Any]:
        return {"@type": _RESPONSE}


async def create_video(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    model = _find_model(exchange)
    request = parse_request(_API, model, exchange)
    # Compares bytes of files, which would block the event loop.
    source = await asyncio.to_thread(_find_source, core, request)
    name = f"{_model_name(exchange)}/operations/{uuid4()}"
    file = str(uuid4())
    facts = {"route": "vertex", "profile": "vertex", "id": name, "file": file}
    extra = {"uri": _build_object_uri(request, file)}
    try:
        exchange.accepted_task = core.accept_task(
            build_spec(exchange, model, request, source, extra=extra, **facts)
        )
    except BalanceError:
        text = "This API method requires billing to be enabled."
        raise Refusal(error_response(403, text)) from None
    if source:
        core.tasks.restart_retention(source, core.clock.now())
    return JSONResponse({"name": name})


async def poll_operation(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    task, state = exchange.task, exchange.state
    if task is None or state is None or state.name == "gone":
        raise not_found_error()
    # Reads and encodes a whole video.
    return JSONResponse(await asyncio.to_thread(operation_body, task, state, _VertexFormat(core)))


async def get_model(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    model = _find_model(exchange)
    return JSONResponse(
        {
            "name": f"publishers/google/models/{model.id}",
            "versionId": "default",
            "openSourceCategory": "PROPRIETARY",
            "launchStage": "GA",
        }
    )


async def get_object(core: Core, exchange: Exchange) -> Response:
    if exchange.google_key:
        core.leak_log.add_entry(exchange.to_log_entry())
    if exchange.bearer_key != core.key:
        caller = "Anonymous caller" if exchange.bearer_key is None else "The caller"
        text = (
            f"{caller} does not have storage.objects.get access to the Google Cloud Storage object."
        )
        return error_response(401, text)
    if exchange.task is None or not core.has_file(exchange.task):
        return error_response(
            404, f"No such object: {exchange.params['bucket']}/{exchange.params['object']}"
        )
    if exchange.query.get("alt") == "media":
        return VideoResponse(core.clips.clip_path(exchange.task))
    return JSONResponse(_object_metadata(core, exchange, exchange.task))


def find_by_body(core: Core, exchange: Exchange) -> Task | None:
    task = core.tasks.find(str(exchange.fields.get("operationName", "")))
    return task if task and task.spec.route == "vertex" else None


def find_by_object(core: Core, exchange: Exchange) -> Task | None:
    return _find_stored(core, f"gs://{exchange.params['bucket']}/{exchange.params['object']}")


def _authorize(core: Core, exchange: Exchange) -> None:
    if exchange.google_key:
        if exchange.google_key != core.key:
            raise invalid_key_error("aiplatform.googleapis.com")
    elif exchange.bearer_key != core.key:
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token,"
        more = "login cookie or other valid authentication credential."
        raise Refusal(error_response(401, f"{text} {more}"))


def _find_model(exchange: Exchange) -> Model:
    model = load_models("google").get(exchange.params["model"])
    if model is None or model.family != "vertex":
        text = (
            f"Publisher Model `{_model_name(exchange)}` was not found or your project does not have"
        )
        more = "access to it. Please ensure you are using a valid model version."
        raise Refusal(error_response(404, f"{text} {more}"))
    return model


def _model_name(exchange: Exchange) -> str:
    location, params = _DEFAULT_LOCATION, exchange.params
    if "project" in params:
        location = f"projects/{params['project']}/locations/{params['location']}"
    return f"{location}/publishers/google/models/{params['model']}"


def _build_object_uri(request: VideoRequest, file: str) -> str:
    folder = request.parameters.get("storageUri")
    if folder is None:
        return ""
    if not str(folder).startswith("gs://"):
        raise bad_request_error("`storageUri` needs to be a Cloud Storage URI: gs://BUCKET/FOLDER")
    return f"{str(folder).rstrip('/')}/{file}/sample_0.mp4"


def _find_source(core: Core, request: VideoRequest) -> Task | None:
    if request.video is None:
        return None
    if "gcsUri" in request.video:
        task = _find_stored(core, str(request.video["gcsUri"]))
    else:
        task = _find_by_bytes(
            core, decode_base64(request.video.get("bytesBase64Encoded", ""), "video")
        )
    if task is None or not core.has_file(task):
        raise bad_request_error(UNPROCESSED_TEXT)
    check_source(request, task)
    return task


def _find_stored(core: Core, uri: str) -> Task | None:
    folder, _, _ = uri.rpartition("/")
    task = core.tasks.find_by_file(folder.rpartition("/")[2])
    return task if task and task.spec.extra.get("uri") == uri else None


def _find_by_bytes(core: Core, data: bytes) -> Task | None:
    for task in reversed(core.tasks.list_tasks()):
        if task.spec.route == "vertex" and core.has_file(task):
            path = core.clips.clip_path(task)
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return task
    return None


def _object_metadata(core: Core, exchange: Exchange, task: Task) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "bucket": exchange.params["bucket"],
        "name": exchange.params["object"],
        "size": str(core.clips.clip_path(task).stat().st_size),
        "contentType": "video/mp4",
    }


def _build_routes(version: str) -> tuple[RouteSpec, ...]:
    model = "publishers/google/models/{model}"
    bases = (
        f"/{version}/{model}",
        f"/{version}/projects/{{project}}/locations/{{location}}/{model}",
    )
    return tuple(
        at
        for base in bases
        for at in (
            RouteSpec("POST", f"{base}:predictLongRunning", "create", create_video),
            RouteSpec(
                "POST", f"{base}:fetchPredictOperation", "poll", poll_operation, find_by_body
            ),
            RouteSpec("GET", base, "other", get_model),
        )
    )


ROUTES = (*_build_routes("v1beta1"), *_build_routes("v1"))
FILES = (
    RouteSpec("GET", "/storage/v1/b/{bucket}/o/{object:path}", "file", get_object, find_by_object),
)
