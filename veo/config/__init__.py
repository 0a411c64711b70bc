"""The configuration: files, environment variables, and where secrets come from."""

from veo.config.config import (
    ENVIRONMENT_KEYS,
    Config,
    LoadedConfig,
    ProviderConfig,
    SandboxConfig,
    config_files,
    find_key,
    inspect_config,
    merge_models,
    read_config,
)

__all__ = [
    "ENVIRONMENT_KEYS",
    "Config",
    "LoadedConfig",
    "ProviderConfig",
    "SandboxConfig",
    "config_files",
    "find_key",
    "inspect_config",
    "merge_models",
    "read_config",
]
