"""The sandbox for Python: a context manager, and a blocking `serve`."""

import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self, Unpack

from veo_sandbox.app import build_app
from veo_sandbox.core import Core
from veo_sandbox.faults.rules import FaultRules
from veo_sandbox.profiles import PROFILES
from veo_sandbox.server import Server, bind_ports
from veo_sandbox.state.settings import SettingValues


class Sandbox:
    """A local server that speaks the APIs of the video services, with real MP4s and bills.

    Use it as a context manager: it serves when the block begins and is closed when it ends.
    All methods may be called from any thread.

    Args:
        home: Folder for its tasks, bills and files. A home that is served again keeps all of
            them, and several processes may serve one home at the same time.
        profile: How `/v1/videos` responds: capture-2025-11, docs, official, openai, resold or
            seed.
        clip: "full" renders real scenery and sound; "tiny" serves a few kilobytes for almost
            no CPU.
        clip_bytes: Tiny clips are padded to this many bytes.
        port: The API's port on 127.0.0.1; 0 takes ports that the home had before, or any.
        key: The only key that is accepted.
        **settings: See `veo_sandbox.state.settings.Settings`, and `speed` and `balance`. The
            home keeps its value of a setting that is left out.

    Raises:
        ValueError: an unknown profile, clip or setting.
        OSError: `port` is in use, or `home` cannot be used.
    """

    def __init__(
        self,
        home: Path | str,
        *,
        profile: str = "capture-2025-11",
        clip: Literal["full", "tiny"] = "full",
        clip_bytes: int = 0,
        port: int = 0,
        key: str = "sandbox-key",
        **settings: Unpack[SettingValues],
    ) -> None:
        _check_choice("profile", profile, PROFILES)
        _check_choice("clip", clip, ("full", "tiny"))
        self._home = Path(home)
        with _store_errors(self._home):
            self._core = Core(
                self._home, profile=profile, key=key, tiny=clip == "tiny", clip_bytes=clip_bytes
            )
            self._rules = FaultRules(self._core.store)
            try:
                self._core.change_settings(settings)
            except (ValueError, sqlite3.Error):
                # The store must not stay open when the constructor fails.
                self._core.close()
                raise
        self._port = port
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The base URL of the APIs, "http://127.0.0.1:PORT"."""
        return self._core.url

    @property
    def files_url(self) -> str:
        """The base URL of the files: another port, which a client must treat as another host."""
        return self._core.files_url

    @property
    def key(self) -> str:
        return self._core.key

    @property
    def system_token(self) -> str:
        """The token for `/api/user/self`."""
        return self._core.system_token

    def __enter__(self) -> Self:
        with _store_errors(self._home):
            try:
                sockets = bind_ports(self._core.store, self._port)
            except (OSError, sqlite3.Error):
                self._core.close()
                raise
        self._core.set_addresses(*(sock.getsockname()[1] for sock in sockets))
        self._server = Server(build_app(self._core, self._rules), sockets, self._core.shutdown)
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; the home keeps everything that was accepted."""
        if self._server:
            self._server.stop()
            self._server = None
            self._core.close()

    def bills(self) -> list[dict[str, Any]]:
        """Return every charge and refund so far: task, route, model, amount (USD), state, at."""
        return self._core.account.list_bills(self._core.clock.now())

    def balance(self) -> float:
        """Return the USD left; what running tasks hold is taken off."""
        return self._core.account.get_balance(self._core.clock.now())

    def tasks(self) -> list[dict[str, Any]]:
        """Return every task: id, state, whether its create response was sent, its request."""
        return self._core.describe_tasks()

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests to the APIs that reached this process, oldest first."""
        return list(self._core.request_log)

    def leaks(self) -> list[dict[str, Any]]:
        """Return the requests that carried a key to the files port."""
        return self._core.list_leaks()

    def fault(self, fault: str, **rule: Any) -> None:
        """Add a fault rule: `sandbox.fault("drop_answer", first=1)`.

        Raises:
            ValueError: the fault or one of its parameters is unknown.
        """
        self._rules.add_rules([{"fault": fault, **rule}])

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        self._rules.clear_rules()

    def advance(self, seconds: float) -> None:
        """Advance its clock by seconds."""
        self._core.clock.advance(seconds)

    def change(self, **settings: Unpack[SettingValues]) -> None:
        """Change settings while it runs."""
        self._core.change_settings(settings)


def _print_address(sandbox: Sandbox) -> None:
    sys.stdout.write(f"listening on {sandbox.url}\n")
    sys.stdout.flush()


_SIGNAL_CHECK_S = 0.5  # Windows delivers Ctrl-C between two waits only


def serve(
    home: Path | str, *, on_start: Callable[[Sandbox], None] = _print_address, **options: Any
) -> None:
    """Serve until SIGINT or SIGTERM; takes the arguments of `Sandbox`.

    `on_start` is called when requests are served.
    """
    stop = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stop.set())
        # The handlers only set an event: closing takes locks, which a signal handler may not wait
        # for.
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with Sandbox(home, **options) as sandbox:
            on_start(sandbox)
            while not stop.wait(_SIGNAL_CHECK_S):
                pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _store_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:  # the disk is full, or the file is damaged
        raise OSError(f"{home}: {error}") from error


def _check_choice(name: str, value: str, known: Mapping[str, object] | tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} {value!r}: must be one of {', '.join(known)}")
