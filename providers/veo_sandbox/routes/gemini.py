"""The Gemini Developer API under `/v1beta` and `/v1`: Veo's create and poll, files, models."""

import base64
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange
from veo_sandbox.google.errors import google_error, wrong_key_error
from veo_sandbox.google.operations import accept_video, check_source, operation_body, random_id
from veo_sandbox.google.request import GoogleApi, VideoRequest, parse_request
from veo_sandbox.responses import VideoResponse
from veo_sandbox.routes import RouteSpec, account
from veo_sandbox.state.price_list import Model, load_models
from veo_sandbox.state.tasks import Task

_PUBLIC_URL = "https://generativelanguage.googleapis.com/v1beta"
"""The host in every address of a video. google-genai replaces it by its own base URL, but only in
`https` addresses, and only up to the first character of an id that is neither a lower-case letter
nor a digit."""

_API = GoogleApi.load("gemini")
_FILE_URI = re.compile(
    r"(?:https://generativelanguage\.googleapis\.com/v1(?:beta)?/)?"
    r"files/([a-z0-9]+)(?::download)?(?:\?.*)?"
)


async def create_video(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    model = _find_model(core, exchange)
    request = parse_request(_API, model, exchange)
    source = _find_source(core, request)
    name = f"models/{model.id}/operations/{random_id()}"
    return accept_video(_API, exchange, model, request, source, id=name, file=random_id())


async def poll_operation(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    return JSONResponse(operation_body(exchange, _API, _describe_video))


async def get_file(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    return JSONResponse(_file_metadata(core, _find_video(core, exchange)))


async def download_file(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    task = _find_video(core, exchange)
    if exchange.query.get("alt") != "media":
        raise google_error("alt_media")
    return VideoResponse(core.clips.clip_path(task))


async def list_models(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    available = {} if core.settings.retired else _sold_models()
    return JSONResponse({"models": [_describe_model(model) for model in available.values()]})


async def get_model(core: Core, exchange: Exchange) -> Response:
    _authorize(core, exchange)
    return JSONResponse(_describe_model(_find_model(core, exchange)))


async def list_models_v1(core: Core, exchange: Exchange) -> Response:
    """GET /v1/models, which the gateway also has: the kind of key tells them apart."""
    google = exchange.google_key and not exchange.bearer_key
    return await (list_models if google else account.list_models)(core, exchange)


def find_by_operation(core: Core, exchange: Exchange) -> Task | None:
    tail = f"operations/{exchange.params['operation']}"
    model = exchange.params.get("model")
    task = (
        core.tasks.find(f"models/{model}/{tail}")
        if model
        else core.tasks.find_by_suffix(f"/{tail}")
    )
    return task if task and task.spec.route == "gemini" else None


def _authorize(core: Core, exchange: Exchange) -> None:
    if not exchange.google_key:
        raise google_error("no_key")
    if exchange.google_key != core.key:
        raise wrong_key_error("generativelanguage.googleapis.com")


def _sold_models() -> dict[str, Model]:
    return {
        name: model for name, model in load_models("google").items() if model.family == "gemini"
    }


def _find_model(core: Core, exchange: Exchange) -> Model:
    name = exchange.params["model"]
    model = _sold_models().get(name)
    if model is None:
        raise google_error("unknown_model", model=name, version=exchange.path.split("/")[1])
    if core.settings.retired:
        raise google_error("retired_model", model=name)
    return model


def _find_source(core: Core, request: VideoRequest) -> Task | None:
    """Return the finished video that an extension names; None if it names none."""
    if request.video is None:
        return None
    uri = request.video.get("uri")
    if not uri:
        raise google_error("no_video_uri")
    match = _FILE_URI.fullmatch(str(uri))
    if not match:
        raise google_error("bad_file_name")
    task = core.tasks.find_by_file(match[1])
    if task is None or task.spec.route != "gemini" or _is_processing(core, task):
        raise google_error("unprocessed")
    if not core.has_file(task):
        raise google_error("forbidden_file", file=match[1])
    check_source(request, task)
    return task


def _is_processing(core: Core, task: Task) -> bool:
    """Return whether a video is not processed yet, which lasts beyond the end of its operation."""
    return core.clock.now() < task.done_at + core.settings.processing_lag


def _find_video(core: Core, exchange: Exchange) -> Task:
    task = exchange.task
    if task is None or task.spec.route != "gemini" or not core.has_file(task):
        raise google_error("forbidden_file", file=exchange.params["file"])
    return task


def _describe_video(_core: Core, task: Task) -> dict[str, Any]:
    uri = f"{_PUBLIC_URL}/files/{task.file}:download?alt=media"
    return {"generatedSamples": [{"video": {"uri": uri}}]}


def _file_metadata(core: Core, task: Task) -> dict[str, Any]:
    name = f"files/{task.file}"
    data = core.clips.clip_path(task).read_bytes()
    return {
        "name": name,
        "mimeType": "video/mp4",
        "sizeBytes": str(len(data)),
        "createTime": _format_time(task.created_at),
        "updateTime": _format_time(task.done_at),
        "expirationTime": _format_time(core.tasks.file_expires_at(task)),
        "sha256Hash": base64.b64encode(sha256(data).hexdigest().encode()).decode(),
        "uri": f"{_PUBLIC_URL}/{name}",
        "downloadUri": f"{_PUBLIC_URL}/{name}:download?alt=media",
        "state": "PROCESSING" if _is_processing(core, task) else "ACTIVE",
        "source": "GENERATED",
        "videoMetadata": {"videoDuration": f"{task.spec.extra['length']:g}s"},
    }


def _format_time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _describe_model(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.id}",
        "version": "3.1",
        "displayName": model.title,
        "inputTokenLimit": 1024,
        "outputTokenLimit": 8192,
        "supportedGenerationMethods": ["predictLongRunning"],
    }


def _build_routes(version: str) -> tuple[RouteSpec, ...]:
    model, operation = f"/{version}/models/{{model}}", "operations/{operation}"
    listing = list_models if version == "v1beta" else list_models_v1
    return (
        RouteSpec("POST", f"{model}:predictLongRunning", "create", create_video),
        RouteSpec("GET", f"{model}/{operation}", "poll", poll_operation, find_by_operation),
        RouteSpec("GET", f"/{version}/{operation}", "poll", poll_operation, find_by_operation),
        RouteSpec("GET", f"/{version}/files/{{file}}:download", "content", download_file),
        RouteSpec("GET", f"/{version}/files/{{file}}", "other", get_file),
        RouteSpec("GET", f"/{version}/models", "other", listing),
        RouteSpec("GET", model, "other", get_model),
    )


ROUTES = (*_build_routes("v1beta"), *_build_routes("v1"))
