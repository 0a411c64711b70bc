"""Where things live on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping


def home(env: Mapping[str, str] = os.environ) -> Path:
    """The folder of the ledger: ``$VEO_HOME``, else the platform's user data folder."""
    said = env.get("VEO_HOME")
    return absolute(said) if said else platformdirs.user_data_path("veo")


def config_folder(env: Mapping[str, str] = os.environ) -> Path:
    """The folder of the user's ``config.toml``: ``$VEO_CONFIG_HOME``, else the platform's."""
    said = env.get("VEO_CONFIG_HOME")
    return absolute(said) if said else platformdirs.user_config_path("veo")


def absolute(path: Path | str) -> Path:
    """A path from the root on, its ``~`` expanded; ``~name`` of nobody's stays as it is."""
    # Path.expanduser would raise a RuntimeError for the latter.
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111
