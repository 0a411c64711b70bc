"""The Gemini Developer API under `/v1beta` and `/v1`: Veo's create and poll, models."""

from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Exchange, Refusal
from veo_sandbox.google.catalogue import find_listed, find_veo, list_names
from veo_sandbox.google.errors import google_error, wrong_key_error
from veo_sandbox.google.omni import load_omni_models
from veo_sandbox.google.omni_api import REPLACEMENT
from veo_sandbox.google.operations import accept_video, check_source, operation_body, random_id
from veo_sandbox.google.paging import cut_page
from veo_sandbox.google.request import GoogleApi, VideoRequest, parse_request
from veo_sandbox.google.storage import is_processing, parse_file_uri
from veo_sandbox.routes import RouteSpec, account, mount
from veo_sandbox.state.price_list import Model
from veo_sandbox.state.tasks import Task

FOLDERS = ("/v1beta", "/v1")
_API = GoogleApi.load("gemini")


async def create_video(core: Core, exchange: Exchange) -> Response:
    model = _find_model(core, exchange)
    request = parse_request(_API, model, exchange)
    source = _find_source(core, request)
    name = f"models/{model.id}/operations/{random_id()}"
    return accept_video(_API, exchange, model, request, source, id=name, file=random_id())


async def poll_operation(_core: Core, exchange: Exchange) -> Response:
    return JSONResponse(operation_body(exchange, _API, _describe_video))


async def refuse_content(_core: Core, exchange: Exchange) -> Response:
    """POST :generateContent, which makes no videos."""
    name = exchange.params["model"]
    if name in load_omni_models("gemini"):
        raise google_error("only_interactions")
    raise _unknown_model_error(exchange, "generateContent")


async def list_models(core: Core, exchange: Exchange) -> Response:
    names = list_names(core, "gemini")
    page, rest = cut_page(exchange.query, names, default_size=50, max_size=1000)
    return JSONResponse({"models": [_describe_model(name) for name in page]} | rest)


async def get_model(core: Core, exchange: Exchange) -> Response:
    name = exchange.params["model"]
    # A model of Veo's that is shut down has an error of its own.
    if name not in list_names(core, "gemini"):
        _find_model(core, exchange)
    return JSONResponse(_describe_model(name))


async def list_models_v1(core: Core, exchange: Exchange) -> Response:
    """GET /v1/models, which the gateway also has: the kind of key tells them apart."""
    if exchange.bearer_key or not exchange.google_key:
        return await account.list_models(core, exchange)
    authorize(core, exchange)
    return await list_models(core, exchange)


def find_by_operation(core: Core, exchange: Exchange) -> Task | None:
    tail = f"operations/{exchange.params['operation']}"
    model = exchange.params.get("model")
    task = (
        core.tasks.find(f"models/{model}/{tail}")
        if model
        else core.tasks.find_by_suffix(f"/{tail}")
    )
    return task if task and task.spec.route == "gemini" else None


def authorize(core: Core, exchange: Exchange) -> None:
    if not exchange.google_key:
        raise google_error("no_key")
    if exchange.google_key != core.key:
        raise wrong_key_error("generativelanguage.googleapis.com")


def _find_model(core: Core, exchange: Exchange) -> Model:
    name = exchange.params["model"]
    model = find_veo(core, "gemini", name)
    if model is None:
        raise _unknown_model_error(exchange, "predictLongRunning")
    if core.settings.retired:
        raise google_error("retired_model", model=name, replacement=REPLACEMENT)
    return model


def _unknown_model_error(exchange: Exchange, method: str) -> Refusal:
    version = exchange.path.split("/")[1]
    return google_error(
        "unknown_model", model=exchange.params["model"], version=version, method=method
    )


def _find_source(core: Core, request: VideoRequest) -> Task | None:
    """Return the finished video that an extension names; None if it names none."""
    if request.video is None:
        return None
    uri = request.video.get("uri")
    if not uri:
        raise google_error("no_video_uri")
    file_id = parse_file_uri(str(uri))
    if not file_id:
        raise google_error("bad_file_name")
    task = core.tasks.find_by_file(file_id)
    if task is None or task.spec.profile != "gemini" or is_processing(core, task):
        raise google_error("unprocessed")
    if not core.has_file(task):
        raise google_error("forbidden_file", file=file_id)
    check_source(_API, request, task)
    return task


def _describe_video(core: Core, task: Task) -> dict[str, Any]:
    uri = f"{core.google_url}/files/{task.file}:download?alt=media"
    return {"generatedSamples": [{"video": {"uri": uri}}]}


def _describe_model(name: str) -> dict[str, Any]:
    """Return a model of either family, or one that only the setting `offered` names."""
    model = find_listed("gemini", name)
    return {
        "name": f"models/{name}",
        "version": model.version,
        "displayName": model.title,
        "inputTokenLimit": model.input_tokens,
        "outputTokenLimit": model.output_tokens,
        # What the list says of models of the Interactions API is not known.
        "supportedGenerationMethods": [model.method],
    }


_OPERATION = "/operations/{operation}"
ROUTES = (
    RouteSpec("GET", "/v1/models", "other", list_models_v1),
    *mount(
        FOLDERS,
        authorize,
        RouteSpec("POST", "/models/{model}:predictLongRunning", "create", create_video),
        RouteSpec("POST", "/models/{model}:generateContent", "other", refuse_content),
        RouteSpec("GET", "/models/{model}" + _OPERATION, "poll", poll_operation, find_by_operation),
        RouteSpec("GET", _OPERATION, "poll", poll_operation, find_by_operation),
        RouteSpec("GET", "/models", "other", list_models),
        RouteSpec("GET", "/models/{model}", "other", get_model),
    ),
)
