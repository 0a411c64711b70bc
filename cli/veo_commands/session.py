"""Open the configuration, ledger or client that a command works with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from veo.errors import UsageError
from veo.paths import ledger_folder
from veo_commands.output import out

if TYPE_CHECKING:
    from veo.client import Client
    from veo.config import Config, LoadedConfig
    from veo.ledger import Ledger
    from veo_commands.options import ConfigOptions, PayOptions, RequestOptions


def load_config(
    config_options: ConfigOptions, *overrides: RequestOptions | PayOptions
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
        return replace(loaded, config=loaded.config.replace(ledger=None))
    return loaded


@contextmanager
def open_ledger(config_options: ConfigOptions) -> Iterator[tuple[Config, Ledger]]:
    """Open the ledger for a command that needs no provider.

    A client would also import the engine and batches, a fifth of the time of ``veo jobs``.
    """
    from veo.ledger import Ledger

    config = load_config(config_options).config
    home = ledger_folder(sandbox=config_options.sandbox)
    with closing(Ledger(home, url=config.ledger)) as ledger:
        yield config, ledger


def _parse_column(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name.strip() or not equals:
        raise UsageError(f"--column {text}: write it as NAME=VALUE, for example scene=3")
    return name.strip(), value


@contextmanager
def open_client(
    config_options: ConfigOptions, *overrides: RequestOptions | PayOptions
) -> Iterator[Client]:
    """Open a client. When it closes, unfinished jobs stay resumable.

    With ``--sandbox``, a sandbox starts in this process on the first connection to a provider.
    """
    from veo.client import Client

    config = load_config(config_options, *overrides).config
    tags = [tag for group in overrides for tag in getattr(group, "tag", None) or ()]
    texts = [text for group in overrides for text in getattr(group, "column", None) or ()]
    columns = dict(map(_parse_column, texts))
    with Client(config, sandbox=config_options.sandbox, tags=tags, columns=columns) as client:
        try:
            yield client
        except KeyboardInterrupt:
            out.notice("interrupted", fg="yellow")
            out.hint(f"{out.command('resume')} continues unfinished jobs.")
            raise
