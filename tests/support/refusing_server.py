"""What looks like a Postgres server that refuses every connection, in a language of its own.

It is a process of its own, because libpq keeps Python from running while it asks a server.
"""

from __future__ import annotations

import socketserver
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fork_server import ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a client asks first: encryption by TLS or GSSAPI.
_OFFERS = {(80877103).to_bytes(4), (80877104).to_bytes(4)}


@contextmanager
def refusing_server(code: str | None) -> Iterator[int]:
    """Refuse with a code of SQL; with "" close each connection, with None never respond.

    Gives the port.
    """
    process = ForkedProcess(_serve, code)
    assert process.stdout
    yield int(process.stdout.readline())
    process.kill()
    process.communicate()


def _serve(code: str | None) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while code != "" and (request := self.request.recv(4096)):
                if request[4:8] in _OFFERS:
                    self.request.sendall(b"N")
                elif code:
                    fields = f"SFEHLER\0VFATAL\0C{code}\0MNein\0\0".encode()
                    self.request.sendall(b"E" + (len(fields) + 4).to_bytes(4) + fields)
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)  # noqa: T201 - read by the test
        server.serve_forever()
