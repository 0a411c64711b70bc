"""Uvicorn in a thread, on two loopback ports that a home gets again when they are free."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress

import uvicorn
from starlette.types import Receive, Scope, Send

from veo_sandbox.shutdown import Shutdown
from veo_sandbox.state.store import Store

_HOST = "127.0.0.1"
_GRACE_S = 2.0  # a stuck exchange must not keep a test waiting
_TICK_S = 0.005
# Enough for the processes that serve one home at the same time.
_MAX_REMEMBERED_PAIRS = 8

App = Callable[[Scope, Receive, Send], Awaitable[None]]
SocketPair = tuple[socket.socket, socket.socket]


def bind_ports(store: Store, port: int) -> SocketPair:
    """Open sockets for the API and the files; an OSError if `port` is given and in use.

    Ports that this home had before come first, so that addresses in earlier responses stay valid.
    """
    remembered: list[list[int]] = store.get_setting("ports", [])
    for api, files in remembered:
        if port in {0, api} and (pair := _try_pair(api, files)):
            return pair
    # Port 0 lets the system choose a free one.
    pair = _open_listener(port), _open_listener(0)
    ports = [sock.getsockname()[1] for sock in pair]
    store.put_setting("ports", [ports, *remembered][:_MAX_REMEMBERED_PAIRS])
    return pair


class _Uvicorn(uvicorn.Server):
    """Uvicorn that stops at once; by itself it checks ten times a second whether it should."""

    def __init__(self, config: uvicorn.Config, stopping: Shutdown) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def main_loop(self) -> None:
        # Uvicorn's loop still updates the Date header.
        ticking = asyncio.ensure_future(super().main_loop())
        await self._stopping.wait()
        ticking.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the exchanges under way end. Uvicorn's own would sleep for 0.1 s in any case."""
        state, loop = self.server_state, asyncio.get_running_loop()
        for server in self.servers:
            server.close()
        for connection in list(state.connections):
            connection.shutdown()
        deadline = loop.time() + _GRACE_S
        # Polled, because Uvicorn has no event for the end of the last one.
        while (state.connections or state.tasks) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_S)
        for task in state.tasks:
            task.cancel()


class Server:
    """An application served from its own thread until it is stopped."""

    def __init__(self, app: App, sockets: SocketPair, stopping: Shutdown) -> None:
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, log_level="error", access_log=False
        )
        self._stopping = stopping
        self._server = _Uvicorn(config, stopping)
        self._sockets = sockets
        # A daemon: an interpreter that ends without `close` is not kept alive.
        self._thread = threading.Thread(
            target=self._server.run, args=(list(sockets),), name="veo-sandbox", daemon=True
        )

    def start(self) -> None:
        """Start the thread, and return once requests are served."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the sandbox did not start")
            # Polled, because Uvicorn has no event for "started".
            self._thread.join(_TICK_S)

    def stop(self) -> None:
        self._stopping.begin()
        self._thread.join()
        for sock in self._sockets:
            sock.close()


def _try_pair(api: int, files: int) -> SocketPair | None:
    with suppress(OSError), ExitStack() as opened:
        first = opened.enter_context(_open_listener(api))
        # Both ports or none: an address of one is only true beside the other.
        pair = first, _open_listener(files)
        opened.pop_all()
        return pair
    return None


def _open_listener(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A home that is served again at once would find its port in TIME_WAIT.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((_HOST, port))
        # Benchmarks open hundreds of connections at once.
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock
