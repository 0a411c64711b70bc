"""Faults of a chat's stream: what other gateways and faulty lines were seen to do to one."""

import json
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from veo_sandbox.chat.stream import ByteChunks, EventStream, Payloads, StreamBroken
from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault, register
from veo_sandbox.tables import load_table


@fault("stream")
async def ignore_stream(exchange: Exchange, proceed: Proceed) -> Response:
    """Respond with plain JSON although a stream was requested."""
    # The handler decides by this field.
    exchange.fields["stream"] = False
    return await proceed()


@fault("stream")
async def no_done(_exchange: Exchange, proceed: Proceed) -> Response:
    """The last event, `[DONE]`, is missing."""

    async def transform(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            if payload != "[DONE]":
                yield payload

    return _change(await proceed(), EventStream.map_payloads, transform)


@fault("stream")
async def message_content(_exchange: Exchange, proceed: Proceed) -> Response:
    """Chunks have `message` in the place of `delta`."""
    return _map_deltas(await proceed(), lambda delta: {"message": delta})


@fault("stream")
async def content_parts(_exchange: Exchange, proceed: Proceed) -> Response:
    """The content of a chunk is a list of parts."""

    def parted(delta: dict[str, Any]) -> dict[str, Any]:
        text = delta.get("content")
        parts = {"content": [{"type": "text", "text": text}]} if text else {}
        return {"delta": delta | parts}

    return _map_deltas(await proceed(), parted)


@fault("stream")
async def stream_error(
    _exchange: Exchange,
    proceed: Proceed,
    *,
    events: int = 3,
    message: str = "We're under heavy load, please try again later",
    code: str = "server_error",
) -> Response:
    """After some events comes an error object, and nothing more."""
    error = {"message": message, "type": "new_api_error", "param": "", "code": code}

    async def transform(payloads: Payloads) -> Payloads:
        number = 0
        async for payload in payloads:
            if number == events:
                break
            yield payload
            number += 1
        yield json.dumps({"error": error}, ensure_ascii=False)

    return _change(await proceed(), EventStream.map_payloads, transform)


@fault("stream")
async def silent_stream(
    exchange: Exchange, proceed: Proceed, *, events: int = 3, seconds: float | None = None
) -> Response:
    """After some events comes nothing for real seconds, or until the client disconnects."""

    async def transform(payloads: Payloads) -> Payloads:
        number = 0
        async for payload in payloads:
            if number == events:
                await exchange.wait_seconds(seconds)
            # `wait_seconds` also returns when the client has disconnected.
            if exchange.is_abandoned:
                return
            yield payload
            number += 1

    return _change(await proceed(), EventStream.map_payloads, transform)


@fault("stream")
async def slow_stream(exchange: Exchange, proceed: Proceed, *, seconds: float = 0.2) -> Response:
    """Real seconds pass before every event."""

    async def transform(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            await exchange.wait_seconds(seconds)
            if exchange.is_abandoned:
                return
            yield payload

    return _change(await proceed(), EventStream.map_payloads, transform)


@fault("stream")
async def split_stream(_exchange: Exchange, proceed: Proceed, *, size: int = 1) -> Response:
    """The bytes come in chunks of `size`, split anywhere, also inside a UTF-8 character."""

    async def transform(chunks: ByteChunks) -> ByteChunks:
        async for chunk in chunks:
            for start in range(0, len(chunk), size):
                yield chunk[start : start + size]

    return _change(await proceed(), EventStream.map_bytes, transform)


@fault("stream")
async def cut_stream(
    _exchange: Exchange, proceed: Proceed, *, at: int = 400, reset: bool = False
) -> Response:
    """The connection is closed after `at` bytes, or reset."""

    async def transform(chunks: ByteChunks) -> ByteChunks:
        rest = at
        async for chunk in chunks:
            yield chunk[:rest]
            rest -= len(chunk)
            if rest <= 0:
                raise StreamBroken(reset=reset)

    return _change(await proceed(), EventStream.map_bytes, transform)


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


def _map_deltas(
    response: Response, transform: Callable[[dict[str, Any]], dict[str, Any]]
) -> Response:
    def replace_deltas(payload: str) -> str:
        try:
            body = json.loads(payload)
            body["choices"] = [item | transform(item.pop("delta")) for item in body["choices"]]
        # Payloads without choices, such as [DONE], pass unchanged.
        except (ValueError, LookupError, TypeError):
            return payload
        return json.dumps(body, ensure_ascii=False)

    async def map_payloads(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            yield replace_deltas(payload)

    return _change(response, EventStream.map_payloads, map_payloads)


for _name, _row in load_table("faults/stream.toml").items():
    register(_name, _row["doc"], ("stream",), table_stream, row=_row)
