"""The configuration, the ledger and the client that a command works with."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from veo_commands.output import out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.client import Client, Endpoint
    from veo.config import Config, LoadedConfig, SandboxConfig
    from veo.ledger import Ledger
    from veo_commands.options import ConfigOptions, RequestOptions, WaitOptions


def load_config(place: ConfigOptions, *groups: RequestOptions | WaitOptions) -> LoadedConfig:
    """The configuration, what the command line says laid over it.

    Raises:
        ConfigError: A file or value is broken.
    """
    from veo.config import read_config

    out.sandbox = place.sandbox
    flags = {
        name: value
        for group in groups
        for name in ("provider", "max_cost", "timeout")
        if (value := getattr(group, name, None)) is not None  # --max-cost 0 is a cap, too
    }
    return read_config(place.config, flags=flags)


@contextmanager
def open_ledger(place: ConfigOptions) -> Iterator[tuple[Config, Ledger]]:
    """Open the configured ledger for commands that need no provider.

    A client would import the engine and batches, a fifth of the time of ``veo jobs``.

    Raises:
        ConfigError, LedgerError: They cannot be used.
    """
    from veo.ledger import Ledger
    from veo.paths import ledger_dir

    config = load_config(place).config
    with closing(Ledger(ledger_dir(sandbox=place.sandbox))) as ledger:
        yield config, ledger


@contextmanager
def open_client(place: ConfigOptions, *groups: RequestOptions | WaitOptions) -> Iterator[Client]:
    """A client on the configured ledger; what it works on stays resumable when it closes.

    With ``--sandbox`` a sandbox is started in this process as soon as a provider is needed.

    Args:
        place: Which configuration and ledger.
        groups: Options of the command that override the configuration.

    Raises:
        ConfigError, LedgerError: They cannot be used.
    """
    from veo.client import Client
    from veo.paths import ledger_dir

    config = load_config(place, *groups).config
    home = ledger_dir(sandbox=place.sandbox)
    with ExitStack() as servers:
        start = cache(lambda: servers.enter_context(start_sandbox(config, home)))
        with Client(config, home=home, endpoint=start if place.sandbox else None) as client:
            try:
                yield client
            except KeyboardInterrupt:
                out.notice("interrupted", fg="yellow")
                out.hint(f"{out.command('resume')} carries on with what was begun.")
                raise


@contextmanager
def start_sandbox(config: Config, home: Path) -> Iterator[Endpoint]:
    """A sandbox in this process, as configured, its tasks and files under ``home``.

    Raises:
        ConfigError: It does not start like that.
    """
    from veo.client import Endpoint
    from veo.errors import ConfigError
    from veo.key import Key
    from veo_sandbox import Sandbox

    try:
        sandbox = Sandbox(home / "server", **config.sandbox.model_dump())
    except (ValueError, OSError) as error:
        raise ConfigError(f"the sandbox cannot start: {error}") from error
    with sandbox:
        yield Endpoint(sandbox.url, Key(sandbox.key), _usual_s(config.sandbox))


def _usual_s(config: SandboxConfig) -> float:
    """Real seconds that a video of the sandbox usually takes: when to ask for it."""
    from veo_sandbox.state.latency import Latency

    latency = Latency.parse(config.latency)
    spread = latency.values if latency.kind == "uniform" else latency.values[:1]
    return sum(spread) / len(spread) / config.speed
