"""``veo sandbox``: run a local server that imitates the providers."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urljoin, urlsplit

from veo.errors import UsageError
from veo.paths import ledger_folder
from veo_commands.options import option
from veo_commands.output import option_group, out

if TYPE_CHECKING:
    from veo_sandbox import Sandbox

EXAMPLES = ("veo sandbox", "veo sandbox --port 8000 --latency 1 --clip tiny")

_PROFILES = ("capture-2025-11", "docs", "official", "openai", "resold", "seed")
_EXAMPLE = 'veo generate "A lion wakes up"'


@option_group
class SandboxOptions:
    """The arguments of ``veo_sandbox.serve``, which has the defaults of those that are None."""

    panel: ClassVar[str] = "Options"

    port: int = option("Port; 0 picks a free one.", "PORT", default=0, min=0, max=65535)
    profile: str = option(
        f"Dialect of /v1/videos: {', '.join(_PROFILES[:-1])} or {_PROFILES[-1]}.",
        "NAME",
        default=_PROFILES[0],
        autocompletion=lambda: list(_PROFILES),
    )
    latency: str | None = option(
        "Seconds per video: a number, uniform:FROM,TO or lognormal:MEDIAN,SIGMA.", "TIME"
    )
    speed: float | None = option("Speed of the sandbox's clock relative to real time.", "FACTOR")
    clip: str = option("full: video with sound; tiny: a few kilobytes.", "KIND", default="full")
    home: Path | None = option(
        "Folder for tasks, files and charges; by default that of --sandbox.", "FOLDER"
    )
    seed: int | None = option("Seed for random outcomes and latencies.", "NUMBER")
    fail_rate: float | None = option("Share of tasks that fail.", "SHARE", min=0, max=1)
    timeout_rate: float | None = option("Share of tasks that never finish.", "SHARE", min=0, max=1)
    balance: float | None = option("Balance of the account, USD.", "USD", min=0)
    offered: str | None = option(
        "Models that the providers list and accept, separated by commas; all by default.", "NAMES"
    )
    file_host: str | None = option(
        "Base URL in the addresses of Gemini's files: Google's by default; self: the sandbox's.",
        "URL",
    )


def sandbox(*, options: SandboxOptions) -> None:
    """Run a local server that imitates the providers, until Ctrl-C."""
    from veo_sandbox import serve

    settings = {name: value for name, value in vars(options).items() if value is not None}
    home = settings.pop("home", None) or ledger_folder(sandbox=True) / "server"
    try:
        serve(home, on_start=_print_address, **settings)
    except OSError as error:
        raise _start_error(error, options.port) from error
    except ValueError as error:
        raise UsageError(f"cannot start the sandbox: {error}") from error


def _print_address(server: Sandbox) -> None:
    """Print the address and the key, and what points ``veo`` and other clients to them."""
    from veo.provider import installed_facts

    facts = list(installed_facts().values())
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
