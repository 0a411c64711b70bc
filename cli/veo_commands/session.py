"""Open the configuration, ledger or client that a command works with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from veo.errors import ConfigError
from veo.paths import ledger_dir
from veo_commands.output import out

if TYPE_CHECKING:
    from veo.client import Client, Endpoint
    from veo.config import Config, LoadedConfig, SandboxConfig
    from veo.ledger import Ledger
    from veo_commands.options import ConfigOptions, RequestOptions, WaitOptions


def load_config(
    config_options: ConfigOptions, *overrides: RequestOptions | WaitOptions
) -> LoadedConfig:
    """Read the configuration, overridden by options of the command."""
    from veo.config import read_config

    out.sandbox = config_options.sandbox
    flags = {
        name: value
        for group in overrides
        for name in ("provider", "max_cost", "timeout")
        if (value := getattr(group, name, None)) is not None  # --max-cost 0 is a limit, too
    }
    loaded = read_config(config_options.config, flags=flags)
    if config_options.sandbox:  # play money must not get into the ledger of an organisation
        return replace(loaded, config=loaded.config.model_copy(update={"ledger": None}))
    return loaded


@contextmanager
def open_ledger(config_options: ConfigOptions) -> Iterator[tuple[Config, Ledger]]:
    """Open the ledger for a command that needs no provider.

    A client would also import the engine and batches, a fifth of the time of ``veo jobs``.
    """
    from veo.ledger import Ledger

    config = load_config(config_options).config
    home = ledger_dir(sandbox=config_options.sandbox)
    with closing(Ledger(home, url=config.ledger)) as ledger:
        yield config, ledger


@contextmanager
def open_client(
    config_options: ConfigOptions, *overrides: RequestOptions | WaitOptions
) -> Iterator[Client]:
    """Open a client. When it closes, unfinished jobs stay resumable.

    With ``--sandbox``, a sandbox starts in this process on the first connection to a provider.
    """
    from veo.client import Client

    config = load_config(config_options, *overrides).config
    home = ledger_dir(sandbox=config_options.sandbox)
    with ExitStack() as servers:
        start = cache(lambda: servers.enter_context(start_sandbox(config, home)))
        endpoint = start if config_options.sandbox else None
        with Client(config, home=home, endpoint=endpoint) as client:
            try:
                yield client
            except KeyboardInterrupt:
                out.notice("interrupted", fg="yellow")
                out.hint(f"{out.command('resume')} continues unfinished jobs.")
                raise


@contextmanager
def start_sandbox(config: Config, home: Path) -> Iterator[Endpoint]:
    """Start the configured sandbox in this process, with its files in ``home``."""
    from veo.client import Endpoint
    from veo.key import Key
    from veo_sandbox import Sandbox

    try:
        sandbox = Sandbox(home / "server", **config.sandbox.model_dump())
    except (ValueError, OSError) as error:
        raise ConfigError(f"cannot start the sandbox: {error}") from error
    with sandbox:
        # Omni on the Agent Platform takes no key: the sandbox takes its own one as an access token.
        options = {"access_token": True, "project": "sandbox"}
        yield Endpoint(sandbox.url, Key(sandbox.key), _typical_latency_s(config.sandbox), options)


def _typical_latency_s(config: SandboxConfig) -> float:
    """Return how long the sandbox takes for a video in real seconds, to schedule the first poll."""
    from veo_sandbox.state.latency import Latency

    latency = Latency.parse(config.latency)
    # The middle of uniform:FROM,TO; the median of lognormal:MEDIAN,SIGMA; a constant itself.
    values = latency.values if latency.kind == "uniform" else latency.values[:1]
    return sum(values) / len(values) / config.speed
