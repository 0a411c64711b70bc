"""A local server that records every request and sends the responses that a test sets."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from ssl import SSLContext


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A received request: the path includes the query, header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response to send.

    Attributes:
        body: Bytes, or a value to send as JSON.
        silent: Close the connection without a response.
        hold: Do not respond until the server stops.
        missing: Number of bytes by which Content-Length exceeds the body.
    """

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False
    hold: bool = False
    missing: int = 0


Replies = Reply | Callable[[RecordedRequest], Reply]


class RecordingServer:
    """Listens on a free port while used as a context manager.

    Attributes:
        reply: The response, or a function that chooses one; may be changed at any time.
        requests: All requests so far.
        connections: The connections that they came on, by the client's port.
    """

    def __init__(self, reply: Replies | None = None, tls: SSLContext | None = None) -> None:
        self.reply: Replies = reply or Reply()
        self._tls = tls
        self.requests: list[RecordedRequest] = []
        self.connections: set[int] = set()
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """The base URL."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def only_request(self) -> RecordedRequest:
        """The only request; a test fails if there were more, or none."""
        (request,) = self.requests
        return request

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(self))
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def record_request(self, request: RecordedRequest) -> Reply:
        """Record a request, and return the response to it."""
        self.requests.append(request)
        reply = self.reply(request) if callable(self.reply) else self.reply
        if reply.hold:
            self._stopping.wait(30)
        return reply


def make_handler(server: RecordingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            server.connections.add(self.client_address[1])
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.record_request(RecordedRequest(self.command, self.path, headers, body))
            if reply.silent or reply.hold:
                self.close_connection = True
            else:
                self._send(reply)

        do_GET = do_POST = _serve  # noqa: N815 - the names that http.server looks for

        def _send(self, reply: Reply) -> None:
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            kind = "video/mp4" if isinstance(reply.body, bytes) else "application/json"
            self.send_response(reply.status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body) + reply.missing)}
            for name, value in (headers | dict(reply.headers)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or bool(reply.missing)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
