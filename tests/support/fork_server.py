"""Processes that begin with every module imported.

A start of the interpreter with the imports of a command costs a second of CPU. ``ForkedProcess``
has a server fork instead, which costs milliseconds. All workers of a test run share one server:
the main process starts it, it imports everything when the first order comes, and it ends with the
main process. ``test_cli_process`` tests real starts and exits.
"""

from __future__ import annotations

import atexit
import gc
import os
import pickle
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PRELOADED = ("veo", "veo_laozhang", "veo_gemini", "veo_commands")
IMPORTED_LATER = (
    "asyncpg",
    "google.genai",
    "pgqueuer.db",
    "PIL.Image",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "uvloop",
)
ADDRESS_VARIABLE = "FORK_SERVER"
LENGTH_BYTES = 4
TIMEOUT_S = 60.0
_lock = threading.Lock()


class Order(NamedTuple):
    """What a forked process does, and where."""

    function: Callable[..., object]
    args: tuple[Any, ...]
    env: dict[str, str]
    folder: str
    is_warm_up: bool


class ForkedProcess:
    """A process that calls a function, with what the tests use of ``subprocess.Popen``.

    Args:
        function: A function of a module; `SystemExit` sets the exit code.
        args: Its arguments, which are pickled.
        stdout: A file descriptor; by default ``self.stdout`` reads it.
        stderr: Likewise.
        env: The environment, by default that of this process.
        folder: The working folder, likewise.
        is_warm_up: The server itself calls the function, see ``warm_up``.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *args: Any,
        stdout: int | None = None,
        stderr: int | None = None,
        env: Mapping[str, str] = os.environ,
        folder: Path | None = None,
        is_warm_up: bool = False,
    ) -> None:
        self.args = args
        self.returncode: int | None = None
        self.stdout, stdout_end = _open_stream(stdout)
        self.stderr, stderr_end = _open_stream(stderr)
        self._status, status_end = _open_stream(None)
        stdin_end = os.open(os.devnull, os.O_RDONLY)
        place = dict(env), str(folder or Path.cwd())
        order = pickle.dumps(Order(function, args, *place, is_warm_up))
        with _lock:  # an order is two messages
            server = connect()
            length = len(order).to_bytes(LENGTH_BYTES)
            socket.send_fds(server, [length], [stdin_end, stdout_end, stderr_end, status_end])
            server.sendall(order)
        for end in {stdin_end, stdout_end, stderr_end, status_end} - {stdout, stderr}:
            os.close(end)
        self.pid = int(self._status.readline())
        started.add(self)

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, minus the signal if one killed it."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code when the process has ended."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.args), timeout or 0)
            self.returncode = int(self._status.readline())
            self._status.close()
        return self.returncode

    def communicate(self, timeout: float = TIMEOUT_S) -> tuple[str, str]:
        """Return what the process wrote when it has ended; kill it after the timeout."""
        limit = threading.Timer(timeout, self.kill)
        limit.start()
        with self, ThreadPoolExecutor(1) as thread:
            err = thread.submit(self.stderr.read if self.stderr else str)
            out = self.stdout.read() if self.stdout else ""
        limit.cancel()
        return out, err.result()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the streams, and wait for the end of the process."""
        self.wait()
        for stream in (self.stdout, self.stderr, self._status):
            if stream:
                stream.close()


started: WeakSet[ForkedProcess | subprocess.Popen[str]] = WeakSet()


def end_processes() -> None:
    """Kill what a test that failed has started and left, which would disturb the next ones."""
    for process in list(started):
        with process:
            process.kill()
    started.clear()


@cache
def warm_up(function: Callable[[], object]) -> None:
    """Call a function in the server, so that processes begin with all that it has loaded.

    It should be a function with a cache: every worker has it called.
    """
    ForkedProcess(function, stdout=1, stderr=2, is_warm_up=True).communicate()


def _open_stream(end: int | None) -> tuple[Any, int]:
    """Return a file to read and a descriptor to write, or no file if there is a descriptor."""
    if end is not None:
        return None, end
    reader, writer = os.pipe()
    return os.fdopen(reader), writer


def start_server() -> None:
    """Start the server, which ends with this process; the environment names its socket."""
    folder = tempfile.mkdtemp(prefix="forks-")
    path = os.environ[ADDRESS_VARIABLE] = f"{folder}/socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        command = [sys.executable, __file__, str(listener.fileno())]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()], stdin=subprocess.PIPE)

    def stop() -> None:
        process.communicate()  # closes its stdin, which ends it
        shutil.rmtree(folder)

    atexit.register(stop)


@cache
def connect() -> socket.socket:
    """Return the connection of this process to the server. Tests cannot open it: no network."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(os.environ[ADDRESS_VARIABLE])
    atexit.register(server.close)
    return server


def _serve(listener: socket.socket) -> None:
    """Fork a process for every order, and report how it ended, until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the test process
    ended, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # only a signal that is handled wakes
    signal.set_wakeup_fd(wakeup.fileno())
    statuses: dict[int, int] = {}  # descriptors by pid
    workers: list[socket.socket] = []
    while True:
        ready, _, _ = select.select([sys.stdin, listener, ended, *workers], [], [])
        if sys.stdin in ready:
            return
        if ended in ready:
            ended.recv(4096)
            _report_ends(statuses)
        if listener in ready:
            workers.append(listener.accept()[0])
        for worker in filter(ready.count, list(workers)):
            if not _take_order(worker, statuses):
                workers.remove(worker)
                worker.close()


def _take_order(worker: socket.socket, statuses: dict[int, int]) -> bool:
    """Fork a process, and return whether the worker had an order, and has not ended."""
    header, ends, _, _ = socket.recv_fds(worker, LENGTH_BYTES, 4)
    if not header:
        return False
    message = worker.recv(int.from_bytes(header), socket.MSG_WAITALL)
    *streams, status = ends
    _import_all()
    order = pickle.loads(message)
    if order.is_warm_up:
        _set_environment(order.env)
        order.function(*order.args)
        order = order._replace(function=str, args=())
    child = os.fork()
    if not child:
        _run(order, streams)
    statuses[child] = status
    with suppress(BrokenPipeError):  # the worker has ended; the others go on
        os.write(status, f"{child}\n".encode())
    for stream in streams:
        os.close(stream)
    return True


def _report_ends(statuses: dict[int, int]) -> None:
    for child in list(statuses):
        pid, code = os.waitpid(child, os.WNOHANG)
        if pid:
            with suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(statuses[pid], f"{os.waitstatus_to_exitcode(code)}\n".encode())
            os.close(statuses.pop(pid))


def _run(order: Order, streams: list[int]) -> NoReturn:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 256)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Whether a stream buffers lines depends on what it writes to.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - a descriptor
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    code: object = 1
    try:
        _set_environment(order.env)
        os.chdir(order.folder)
        order.function(*order.args)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 1)


def _set_environment(env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)


@cache
def _import_all() -> None:
    """Import what any command or client may import while it works."""
    for name in PRELOADED:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.startswith("veo.testing") and not module.name.endswith("__main__"):
                import_module(module.name)
    for name in IMPORTED_LATER:
        with suppress(ImportError):  # of an extra, or not on every platform
            import_module(name)
    import_module("prepared_databases").share_compiled_statements()
    gc.collect()
    gc.freeze()  # else the collector of each child would copy the memory of all objects


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        _serve(listening)
