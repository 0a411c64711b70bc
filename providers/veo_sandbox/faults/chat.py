"""Faults of a chat's stream: what other gateways and faulty lines were seen to do to one."""

import json
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from veo_sandbox.chat.stream import ByteChunks, EventStream, Payloads, StreamBroken
from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import Proceed, fault, register

_DONE = "[DONE]"


@fault("stream")
async def ignore_stream(exchange: Exchange, proceed: Proceed) -> Response:
    """Respond with plain JSON although a stream was requested."""
    # The handler decides by this field.
    exchange.fields["stream"] = False
    return await proceed()


@fault("stream")
async def pings(_exchange: Exchange, proceed: Proceed) -> Response:
    """A comment `: PING` before every event, as new-api sends them."""
    return _map_frames(await proceed(), lambda event: f": PING\n\n{event}")


@fault("stream")
async def event_lines(_exchange: Exchange, proceed: Proceed) -> Response:
    """Every event has a name and an id."""
    return _map_frames(await proceed(), lambda event: f"event: message\nid: 1\n{event}")


@fault("stream")
async def no_space(_exchange: Exchange, proceed: Proceed) -> Response:
    """`data:` without a space behind it."""
    return _map_frames(await proceed(), lambda event: event.replace("data: ", "data:", 1))


@fault("stream")
async def crlf(_exchange: Exchange, proceed: Proceed) -> Response:
    """Lines end with CR LF."""
    return _map_frames(await proceed(), lambda event: event.replace("\n", "\r\n"))


@fault("stream")
async def no_done(_exchange: Exchange, proceed: Proceed) -> Response:
    """The last event, `[DONE]`, is missing."""

    async def transform(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            if payload != _DONE:
                yield payload

    return _map_payloads(await proceed(), transform)


@fault("stream")
async def no_choices(_exchange: Exchange, proceed: Proceed) -> Response:
    """Chunks without choices, and with an empty list of them, between the others."""
    inserted = json.dumps({"object": "chat.completion.chunk"}), json.dumps({"choices": []}), "null"
    return _insert_payloads(await proceed(), inserted)


@fault("stream")
async def null_content(_exchange: Exchange, proceed: Proceed) -> Response:
    """Chunks whose content is null between the others."""
    delta = {"content": None, "reasoning_content": None}
    return _insert_payloads(await proceed(), [json.dumps({"choices": [{"delta": delta}]})])


@fault("stream")
async def broken_chunk(_exchange: Exchange, proceed: Proceed) -> Response:
    """Events that are not JSON between the others."""
    return _insert_payloads(await proceed(), ['{"choices":[{"delta":{"content":"> 🏃', "{]]}"])


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

    return _map_payloads(await proceed(), transform)


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

    return _map_payloads(await proceed(), transform)


@fault("stream")
async def slow_stream(exchange: Exchange, proceed: Proceed, *, seconds: float = 0.2) -> Response:
    """Real seconds pass before every event."""

    async def transform(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            await exchange.wait_seconds(seconds)
            if exchange.is_abandoned:
                return
            yield payload

    return _map_payloads(await proceed(), transform)


@fault("stream")
async def split_stream(_exchange: Exchange, proceed: Proceed, *, size: int = 1) -> Response:
    """The bytes come in chunks of `size`, split anywhere, also inside a UTF-8 character."""

    async def transform(chunks: ByteChunks) -> ByteChunks:
        async for chunk in chunks:
            for start in range(0, len(chunk), size):
                yield chunk[start : start + size]

    return _map_bytes(await proceed(), transform)


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

    return _map_bytes(await proceed(), transform)


async def use_dialect(exchange: Exchange, proceed: Proceed, *, dialect: str) -> Response:
    exchange.dialect = dialect
    return await proceed()


def _map_payloads(response: Response, transform: Callable[[Payloads], Payloads]) -> Response:
    if isinstance(response, EventStream):
        response.map_payloads(transform)
    return response


def _map_frames(response: Response, transform: Callable[[str], str]) -> Response:
    if isinstance(response, EventStream):
        response.map_frames(transform)
    return response


def _map_bytes(response: Response, transform: Callable[[ByteChunks], ByteChunks]) -> Response:
    if isinstance(response, EventStream):
        response.map_bytes(transform)
    return response


def _insert_payloads(response: Response, inserted: Any) -> Response:
    async def transform(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            for item in inserted:
                yield item
            yield payload

    return _map_payloads(response, transform)


def _map_deltas(
    response: Response, transform: Callable[[dict[str, Any]], dict[str, Any]]
) -> Response:
    def rechosen(payload: str) -> str:
        try:
            body = json.loads(payload)
            body["choices"] = [item | transform(item.pop("delta")) for item in body["choices"]]
        # Payloads without choices, such as [DONE], pass unchanged.
        except (ValueError, LookupError, TypeError):
            return payload
        return json.dumps(body, ensure_ascii=False)

    async def item(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            yield rechosen(payload)

    return _map_payloads(response, item)


_DIALECTS = {
    "english": "The text is English, as the vendor's pages print it, from the queue on.",
    "reseller": "Chunks have neither id nor time, and one is not JSON, as at another seller.",
    "flow2api": "Progress is in the reasoning, the video in a tag, as at another gateway.",
}

for _dialect, _doc in _DIALECTS.items():
    register(_dialect, _doc, ("stream",), use_dialect, dialect=_dialect)
