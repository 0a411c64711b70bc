"""``veo sandbox``: run a local server that imitates the providers."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from veo.errors import UsageError
from veo.paths import ledger_dir
from veo_commands.options import option
from veo_commands.output import out

if TYPE_CHECKING:
    from veo_sandbox import Sandbox

_EXAMPLE = 'veo generate "A lion wakes up"'


def sandbox(
    *,
    port: int = option("Port; 0 picks a free one.", "PORT", default=0, min=0, max=65535),
    profile: str = option(
        "Dialect of /v1/videos: capture-2025-11, docs, official, openai, resold or seed.",
        "NAME",
        default="capture-2025-11",
        autocompletion=lambda: ["capture-2025-11", "docs", "official", "openai", "resold", "seed"],
    ),
    latency: str | None = option(
        "Seconds per video: a number, uniform:FROM,TO or lognormal:MEDIAN,SIGMA.", "TIME"
    ),
    speed: float | None = option("Speed of the sandbox's clock relative to real time.", "FACTOR"),
    clip: str = option("full: video with sound; tiny: a few kilobytes.", "KIND", default="full"),
    home: Path | None = option(
        "Folder for tasks, files and charges; by default that of --sandbox.", "FOLDER"
    ),
    seed: int | None = option("Seed for random outcomes and latencies.", "NUMBER"),
    fail_rate: float | None = option("Share of tasks that fail.", "SHARE", min=0, max=1),
    timeout_rate: float | None = option("Share of tasks that never finish.", "SHARE", min=0, max=1),
    balance: float | None = option("Balance of the account, USD.", "USD", min=0),
    offered: str | None = option(
        "Models that the providers list and accept, separated by commas; all by default.", "NAMES"
    ),
    file_host: str | None = option(
        "Base URL in the addresses of Gemini's files: Google's own by default; self for its own.",
        "URL",
    ),
) -> None:
    """Run a local server that imitates the providers, until Ctrl-C."""
    from veo_sandbox import Sandbox

    options: dict[str, Any] = {
        "profile": profile,
        "clip": clip,
        "latency": latency,
        "speed": speed,
        "seed": seed,
        "fail_rate": fail_rate,
        "timeout_rate": timeout_rate,
        "balance": balance,
        "offered": offered,
        "file_host": file_host,
    }
    # The sandbox itself has the defaults of options that are not given.
    settings = {name: value for name, value in options.items() if value is not None}
    folder = home or ledger_dir(sandbox=True) / "server"
    stop = threading.Event()
    with _stop_on_signals(stop):
        try:
            server = Sandbox(folder, port=port, **settings)
            with server:
                _print_address(server)
                stop.wait()
        except OSError as error:
            raise _start_error(error, port) from error
        except ValueError as error:
            raise UsageError(f"cannot start the sandbox: {error}") from error


@contextmanager
def _stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set an event on Ctrl-C; closing takes locks, which a signal handler may not wait for."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _print_address(server: Sandbox) -> None:
    """Print the address and the key, and what points ``veo`` and other clients to them."""
    from veo.provider import installed_providers

    facts = [cls.facts for cls in installed_providers().values()]
    urls = {each.name: urljoin(server.url, urlsplit(each.base_url).path) for each in facts}
    body = {"url": server.url, "key": server.key, "base_urls": urls}
    lines = [
        f"listening on {server.url}",
        f"key: {server.key}",
        "",
        "base URLs, for veo.toml and other clients:",
        *(f"  {name:<16}{url}" for name, url in urls.items()),
        "",
        "keys, for a shell that is to use it:",
        *(f"  export {name}={server.key}" for name in dict.fromkeys(e.key_env[0] for e in facts)),
        "",
        f"or without any setting: VEO_SANDBOX=1 {_EXAMPLE}",
    ]
    out.print_result(body, "\n".join(lines))
    sys.stdout.flush()  # a program that waits for the address reads a pipe


def _start_error(error: OSError, port: int) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {port} is in use by another program",
            hint="--port 0, the default, chooses a free port.",
        )
    if error.errno == errno.EACCES and error.filename is None:
        return UsageError(f"port {port} is reserved for the system", hint="Use a port above 1023.")
    return UsageError(f"cannot start the sandbox: {error.strerror or error}")
