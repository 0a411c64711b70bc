"""A server that takes next to no CPU: it responds to polls some time later, and serves files.

It notes how late each poll comes: every response asks for the next one after so many seconds.
The sandbox does far more than that, and would be what is measured. Not a sandbox: no money, no
video, nothing ever finishes.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_END = b"\r\n\r\n"


class Pacer:
    """What all connections share.

    Args:
        latency_s: Seconds from a request to its response.
        every_s: Seconds from a response to the next poll of the same task, which it asks for.
        files: The folder that files are served from.
    """

    def __init__(self, latency_s: float, every_s: float, files: Path) -> None:
        self.latency_s = latency_s
        self.every_s = every_s
        self.files = files
        self.due: dict[str, float] = {}
        self.late: list[float] = []

    def build_response(self, method: str, path: str) -> Any:
        """Return the body of a response that is not a file."""
        if method == "POST":
            name = f"task_{len(self.due):08}"
            self.due[name] = 0.0
            return {"id": name, "object": "video", "status": "queued", "progress": 0}
        if path == "/noted":
            noted, self.late = self.late, []
            return {"tasks": len(self.due), "late": noted}
        name = path.rpartition("/")[2]
        now = asyncio.get_running_loop().time()
        if self.due.get(name):
            self.late.append(now - self.due[name])
        self.due[name] = now + self.latency_s + self.every_s
        return {"id": name, "object": "video", "status": "queued", "progress": 0}


class Connection(asyncio.Protocol):
    """One connection that is kept."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to every whole request."""
        self._buffer += data
        while _END in self._buffer:
            head, _, rest = self._buffer.partition(_END)
            length = _length(head)
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            method, path, _ = head.decode("latin-1").split(" ", 2)
            self._serve(method, path)

    def _serve(self, method: str, path: str) -> None:
        loop = asyncio.get_running_loop()
        if path.startswith("/files/"):
            path = path.removeprefix("/files/")
            self._sending = loop.create_task(self._send_file(self._pacer.files / path))
            return
        body = json.dumps(self._pacer.build_response(method, path)).encode()
        wait = f"openai-poll-after-ms: {round(self._pacer.every_s * 1000)}\r\n"
        response = _head("application/json", len(body), wait) + body
        latency = 0.0 if path == "/noted" else self._pacer.latency_s
        if latency:
            loop.call_later(latency, self._transport.write, response)
        else:
            self._transport.write(response)

    async def _send_file(self, path: Path) -> None:
        with path.open("rb") as file:
            self._transport.write(_head("video/mp4", os.fstat(file.fileno()).st_size))
            await asyncio.get_running_loop().sendfile(self._transport, file)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _head(kind: str, length: int, more: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\r\n"
    return head.encode()


@contextmanager
def pacer(latency_s: float, every_s: float, files: Path) -> Iterator[str]:
    """A pacer in a process of its own; gives its URL."""
    words = [sys.executable, __file__, str(latency_s), str(every_s), str(files)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def noted(url: str) -> tuple[int, list[float]]:
    """How many tasks there are, and how late (seconds) each poll came since this was asked last."""
    with urllib.request.urlopen(f"{url}/noted") as response:
        found = json.load(response)
    return found["tasks"], found["late"]


async def _serve(shared: Pacer) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(shared), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Pacer(float(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))))
