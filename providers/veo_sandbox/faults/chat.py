"""Faults of a chat's stream: what look-alikes and bad lines were seen to do to one."""

import json
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from veo_sandbox.chat.stream import BrokenOff, EventStream, Payloads, Pieces
from veo_sandbox.exchange import Call
from veo_sandbox.faults.registry import Proceed, fault, register

_DONE = "[DONE]"


@fault("stream")
async def ignore_stream(call: Call, proceed: Proceed) -> Response:
    """Answer plain JSON although a stream was asked for."""
    call.fields["stream"] = False
    return await proceed()


@fault("stream")
async def pings(call: Call, proceed: Proceed) -> Response:
    """A comment `: PING` before every event, as new-api sends them."""
    del call
    return _reframed(await proceed(), lambda event: f": PING\n\n{event}")


@fault("stream")
async def event_lines(call: Call, proceed: Proceed) -> Response:
    """Every event has a name and an id."""
    del call
    return _reframed(await proceed(), lambda event: f"event: message\nid: 1\n{event}")


@fault("stream")
async def no_space(call: Call, proceed: Proceed) -> Response:
    """`data:` without a space behind it."""
    del call
    return _reframed(await proceed(), lambda event: event.replace("data: ", "data:", 1))


@fault("stream")
async def crlf(call: Call, proceed: Proceed) -> Response:
    """Lines end with CR LF."""
    del call
    return _reframed(await proceed(), lambda event: event.replace("\n", "\r\n"))


@fault("stream")
async def no_done(call: Call, proceed: Proceed) -> Response:
    """The last event, `[DONE]`, is missing."""
    del call

    async def alter(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            if payload != _DONE:
                yield payload

    return _retold(await proceed(), alter)


@fault("stream")
async def no_choices(call: Call, proceed: Proceed) -> Response:
    """Chunks without choices, and with none, stand between the others."""
    del call
    odd = json.dumps({"object": "chat.completion.chunk"}), json.dumps({"choices": []}), "null"
    return _interspersed(await proceed(), odd)


@fault("stream")
async def null_content(call: Call, proceed: Proceed) -> Response:
    """Chunks whose content is null stand between the others."""
    del call
    delta = {"content": None, "reasoning_content": None}
    return _interspersed(await proceed(), [json.dumps({"choices": [{"delta": delta}]})])


@fault("stream")
async def broken_chunk(call: Call, proceed: Proceed) -> Response:
    """Events that are no JSON stand between the others."""
    del call
    return _interspersed(await proceed(), ['{"choices":[{"delta":{"content":"> 🏃', "{]]}"])


@fault("stream")
async def message_content(call: Call, proceed: Proceed) -> Response:
    """Chunks tell in `message` what belongs into `delta`."""
    del call
    return _rechosen(await proceed(), lambda delta: {"message": delta})


@fault("stream")
async def content_parts(call: Call, proceed: Proceed) -> Response:
    """The content of a chunk is a list of parts."""
    del call

    def parted(delta: dict[str, Any]) -> dict[str, Any]:
        text = delta.get("content")
        parts = {"content": [{"type": "text", "text": text}]} if text else {}
        return {"delta": delta | parts}

    return _rechosen(await proceed(), parted)


@fault("stream")
async def stream_error(
    call: Call,
    proceed: Proceed,
    *,
    events: int = 3,
    message: str = "We're under heavy load, please try again later",
    code: str = "server_error",
) -> Response:
    """After some events an error object comes, and nothing more."""
    del call
    error = {"message": message, "type": "new_api_error", "param": "", "code": code}

    async def alter(payloads: Payloads) -> Payloads:
        number = 0
        async for payload in payloads:
            if number == events:
                break
            yield payload
            number += 1
        yield json.dumps({"error": error}, ensure_ascii=False)

    return _retold(await proceed(), alter)


@fault("stream")
async def silent_stream(
    call: Call, proceed: Proceed, *, events: int = 3, seconds: float | None = None
) -> Response:
    """After some events comes nothing for real seconds, or until the client leaves."""

    async def alter(payloads: Payloads) -> Payloads:
        number = 0
        async for payload in payloads:
            if number == events:
                await call.pause(seconds)
            if call.over:
                return
            yield payload
            number += 1

    return _retold(await proceed(), alter)


@fault("stream")
async def slow_stream(call: Call, proceed: Proceed, *, seconds: float = 0.2) -> Response:
    """Real seconds pass before every event."""

    async def alter(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            await call.pause(seconds)
            if call.over:
                return
            yield payload

    return _retold(await proceed(), alter)


@fault("stream")
async def split_stream(call: Call, proceed: Proceed, *, size: int = 1) -> Response:
    """The bytes come in chunks of `size`, cut anywhere, inside a UTF-8 character too."""
    del call

    async def alter(pieces: Pieces) -> Pieces:
        async for piece in pieces:
            for start in range(0, len(piece), size):
                yield piece[start : start + size]

    return _bent(await proceed(), alter)


@fault("stream")
async def cut_stream(
    call: Call, proceed: Proceed, *, at: int = 400, reset: bool = False
) -> Response:
    """The connection ends after `at` bytes, or is reset."""
    del call

    async def alter(pieces: Pieces) -> Pieces:
        left = at
        async for piece in pieces:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                raise BrokenOff(reset=reset)

    return _bent(await proceed(), alter)


async def dressed(call: Call, proceed: Proceed, *, dress: str) -> Response:
    """Tell the stream in another dress."""
    call.dress = dress
    return await proceed()


def _retold(answer: Response, alter: Callable[[Payloads], Payloads]) -> Response:
    if isinstance(answer, EventStream):
        answer.retell(alter)
    return answer


def _reframed(answer: Response, alter: Callable[[str], str]) -> Response:
    if isinstance(answer, EventStream):
        answer.reframe(alter)
    return answer


def _bent(answer: Response, alter: Callable[[Pieces], Pieces]) -> Response:
    if isinstance(answer, EventStream):
        answer.bend(alter)
    return answer


def _interspersed(answer: Response, odd: Any) -> Response:
    async def alter(payloads: Payloads) -> Payloads:
        async for payload in payloads:
            for each in odd:
                yield each
            yield payload

    return _retold(answer, alter)


def _rechosen(answer: Response, alter: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
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

    return _retold(answer, each)


_DRESSES = {
    "english": "A chat is told in English, as the vendor's pages print it, from the queue on.",
    "reseller": "Chunks have neither id nor time, and one is no JSON, as at another seller.",
    "flow2api": "Progress goes into the reasoning, the video into a tag, as at another gateway.",
}

for _dress, _doc in _DRESSES.items():
    register(_dress, _doc, ("stream",), dressed, dress=_dress)
