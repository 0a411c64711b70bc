"""The Agent Platform (Vertex AI) under `/v1beta1` and `/v1`, and a Cloud Storage for its videos.

Videos come inside the poll's answer, or at `gs://` addresses when `storageUri` asks for it. Those
are served on the files port, as Cloud Storage's JSON API does:
`/storage/v1/b/BUCKET/o/OBJECT?alt=media`, for a Bearer token alone.
"""

import asyncio
import base64
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse, Response

from veo_sandbox.core import Core
from veo_sandbox.exchange import Call, Refusal
from veo_sandbox.google.errors import UNPROCESSED, bad, bad_key, error, not_found
from veo_sandbox.google.operations import check_source, operation_body, order
from veo_sandbox.google.request import Api, Asked, decoded, read
from veo_sandbox.responses import Video
from veo_sandbox.routes import At
from veo_sandbox.state.billing import BalanceError
from veo_sandbox.state.price_list import Model, models
from veo_sandbox.state.tasks import Task

_PLACE = "projects/sandbox/locations/us-central1"
"""Where the operations of callers are that name no project."""

_PERSONS = frozenset({"allow_all", "allow_adult", "dont_allow", "disallow"})
_API = Api(
    top=frozenset({"labels"}),
    parameters=frozenset(
        {
            "sampleCount",
            "storageUri",
            "fps",
            "durationSeconds",
            "seed",
            "aspectRatio",
            "resolution",
            "personGeneration",
            "pubsubTopic",
            "negativePrompt",
            "enhancePrompt",
            "generateAudio",
            "compressionQuality",
            "resizeMode",
        }
    ),
    video=frozenset({"gcsUri", "bytesBase64Encoded", "mimeType"}),
    persons=(_PERSONS, _PERSONS),
)
_RESPONSE = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"


class _Telling:
    """The `response` of an operation."""

    reason = (
        "Veo could not generate 1 videos based on the prompt provided. You will not be charged for "
        "this request. Try rephrasing the prompt. If you think this was an error, send feedback. "
        "Support codes: 42237218"
    )

    def __init__(self, core: Core) -> None:
        self._core = core

    def made(self, task: Task) -> dict[str, Any]:
        """One video, by its address in storage or with its bytes."""
        if uri := task.order.extra["uri"]:
            place = {"gcsUri": uri}
        else:
            data = self._core.studio.path(task).read_bytes()
            place = {"bytesBase64Encoded": base64.b64encode(data).decode()}
        videos = [place | {"mimeType": "video/mp4"}]
        return {"@type": _RESPONSE, "raiMediaFilteredCount": 0, "videos": videos}

    def filtered(self, reason: str) -> dict[str, Any]:
        """No video, and why."""
        return {
            "@type": _RESPONSE,
            "raiMediaFilteredCount": 1,
            "raiMediaFilteredReasons": [reason],
        }

    def nothing(self) -> dict[str, Any]:
        """Nothing."""
        return {"@type": _RESPONSE}


async def create(core: Core, call: Call) -> Response:
    """POST {model}:predictLongRunning: begin a video, or an extension of one."""
    _authorize(core, call)
    model = _model(call)
    asked = read(_API, model, call)
    source = await asyncio.to_thread(_source, core, asked)
    name = f"{_model_name(call)}/operations/{uuid4()}"
    file = str(uuid4())
    facts = {"route": "vertex", "dress": "vertex", "id": name, "file": file}
    extra = {"uri": _object_uri(asked, file)}
    try:
        call.accepted = core.accept(order(call, model, asked, source, extra=extra, **facts))
    except BalanceError:
        told = "This API method requires billing to be enabled."
        raise Refusal(error(403, told)) from None
    if source:
        core.tasks.refer(source, core.clock.now())
    return JSONResponse({"name": name})


async def poll(core: Core, call: Call) -> Response:
    """POST {model}:fetchPredictOperation {"operationName": ...}."""
    _authorize(core, call)
    task, state = call.task, call.state
    if task is None or state is None or state.name == "gone":
        raise not_found()
    return JSONResponse(await asyncio.to_thread(operation_body, task, state, _Telling(core)))


async def get_model(core: Core, call: Call) -> Response:
    """GET {model}."""
    _authorize(core, call)
    model = _model(call)
    return JSONResponse(
        {
            "name": f"publishers/google/models/{model.id}",
            "versionId": "default",
            "openSourceCategory": "PROPRIETARY",
            "launchStage": "GA",
        }
    )


