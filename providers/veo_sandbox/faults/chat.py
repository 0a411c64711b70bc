"""Faults of a chat's stream: what look-alikes and bad lines were seen to do to one."""

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
    """Answer plain JSON although a stream was asked for."""
    exchange.fields["stream"] = False
    return await proceed()


@fault("stream")
async def pings(exchange: Exchange, proceed: Proceed) -> Response:
    """A comment `: PING` before every event, as new-api sends them."""
    del exchange
    return _map_frames(await proceed(), lambda event: f": PING\n\n{event}")


@fault("stream")
async def event_lines(exchange: Exchange, proceed: Proceed) -> Response:
    """Every event has a name and an id."""
    del exchange
    return _map_frames(await proceed(), lambda event: f"event: message\nid: 1\n{event}")


@fault("stream")
async def no_space(exchange: Exchange, proceed: Proceed) -> Response:
    """`data:` without a space behind it."""
    del exchange
    return _map_frames(await proceed(), lambda event: event.replace("data: ", "data:", 1))


@fault("stream")
async def crlf(exchange: Exchange, proceed: Proceed) -> Response:
    """Lines end with CR LF."""
    del exchange
    return _map_frames(await proceed(), lambda event: event.replace("\n", "\r\n"))


@fault("stream")
async def no_done(exchange: Exchange, proceed: Proceed) -> Response:
    """The last event, `[DONE]`, is missing."""
    del exchange

    async def alter(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            if payload != _DONE:
                yield payload

    return _map_payloads(await proceed(), alter)


@fault("stream")
async def no_choices(exchange: Exchange, proceed: Proceed) -> Response:
    """Chunks without choices, and with none, stand between the others."""
    del exchange
    odd = json.dumps({"object": "chat.completion.chunk"}), json.dumps({"choices": []}), "null"
    return _insert_payloads(await proceed(), odd)


@fault("stream")
async def null_content(exchange: Exchange, proceed: Proceed) -> Response:
    """Chunks whose content is null stand between the others."""
    del exchange
    delta = {"content": None, "reasoning_content": None}
    return _insert_payloads(await proceed(), [json.dumps({"choices": [{"delta": delta}]})])


@fault("stream")
async def broken_chunk(exchange: Exchange, proceed: Proceed) -> Response:
    """Events that are no JSON stand between the others."""
    del exchange
    return _insert_payloads(await proceed(), ['{"choices":[{"delta":{"content":"> 🏃', "{]]}"])


@fault("stream")
async def message_content(exchange: Exchange, proceed: Proceed) -> Response:
    """Chunks tell in `message` what belongs into `delta`."""
    del exchange
    return _map_deltas(await proceed(), lambda delta: {"message": delta})


@fault("stream")
async def content_parts(exchange: Exchange, proceed: Proceed) -> Response:
    """The content of a chunk is a list of parts."""
    del exchange

    def parted(delta: dict[str, Any]) -> dict[str, Any]:
        text = delta.get("content")
        parts = {"content": [{"type": "text", "text": text}]} if text else {}
        return {"delta": delta | parts}

    return _map_deltas(await proceed(), parted)


@fault("stream")
async def stream_error(
    exchange: Exchange,
    proceed: Proceed,
    *,
    events: int = 3,
    message: str = "We're under heavy load, please try again later",
    code: str = "server_error",
) -> Response:
    """After some events an error object comes, and nothing more."""
    del exchange
    error = {"message": message, "type": "new_api_error", "param": "", "code": code}

    async def alter(payloads: Payloads) -> Payloads:
        number = 0
        async for payload in payloads:
            if number == events:
                break
            yield payload
            number += 1
        yield json.dumps({"error": error}, ensure_ascii=False)

    return _map_payloads(await proceed(), alter)


@fault("stream")
async def silent_stream(
    exchange: Exchange, proceed: Proceed, *, events: int = 3, seconds: float | None = None
) -> Response:
    """After some events comes nothing for real seconds, or until the client leaves."""

    async def alter(payloads: Payloads) -> Payloads:
        number = 0
        async for payload in payloads:
            if number == events:
                await exchange.wait_seconds(seconds)
            if exchange.is_abandoned:
                return
            yield payload
            number += 1

    return _map_payloads(await proceed(), alter)


@fault("stream")
async def slow_stream(exchange: Exchange, proceed: Proceed, *, seconds: float = 0.2) -> Response:
    """Real seconds pass before every event."""

    async def alter(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            await exchange.wait_seconds(seconds)
            if exchange.is_abandoned:
                return
            yield payload

    return _map_payloads(await proceed(), alter)


@fault("stream")
async def split_stream(exchange: Exchange, proceed: Proceed, *, size: int = 1) -> Response:
    """The bytes come in chunks of `size`, cut anywhere, inside a UTF-8 character too."""
    del exchange

    async def alter(pieces: ByteChunks) -> ByteChunks:
        async for piece in pieces:
            for start in range(0, len(piece), size):
                yield piece[start : start + size]

    return _map_bytes(await proceed(), alter)


@fault("stream")
async def cut_stream(
    exchange: Exchange, proceed: Proceed, *, at: int = 400, reset: bool = False
) -> Response:
    """The connection ends after `at` bytes, or is reset."""
    del exchange

    async def alter(pieces: ByteChunks) -> ByteChunks:
        left = at
        async for piece in pieces:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                raise StreamBroken(reset=reset)

    return _map_bytes(await proceed(), alter)


async def use_dialect(exchange: Exchange, proceed: Proceed, *, dialect: str) -> Response:
    """Tell the stream in another dress."""
    exchange.dialect = dialect
    return await proceed()


def _map_payloads(answer: Response, alter: Callable[[Payloads], Payloads]) -> Response:
    if isinstance(answer, EventStream):
        answer.map_payloads(alter)
    return answer


def _map_frames(answer: Response, alter: Callable[[str], str]) -> Response:
    if isinstance(answer, EventStream):
        answer.map_frames(alter)
    return answer


def _map_bytes(answer: Response, alter: Callable[[ByteChunks], ByteChunks]) -> Response:
    if isinstance(answer, EventStream):
        answer.map_bytes(alter)
    return answer


def _insert_payloads(answer: Response, odd: Any) -> Response:
    async def alter(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            for each in odd:
                yield each
            yield payload

    return _map_payloads(answer, alter)


def _map_deltas(answer: Response, alter: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    """Put something else in the place of every choice's delta."""

    def rechosen(payload: str) -> str:
        try:
            body = json.loads(payload)
            body["choices"] = [each | alter(each.pop("delta")) for each in body["choices"]]
        except (ValueError, LookupError, TypeError):
            return payload
        return json.dumps(body, ensure_ascii=False)

    async def each(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            yield rechosen(payload)

    return _map_payloads(answer, each)


_DIALECTS = {
    "english": "A chat is told in English, as the vendor's pages print it, from the queue on.",
    "reseller": "Chunks have neither id nor time, and one is no JSON, as at another seller.",
    "flow2api": "Progress goes into the reasoning, the video into a tag, as at another gateway.",
}

for _dialect, _doc in _DIALECTS.items():
    register(_dialect, _doc, ("stream",), use_dialect, dialect=_dialect)
