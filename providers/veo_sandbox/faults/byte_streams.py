"""Responses whose bytes are cut, slowed or mislabelled while they are sent."""

import asyncio
from abc import ABC, abstractmethod
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from veo_sandbox.chat.stream import StreamBroken
from veo_sandbox.exchange import Connection, Exchange

# Seconds between two sends of a slow response.
_TICK_S = 0.05


class AlteredResponse(Response, ABC):
    """Another response, sent with changes."""

    def __init__(self, response: Response, share: float) -> None:
        super().__init__(status_code=response.status_code)
        # The same list object: a fault that changes a header here changes the one that is sent.
        self.raw_headers = response.raw_headers
        self._response = response
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._left = 0
        self._send = send
        self._connection = Connection.of_request(scope, send)
        try:
            await self._response(scope, receive, self._handle_message)
        except StreamBroken:
            await self._connection.drop(receive)

    async def _handle_message(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            # A response without Content-Length is cut to nothing.
            length = int(Headers(raw=message["headers"]).get("content-length", 0))
            self._left = round(length * self._share)
            await self.send_head(message, self._left)
        else:
            part = message.get("body", b"")
            sent = part[: self._left]
            self._left -= len(sent)
            more = message.get("more_body", False)
            await self.send_part(sent, ended=len(sent) < len(part) or not more)

    async def send_head(self, message: Message, length: int) -> None:
        """Send status and headers; `length` bytes follow."""
        await self._send(message)

    @abstractmethod
    async def send_part(self, data: bytes, *, ended: bool) -> None:
        """Send some bytes, the last ones if `ended`."""


class CutResponse(AlteredResponse):
    """Fewer bytes than Content-Length promised, then the connection is closed."""

    async def send_part(self, data: bytes, *, ended: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if ended:
            raise StreamBroken(reset=False)


class ShortenedResponse(CutResponse):
    """Fewer bytes, and a Content-Length that matches them."""

    async def send_head(self, message: Message, length: int) -> None:
        headers_kept = [pair for pair in message["headers"] if pair[0] != b"content-length"]
        headers = [*headers_kept, (b"content-length", str(length).encode())]
        await self._send({**message, "headers": headers})


class UnframedResponse(AlteredResponse):
    """No Content-Length and no chunks: the response ends where the connection ends.

    No HTTP server does this for a modern client, so the bytes are written past it.
    """

    async def send_head(self, message: Message, length: int) -> None:
        status = HTTPStatus(message["status"])
        # Chunked encoding is the server's default here; it would frame the body.
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode(), b"connection: close"]
        lines += [k + b": " + v for k, v in message["headers"] if k != b"content-length"]
        self._connection.write(b"\r\n".join(lines) + b"\r\n\r\n")

    async def send_part(self, data: bytes, *, ended: bool) -> None:
        self._connection.write(data)
        if ended:
            raise StreamBroken(reset=False)


class DrippingResponse(AlteredResponse):
    """A share of the bytes is sent slowly, in real time."""

    def __init__(
        self, response: Response, exchange: Exchange, bytes_per_second: float, share: float
    ) -> None:
        super().__init__(response, 1.0)
        self._exchange = exchange
        self._step = max(round(bytes_per_second * _TICK_S), 1)
        self._slowly = share

    async def send_head(self, message: Message, length: int) -> None:
        self._slow_bytes = round(length * self._slowly)
        await self._send(message)

    async def send_part(self, data: bytes, *, ended: bool) -> None:
        while self._slow_bytes > 0 and data and not self._exchange.is_abandoned:
            drop, data = data[: self._step], data[self._step :]
            self._slow_bytes -= len(drop)
            await self._send({"type": "http.response.body", "body": drop, "more_body": True})
            await asyncio.sleep(_TICK_S)
        await self._send({"type": "http.response.body", "body": data, "more_body": not ended})
