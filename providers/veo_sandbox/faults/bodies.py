"""Faults that change the content of a response."""

import json
from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.responses import proxy_page

_JSON_STEPS = ("create", "poll")


@fault(*_JSON_STEPS)
async def merge(
    exchange: Exchange,
    proceed: Proceed,
    *,
    body: dict[str, Any] | None = None,
    drop: tuple[str, ...] = (),
) -> Response:
    """Put members into the JSON response and drop others; texts may hold {id}, {file_url}, ...

    Known are {id}, {file_url}, {content_url}, {content_path}, {model}, {prompt}.
    """
    response = await proceed()
    # Errors that a proxy sends may have no body.
    if not response.body:
        return response
    members = json.loads(bytes(response.body))
    if not isinstance(members, dict):
        members = {"data": members}
    left = {name: value for name, value in members.items() if name not in drop}
    merged = _merge_json(left, _fill_texts(body or {}, exchange))
    return _json_response(merged, response.status_code)


@fault(*_JSON_STEPS, "content")
async def replace(
    exchange: Exchange, proceed: Proceed, *, body: Any = None, status: int = 200
) -> Response:
    """Send this JSON instead, after the request was carried out; texts are filled as in merge."""
    await proceed()
    return _json_response(_fill_texts(body, exchange), status)


@fault("poll")
async def status_word(
    exchange: Exchange, proceed: Proceed, *, word: str = "processing"
) -> Response:
    """Replace the status by another word; select the state with `when`."""
    return await merge(exchange, proceed, body={"status": word})


@fault(*_JSON_STEPS)
async def garbage_json(_exchange: Exchange, proceed: Proceed) -> Response:
    """The JSON response breaks off in the middle."""
    response = await proceed()
    text = bytes(response.body)
    # Half of the bytes, which may also split a UTF-8 character.
    return Response(text[: len(text) // 2], response.status_code, media_type="application/json")


@fault(*_JSON_STEPS, "content")
async def garbage_bytes(_exchange: Exchange, proceed: Proceed) -> Response:
    """The response claims to be JSON and is noise."""
    await proceed()
    # No UTF-8 text contains these bytes in this order.
    return Response(bytes(range(128, 256)) * 4, media_type="application/json")


@fault()
async def html_200(exchange: Exchange, proceed: Proceed) -> Response:
    """A maintenance page with status 200; a paid request does not reach the service behind it."""
    if "create" not in exchange.kinds:
        await proceed()
    return proxy_page(200, "Scheduled maintenance")


@fault(*_JSON_STEPS, "content", "file")
async def mislabelled(
    _exchange: Exchange, proceed: Proceed, *, content_type: str = "text/plain"
) -> Response:
    """The response is right, its Content-Type is wrong."""
    response = await proceed()
    response.headers["content-type"] = content_type
    return response


def _json_response(body: Any, status: int) -> Response:
    text = json.dumps(body, ensure_ascii=False)
    return Response(text, status, media_type="application/json")


def _merge_json(into: Any, other: Any) -> Any:
    if not isinstance(into, dict) or not isinstance(other, dict):
        return other
    # Recursive, so that a rule can change one member of a nested object.
    return into | {key: _merge_json(into.get(key), value) for key, value in other.items()}


def _fill_texts(value: Any, exchange: Exchange) -> Any:
    if isinstance(value, dict):
        return {key: _fill_texts(item, exchange) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_texts(item, exchange) for item in value]
    if isinstance(value, str):
        for name, text in _placeholders(exchange).items():
            value = value.replace(f"{{{name}}}", text)
    return value


def _placeholders(exchange: Exchange) -> dict[str, str]:
    task = exchange.accepted_task or exchange.task
    if task is None:
        return {}
    path = f"/v1/videos/{task.id}/content"
    return {
        "id": task.id,
        "file_url": exchange.core.file_url(task),
        "content_path": path,
        "content_url": exchange.core.url + path,
        "model": task.spec.model,
        "prompt": task.spec.prompt,
    }


register(
    "unknown_status",
    "A new task has the status `unknown`; select the polls with `first`.",
    ("poll",),
    status_word,
    word="unknown",
)
