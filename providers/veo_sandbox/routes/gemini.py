"""The Gemini Developer API under `/v1beta` and `/v1`: Veo's create and poll, files, models."""

import base64
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal
from veo_sandbox.google.errors import (
    UNPROCESSED,
    bad,
    bad_key,
    error,
    no_key,
    no_such_url,
    not_found,
)
from veo_sandbox.google.operations import check_source, operation_body, order, token
from veo_sandbox.google.request import Api, Asked, read
from veo_sandbox.responses import Video
from veo_sandbox.routes import At, account
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model, models
from veo_sandbox.state.tasks import Task

_HOME = "https://generativelanguage.googleapis.com/v1beta"
"""The host in every address of a video. google-genai asks its own base URL instead, but only for
addresses of `https`, and only up to the first character of an id that is neither a small letter
nor a digit."""

_API = Api(
    top=frozenset({"webhookConfig"}),
    parameters=frozenset(
        {
            "sampleCount",
            "durationSeconds",
            "aspectRatio",
            "resolution",
            "personGeneration",
            "negativePrompt",
            "enhancePrompt",
            "seed",
        }
    ),
    video=frozenset({"uri", "mimeType", "encoding", "bytesBase64Encoded"}),
    persons=(frozenset({"allow_all"}), frozenset({"allow_all", "allow_adult"})),
)
_RESPONSE = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
_FILE = re.compile(
    r"(?:https://generativelanguage\.googleapis\.com/v1(?:beta)?/)?"
    r"files/([a-z0-9]+)(?::download)?(?:\?.*)?"
)


