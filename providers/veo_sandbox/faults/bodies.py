"""Faults that spoil what an answer says."""

import json
from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Call
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.responses import page

_JSON = ("create", "poll")


@fault(*_JSON)
async def merge(
    call: Call,
    proceed: Proceed,
    *,
    body: dict[str, Any] | None = None,
    drop: tuple[str, ...] = (),
) -> Response:
    """Put members into the JSON answer and drop others; texts may hold {id}, {file_url}, ...

    Known are {id}, {file_url}, {content_url}, {content_path}, {model}, {prompt}.
    """
    answer = await proceed()
    if not answer.body:
        return answer
    spoilt = {k: v for k, v in _object(answer).items() if k not in drop}
    return _json(_merged(spoilt, _filled(body or {}, call)), answer.status_code)


@fault(*_JSON, "content")
async def replace(call: Call, proceed: Proceed, *, body: Any = None, status: int = 200) -> Response:
    """Answer this JSON instead, after the request was carried out; texts are filled as in merge."""
    await proceed()
    return _json(_filled(body, call), status)


@fault("poll")
async def status_word(call: Call, proceed: Proceed, *, word: str = "processing") -> Response:
    """Say the status with another word; aim it with `when`."""
    return await merge(call, proceed, body={"status": word})


@fault(*_JSON)
async def garbage_json(call: Call, proceed: Proceed) -> Response:
    """The JSON answer breaks off in the middle."""
    del call
    answer = await proceed()
    text = bytes(answer.body)
    return Response(text[: len(text) // 2], answer.status_code, media_type="application/json")


@fault(*_JSON, "content")
async def garbage_bytes(call: Call, proceed: Proceed) -> Response:
    """The answer claims to be JSON and is noise."""
    del call
    await proceed()
    return Response(bytes(range(128, 256)) * 4, media_type="application/json")


@fault()
async def html_200(call: Call, proceed: Proceed) -> Response:
    """A maintenance page under status 200, after the request was carried out."""
    del call
    await proceed()
    return page(200, "Scheduled maintenance")


@fault(*_JSON, "content", "file")
async def mislabelled(
    call: Call, proceed: Proceed, *, content_type: str = "text/plain"
) -> Response:
    """The answer is right, its Content-Type is not."""
    del call
    answer = await proceed()
    answer.headers["content-type"] = content_type
    return answer


def _object(answer: Response) -> dict[str, Any]:
    body = json.loads(bytes(answer.body))
    return body if isinstance(body, dict) else {"data": body}


def _json(body: Any, status: int) -> Response:
    text = json.dumps(body, ensure_ascii=False)
    return Response(text, status, media_type="application/json")


def _merged(into: Any, other: Any) -> Any:
    if not isinstance(into, dict) or not isinstance(other, dict):
        return other
    return into | {key: _merged(into.get(key), value) for key, value in other.items()}


def _filled(value: Any, call: Call) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, call) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, call) for item in value]
    if isinstance(value, str):
        for name, text in _known(call).items():
            value = value.replace(f"{{{name}}}", text)
    return value


def _known(call: Call) -> dict[str, str]:
    task = call.accepted or call.task
    if task is None:
        return {}
    path = f"/v1/videos/{task.id}/content"
    return {
        "id": task.id,
        "file_url": f"{call.core.files_url}/flow/{task.file}.mp4",
        "content_path": path,
        "content_url": call.core.url + path,
        "model": task.order.model,
        "prompt": task.order.prompt,
    }


register(
    "unknown_status",
    "A new task reads `unknown`; aim it with `first`.",
    ("poll",),
    status_word,
    word="unknown",
)
