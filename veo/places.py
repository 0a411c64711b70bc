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
    return Path(env.get("VEO_HOME") or platformdirs.user_data_path("veo")).expanduser().absolute()


def config_folder(env: Mapping[str, str] = os.environ) -> Path:
    """The folder of the user's ``config.toml``: ``$VEO_CONFIG_HOME``, else the platform's."""
    return Path(env.get("VEO_CONFIG_HOME") or platformdirs.user_config_path("veo"))