class _Telling:
    """The `response` of an operation."""

    reason = (
        "We encountered an issue with the audio for your prompt, which means we could not create "
        "your video. You have not been charged for this attempt."
    )

    def made(self, task: Task) -> dict[str, Any]:
        """One sample with its address."""
        uri = f"{_HOME}/files/{task.file}:download?alt=media"
        return self._with({"generatedSamples": [{"video": {"uri": uri}}]})

    def filtered(self, reason: str) -> dict[str, Any]:
        """No sample, and why."""
        return self._with({"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [reason]})

    def nothing(self) -> dict[str, Any]:
        """Nothing."""
        return self._with({})

    def _with(self, response: dict[str, Any]) -> dict[str, Any]:
        return {"@type": _RESPONSE, "generateVideoResponse": response}


async def create(core: Core, call: Call) -> Response:
    """POST models/{model}:predictLongRunning: begin a video, or an extension of one."""
    _authorize(core, call)
    model = _model(core, call)
    asked = read(_API, model, call)
    source = _source(core, asked)
    name = f"models/{model.id}/operations/{token()}"
    facts = {"route": "gemini", "dress": "gemini", "id": name, "file": token()}
    try:
        call.accepted = core.accept(order(call, model, asked, source, **facts))
    except BalanceError:
        raise Refusal(_broke()) from None
    if source:
        core.tasks.refer(source, core.clock.now())
    return JSONResponse({"name": name})


async def poll(core: Core, call: Call) -> Response:
    """GET {operation}."""
    _authorize(core, call)
    if call.task is None or call.state is None or call.state.name == "gone":
        raise not_found()
    return JSONResponse(operation_body(call.task, call.state, _Telling()))


async def get_file(core: Core, call: Call) -> Response:
    """GET files/{file}: what is known of a finished video."""
    _authorize(core, call)
    return JSONResponse(_metadata(core, _video(core, call)))


async def download(core: Core, call: Call) -> Response:
    """GET files/{file}:download?alt=media: the bytes."""
    _authorize(core, call)
    task = _video(core, call)
    if call.query.get("alt") != "media":
        raise bad("This method only returns media: ask with `alt=media`.")
    return Video(core.studio.path(task))


async def list_models(core: Core, call: Call) -> Response:
    """GET models."""
    _authorize(core, call)
    sold = {} if core.settings.retired else _sold()
    return JSONResponse({"models": [_described(model) for model in sold.values()]})


async def get_model(core: Core, call: Call) -> Response:
    """GET models/{model}."""
    _authorize(core, call)
    return JSONResponse(_described(_model(core, call)))


async def list_models_v1(core: Core, call: Call) -> Response:
    """GET /v1/models, which is the gateway's too: the key tells whose caller it is."""
    google = call.goog_key and not call.bearer
    return await (list_models if google else account.list_models)(core, call)


async def nowhere(core: Core, call: Call) -> Response:
    """Any other address."""
    del core
    return no_such_url(call.path)


def by_operation(core: Core, call: Call) -> Task | None:
    """The task of `models/{model}/operations/{operation}`, or of `operations/{operation}`."""
    tail = f"operations/{call.params['operation']}"
    model = call.params.get("model")
    task = core.tasks.find(f"models/{model}/{tail}") if model else core.tasks.ending(f"/{tail}")
    return task if task and task.order.route == "gemini" else None


def _authorize(core: Core, call: Call) -> None:
    if not call.goog_key:
        raise no_key()
    if call.goog_key != core.key:
        raise bad_key("generativelanguage.googleapis.com")


def _sold() -> dict[str, Model]:
    return {name: model for name, model in models("google").items() if model.family == "gemini"}


def _model(core: Core, call: Call) -> Model:
    name = call.params["model"]
    model = _sold().get(name)
    if model is None:
        version = call.path.split("/")[1]
        known = "Call ListModels to see the list of available models and their supported methods."
        told = f"models/{name} is not found for API version {version}, or is not supported for"
        raise Refusal(error(404, f"{told} predictLongRunning. {known}"))
    if core.settings.retired:
        advice = "Please update your code to use a newer model for the latest features"
        told = f"This model models/{name} is no longer available. {advice} and improvements."
        raise Refusal(error(404, told))
    return model


def _source(core: Core, asked: Asked) -> Task | None:
    """The finished video that an extension names; None if it names none.

    Raises:
        Refusal: no address, one of another service, or a video that cannot be extended (yet).
    """
    if asked.video is None:
        return None
    uri = asked.video.get("uri")
    if not uri:
        raise bad("Video URI not found in the request.")
    found = _FILE.fullmatch(str(uri))
    if not found:
        raise bad("Could not parse the file name")
    task = core.tasks.of_file(found[1])
    if task is None or task.order.route != "gemini" or _fresh(core, task):
        raise bad(UNPROCESSED)
    if not core.has_file(task):
        raise Refusal(_forbidden(found[1]))
    check_source(asked, task)
    return task


def _fresh(core: Core, task: Task) -> bool:
    """Whether a video is not processed yet: for a while after its operation is done, too."""
    return core.clock.now() < task.done_at + core.settings.processing_lag


def _video(core: Core, call: Call) -> Task:
    task = call.task
    if task is None or task.order.route != "gemini" or not core.has_file(task):
        raise Refusal(_forbidden(call.params["file"]))
    return task


def _forbidden(file: str) -> Response:
    told = f"You do not have permission to access the File {file} or it may not exist."
    return error(403, told)


def _broke() -> Response:
    told = "Your prepayment credits are depleted. Please go to AI Studio at"
    return error(429, f"{told} https://ai.studio/projects to manage your project and billing.")


def _metadata(core: Core, task: Task) -> dict[str, Any]:
    name = f"files/{task.file}"
    data = core.studio.path(task).read_bytes()
    return {
        "name": name,
        "mimeType": "video/mp4",
        "sizeBytes": str(len(data)),
        "createTime": _stamp(task.created_at),
        "updateTime": _stamp(task.done_at),
        "expirationTime": _stamp(core.tasks.file_gone_at(task)),
        "sha256Hash": base64.b64encode(sha256(data).hexdigest().encode()).decode(),
        "uri": f"{_HOME}/{name}",
        "downloadUri": f"{_HOME}/{name}:download?alt=media",
        "state": "PROCESSING" if _fresh(core, task) else "ACTIVE",
        "source": "GENERATED",
        "videoMetadata": {"videoDuration": f"{task.order.extra['length']:g}s"},
    }


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _described(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.id}",
        "version": "3.1",
        "displayName": model.title,
        "inputTokenLimit": 1024,
        "outputTokenLimit": 8192,
        "supportedGenerationMethods": ["predictLongRunning"],
    }


def _routes(version: str) -> tuple[At, ...]:
    base = f"/{version}"
    operation = f"{base}/models/{{model}}/operations/{{operation}}"
    listing = list_models if version == "v1beta" else list_models_v1
    return (
        At("POST", f"{base}/models/{{model}}:predictLongRunning", "create", create),
        At("GET", operation, "poll", poll, by_operation),
        At("GET", f"{base}/operations/{{operation}}", "poll", poll, by_operation),
        At("GET", f"{base}/files/{{file}}:download", "content", download),
        At("GET", f"{base}/files/{{file}}", "other", get_file),
        At("GET", f"{base}/models", "other", listing),
        At("GET", f"{base}/models/{{model}}", "other", get_model),
    )


ROUTES = (*_routes("v1beta"), *_routes("v1"))
