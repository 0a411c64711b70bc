"""Faults of a chat's stream: what other gateways and faulty lines were seen to do to one."""

import json
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from starlette.responses import Response

from veo_sandbox.chat.stream import ByteChunks, EventStream, Payloads, StreamBroken
from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.tables import load_table


def change_stream(
    change: Callable[[EventStream, Any], None],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a fault of an async generator; it is called with the exchange, and what it changes."""

    def add(transform: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(transform)
        async def act(exchange: Exchange, proceed: Proceed, **params: Any) -> Response:
            return _change(await proceed(), change, partial(transform, exchange, **params))

        return fault("stream")(act)

    return add


@fault("stream")
async def ignore_stream(exchange: Exchange, proceed: Proceed) -> Response:
    """Respond with plain JSON although a stream was requested."""
    # The handler decides by this field.
    exchange.fields["stream"] = False
    return await proceed()


@change_stream(EventStream.map_payloads)
async def no_done(_exchange: Exchange, payloads: Payloads) -> Payloads:
    """The last event, `[DONE]`, is missing."""
    async for payload in payloads:
        if payload != "[DONE]":
            yield payload


@change_stream(EventStream.map_payloads)
async def message_content(_exchange: Exchange, payloads: Payloads) -> Payloads:
    """Chunks have `message` in the place of `delta`."""
    async for payload in payloads:
        yield _replace_deltas(payload, lambda delta: {"message": delta})


@change_stream(EventStream.map_payloads)
async def content_parts(_exchange: Exchange, payloads: Payloads) -> Payloads:
    """The content of a chunk is a list of parts."""

    def split_content(delta: dict[str, Any]) -> dict[str, Any]:
        text = delta.get("content")
        parts = {"content": [{"type": "text", "text": text}]} if text else {}
        return {"delta": delta | parts}

    async for payload in payloads:
        yield _replace_deltas(payload, split_content)


@change_stream(EventStream.map_payloads)
async def stream_error(
    _exchange: Exchange,
    payloads: Payloads,
    *,
    events: int = 3,
    message: str = "We're under heavy load, please try again later",
    code: str = "server_error",
) -> Payloads:
    """After some events comes an error object, and nothing more."""
    error = {"message": message, "type": "new_api_error", "param": "", "code": code}
    async for payload in payloads:
        if events == 0:
            break
        yield payload
        events -= 1
    yield json.dumps({"error": error}, ensure_ascii=False)


@change_stream(EventStream.map_payloads)
async def silent_stream(
    exchange: Exchange, payloads: Payloads, *, events: int = 3, seconds: float | None = None
) -> Payloads:
    """After some events comes nothing for real seconds, or until the client disconnects."""
    async for payload in payloads:
        if events == 0:
            await exchange.wait_seconds(seconds)
        # `wait_seconds` also returns when the client has disconnected.
        if exchange.is_abandoned:
            return
        yield payload
        events -= 1


@change_stream(EventStream.map_payloads)
async def slow_stream(exchange: Exchange, payloads: Payloads, *, seconds: float = 0.2) -> Payloads:
    """Real seconds pass before every event."""
    async for payload in payloads:
        await exchange.wait_seconds(seconds)
        if exchange.is_abandoned:
            return
        yield payload


@change_stream(EventStream.map_bytes)
async def split_stream(_exchange: Exchange, chunks: ByteChunks, *, size: int = 1) -> ByteChunks:
    """The bytes come in chunks of `size`, split anywhere, also inside a UTF-8 character."""
    async for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


@change_stream(EventStream.map_bytes)
async def cut_stream(
    _exchange: Exchange, chunks: ByteChunks, *, at: int = 400, reset: bool = False
) -> ByteChunks:
    """The connection is closed after `at` bytes, or reset."""
    async for chunk in chunks:
        yield chunk[:at]
        at -= len(chunk)
        if at <= 0:
            raise StreamBroken(reset=reset)


async def table_stream(exchange: Exchange, proceed: Proceed, *, row: dict[str, Any]) -> Response:
    """Change a stream as a row of the table says."""
    exchange.dialect = row.get("dialect", exchange.dialect)
    prefix, replacement = row.get("prefix", ""), row.get("replace", ("", "", 0))

    async def insert_payloads(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            for item in row.get("insert", ()):
                yield item
            yield payload

    response = _change(await proceed(), EventStream.map_payloads, insert_payloads)
    return _change(
        response, EventStream.map_frames, lambda event: prefix + event.replace(*replacement)
    )


def _change(response: Response, change: Callable[[EventStream, Any], None], by: Any) -> Response:
    # Errors, and responses without a stream, stay as they are.
    if isinstance(response, EventStream):
        change(response, by)
    return response


def _replace_deltas(payload: str, transform: Callable[[dict[str, Any]], dict[str, Any]]) -> str:
    try:
        body = json.loads(payload)
        body["choices"] = [item | transform(item.pop("delta")) for item in body["choices"]]
    # Payloads without choices, such as [DONE], pass unchanged.
    except (ValueError, LookupError, TypeError):
        return payload
    return json.dumps(body, ensure_ascii=False)


for _name, _row in load_table("faults/stream.toml").items():
    register(_name, _row["doc"], ("stream",), table_stream, row=_row)