async def get_object(core: Core, call: Call) -> Response:
    """GET /storage/v1/b/{bucket}/o/{object} on the files port."""
    if call.goog_key:
        core.leaks.add(call.summary())
    if call.bearer != core.key:
        who = "Anonymous caller" if call.bearer is None else "The caller"
        told = f"{who} does not have storage.objects.get access to the Google Cloud Storage object."
        return error(401, told)
    if call.task is None or not core.has_file(call.task):
        return error(404, f"No such object: {call.params['bucket']}/{call.params['object']}")
    if call.query.get("alt") == "media":
        return Video(core.studio.path(call.task))
    return JSONResponse(_metadata(core, call, call.task))


def by_body(core: Core, call: Call) -> Task | None:
    """The task that the body's `operationName` names."""
    task = core.tasks.find(str(call.fields.get("operationName", "")))
    return task if task and task.order.route == "vertex" else None


def by_object(core: Core, call: Call) -> Task | None:
    """The task whose video is that object."""
    return _stored(core, f"gs://{call.params['bucket']}/{call.params['object']}")


def _authorize(core: Core, call: Call) -> None:
    if call.goog_key:
        if call.goog_key != core.key:
            raise bad_key("aiplatform.googleapis.com")
    elif call.bearer != core.key:
        told = "Request had invalid authentication credentials. Expected OAuth 2 access token,"
        more = "login cookie or other valid authentication credential."
        raise Refusal(error(401, f"{told} {more}"))


def _model(call: Call) -> Model:
    model = models("google").get(call.params["model"])
    if model is None or model.family != "vertex":
        told = f"Publisher Model `{_model_name(call)}` was not found or your project does not have"
        more = "access to it. Please ensure you are using a valid model version."
        raise Refusal(error(404, f"{told} {more}"))
    return model


def _model_name(call: Call) -> str:
    place, params = _PLACE, call.params
    if "project" in params:
        place = f"projects/{params['project']}/locations/{params['location']}"
    return f"{place}/publishers/google/models/{params['model']}"


def _object_uri(asked: Asked, file: str) -> str:
    folder = asked.parameters.get("storageUri")
    if folder is None:
        return ""
    if not str(folder).startswith("gs://"):
        raise bad("`storageUri` needs to be a Cloud Storage URI: gs://BUCKET/FOLDER")
    return f"{str(folder).rstrip('/')}/{file}/sample_0.mp4"


def _source(core: Core, asked: Asked) -> Task | None:
    """The finished video that an extension names by its address or its bytes."""
    if asked.video is None:
        return None
    if "gcsUri" in asked.video:
        task = _stored(core, str(asked.video["gcsUri"]))
    else:
        task = _made_here(core, decoded(asked.video.get("bytesBase64Encoded", ""), "video"))
    if task is None or not core.has_file(task):
        raise bad(UNPROCESSED)
    check_source(asked, task)
    return task


def _stored(core: Core, uri: str) -> Task | None:
    folder, _, _ = uri.rpartition("/")
    task = core.tasks.of_file(folder.rpartition("/")[2])
    return task if task and task.order.extra.get("uri") == uri else None


def _made_here(core: Core, data: bytes) -> Task | None:
    """The newest of this API's videos with these very bytes."""
    for task in reversed(core.tasks.all()):
        if task.order.route == "vertex" and core.has_file(task):
            path = core.studio.path(task)
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return task
    return None


def _metadata(core: Core, call: Call, task: Task) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "bucket": call.params["bucket"],
        "name": call.params["object"],
        "size": str(core.studio.path(task).stat().st_size),
        "contentType": "video/mp4",
    }


def _routes(version: str) -> tuple[At, ...]:
    model = "publishers/google/models/{model}"
    bases = (
        f"/{version}/{model}",
        f"/{version}/projects/{{project}}/locations/{{location}}/{model}",
    )
    return tuple(
        at
        for base in bases
        for at in (
            At("POST", f"{base}:predictLongRunning", "create", create),
            At("POST", f"{base}:fetchPredictOperation", "poll", poll, by_body),
            At("GET", base, "other", get_model),
        )
    )


ROUTES = (*_routes("v1beta1"), *_routes("v1"))
FILES = (At("GET", "/storage/v1/b/{bucket}/o/{object:path}", "file", get_object, by_object),)
