"""A local server that sends raw bytes: for responses that no HTTP library would produce."""

from __future__ import annotations

import socket
import threading
from itertools import takewhile
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

OK_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class RawServer:
    """Passes each connection to a handler, in a thread of its own.

    Attributes:
        requests: What ``read_request`` has read, heads with bodies.
        connections: Number of connections so far.
    """

    def __init__(self, handle: Callable[[socket.socket], object]) -> None:
        self._handle = handle
        self.requests: list[bytes] = []
        self.connections = 0

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def read_request(self, connection: socket.socket) -> bytes:
        """Return a whole request; empty if the client has closed the connection."""
        with connection.makefile("rb") as file:
            lines = iter(file.readline, b"")
            head = b"".join(takewhile(lambda line: line != b"\r\n", lines))
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            body = file.read(int(length or 0))
        if head:
            self.requests.append(head + b"\r\n" + body)
        return head and self.requests[-1]

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would leave `accept` waiting.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            self._handle(connection)


def serve_responses(*responses: bytes) -> RawServer:
    """Return a server that sends the next response on each connection, then closes it.

    The last response is repeated.
    """
    remaining = list(responses)

    def respond(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(remaining.pop(0) if len(remaining) > 1 else remaining[0])

    server = RawServer(respond)
    return server


def find_closed_port() -> int:
    """Return a port on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])  # the system does not reuse it at once
