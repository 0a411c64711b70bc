"""Start the sandbox in this process, and point the providers at it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from veo.errors import ConfigError
from veo.key import Key
from veo.runtime.providers import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.config import Config, SandboxConfig

# Of a video that takes no time: 0 would mean "not known", and the first poll would come late.
_MIN_LATENCY_S = 0.1


@contextmanager
def start_sandbox(config: Config, home: Path) -> Iterator[Endpoint]:
    """Start the configured sandbox in this process, with its files in ``home``.

    Raises:
        ConfigError: It cannot start, or it is not installed.
    """
    # By name, because the core does not depend on the sandbox, and runs without it.
    try:
        module: Any = import_module("veo_sandbox")
    except ImportError as error:
        raise ConfigError(f"the sandbox is not installed: {error}") from error
    with ExitStack() as stack:
        try:
            sandbox = module.Sandbox(home / "server", **vars(config.sandbox))
            stack.enter_context(sandbox)
        except (ValueError, OSError) as error:
            raise ConfigError(f"cannot start the sandbox: {error}") from error
        # Omni on the Agent Platform takes no key: the sandbox takes its own one as an access token.
        options = {"key_is_access_token": True, "project": "sandbox"}
        yield Endpoint(sandbox.url, Key(sandbox.key), _typical_latency_s(config.sandbox), options)


def _typical_latency_s(config: SandboxConfig) -> float:
    """Return how long the sandbox takes for a video in real seconds, to schedule the first poll."""
    latency: Any = import_module("veo_sandbox.state.latency").Latency.parse(config.latency)
    return max(_MIN_LATENCY_S, float(latency.median_s / config.speed))
