"""Server-sent events, each sent when it is due; faults change them on their way out."""

from collections.abc import AsyncIterator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from veo_sandbox.exchange import Connection

Payloads = AsyncIterator[str]
ByteChunks = AsyncIterator[bytes]

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}


class StreamBroken(Exception):  # noqa: N818 - ends the stream, not an error
    """Ends the stream and the connection, with a reset if `reset`."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset
        super().__init__()


class EventStream(Response):
    """A response of events; `payloads` yields the data of one event at a time."""

    def __init__(self, payloads: Payloads, frame: str = "data: {}\n\n") -> None:
        super().__init__(headers=_HEADERS)
        # Starlette sets 0 for the empty body of the base class.
        del self.headers["content-length"]
        self._payloads = payloads
        self._frame: Callable[[str], str] = frame.format
        self._byte_maps: list[Callable[[ByteChunks], ByteChunks]] = []

    def map_payloads(self, transform: Callable[[Payloads], Payloads]) -> None:
        self._payloads = transform(self._payloads)

    def map_frames(self, transform: Callable[[str], str]) -> None:
        # Bound now: the lambda must not call itself.
        frame = self._frame
        self._frame = lambda payload: transform(frame(payload))

    def map_bytes(self, transform: Callable[[ByteChunks], ByteChunks]) -> None:
        self._byte_maps.append(transform)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        try:
            async for chunk in self._encode_stream():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except StreamBroken as broken:
            await Connection.of_request(scope, send).drop(receive, reset=broken.reset)
        else:
            await send({"type": "http.response.body", "body": b""})

    def _encode_stream(self) -> ByteChunks:
        chunks: ByteChunks = (self._frame(payload).encode() async for payload in self._payloads)
        for transform in self._byte_maps:
            chunks = transform(chunks)
        return chunks
