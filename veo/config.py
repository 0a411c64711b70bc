"""Configuration: flag > environment > ./veo.toml > the user's config folder > defaults.

A key is never a value here: ``api_key_env`` names the environment variable that holds it.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from veo.errors import ConfigError, KeyMissingError
from veo.key import Key
from veo.model import Facts, FrozenFacts, Model
from veo.paths import config_folder
from veo.problems import Remedy

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_FILE = "veo.toml"
ENVIRONMENT_KEYS = {
    "VEO_PROVIDER": "provider",
    "VEO_MODEL": "model",
    "VEO_OUTPUT_DIR": "output_dir",
    "VEO_MAX_COST": "max_cost",
    "VEO_TIMEOUT": "timeout",
}
_SECRET_NAMES = {"key", "apikey", "token", "accesstoken", "secret"}


def _validate_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise ValueError("must be the name of an environment variable in capitals, not a key")
    return name


class ProviderConfig(FrozenFacts):
    """``[providers.<name>]``: what the user says about one provider; the rest are its facts.

    Keys that only one provider understands (``project``, ``location``) are its options.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    api_key_env: Annotated[str, AfterValidator(_validate_variable)] | None = None
    base_url: str | None = None
    model: str | None = None
    max_in_flight: int | None = Field(default=None, ge=1)
    submits_per_minute: int | None = Field(default=None, ge=1)
    median_s: float | None = Field(default=None, gt=0)
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Budget(FrozenFacts):
    """``[budget]``: caps over time, USD, across every process on the ledger."""

    daily: Decimal | None = Field(default=None, ge=0)
    monthly: Decimal | None = Field(default=None, ge=0)


class SandboxConfig(FrozenFacts):
    """``[sandbox]``: how the built-in sandbox behaves."""

    profile: str = "capture-2025-11"
    latency: str = "uniform:3,6"
    speed: float = Field(default=1.0, gt=0)
    clip: Literal["full", "tiny"] = "full"


class Config(FrozenFacts):
    """Everything that can be configured.

    Attributes:
        provider: The route to take when no flag names one.
        model: Overrides the provider's configured model, from the environment.
        output_dir: Where videos go that get no name of their own.
        max_cost: USD that a run may cost at most.
        timeout: Seconds to wait for a job; the job itself goes on.
        retired: What to do about a model past its reported shutdown date.
    """

    provider: str = "laozhang-async"
    model: str | None = None
    output_dir: Path = Path()
    max_cost: Decimal | None = Field(default=None, ge=0)
    timeout: float = Field(default=600.0, gt=0)
    retired: Literal["warn", "refuse", "ignore"] = "warn"
    budget: Budget = Budget()
    sandbox: SandboxConfig = SandboxConfig()
    providers: dict[str, ProviderConfig] = Field(default_factory=dict)

    def for_provider(self, provider: str) -> ProviderConfig:
        """What is configured for a provider; an empty table when nothing is."""
        return self.providers.get(provider, ProviderConfig())


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, and where each of its values came from (dotted key to place)."""

    config: Config
    origins: Mapping[str, str] = field(default_factory=dict)


def read_config(
    file: Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str] = os.environ,
) -> LoadedConfig:
    """The configuration of this run.

    Args:
        file: Read instead of ``./veo.toml``; it must exist then.
        flags: Values given on the command line; None values count as not given.
        env: The environment.

    Raises:
        ConfigError: A file or value is broken; the message names file and key, never a value.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for place, values in _read_layers(file, flags or {}, env):
        _merge_layer(merged, values, origins, place)
    try:
        return LoadedConfig(Config.model_validate(merged), origins)
    except ValidationError as error:
        raise _to_config_error(error, origins) from None


def config_files(
    file: Path | None = None, env: Mapping[str, str] = os.environ
) -> tuple[Path, Path]:
    """Where configuration is looked for; the second overrides the first.

    Args:
        file: Read instead of ``./veo.toml``.
        env: The environment.
    """
    return config_folder(env) / "config.toml", file or Path(LOCAL_FILE)


def _read_layers(
    file: Path | None, flags: Mapping[str, Any], env: Mapping[str, str]
) -> list[tuple[str, dict[str, Any]]]:
    layers = [
        (str(path), _read_toml(path, needed=path == file)) for path in config_files(file, env)
    ]
    for variable, key in ENVIRONMENT_KEYS.items():
        if env.get(variable):
            layers.append((variable, {key: env[variable]}))
    given = {key: value for key, value in flags.items() if value is not None}
    return [*layers, ("command line", given)]


def _read_toml(path: Path, *, needed: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if needed:
            raise ConfigError(f"{path}: no such configuration file") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _merge_layer(
    into: dict[str, Any],
    values: Mapping[str, Any],
    origins: dict[str, str],
    place: str,
    at: str = "",
) -> None:
    for key, value in values.items():
        name = f"{at}{key}"
        if re.sub("[-_]", "", key).lower() in _SECRET_NAMES:
            raise ConfigError(
                f"{place}: {name}: a configuration file must not hold a key",
                hint='Set api_key_env = "NAME" to the name of an environment variable instead.',
            )
        if not isinstance(value, dict):
            _forget_origins(origins, f"{name}.")
            into[key], origins[name] = value, place
            continue
        if not isinstance(into.get(key), dict):
            origins.pop(name, None)
            into[key] = {}
        _merge_layer(into[key], value, origins, place, f"{name}.")


def _forget_origins(origins: dict[str, str], below: str) -> None:
    for name in [name for name in origins if name.startswith(below)]:
        del origins[name]


def _to_config_error(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        place = origins.get(name) or next(
            (origin for key, origin in origins.items() if key.startswith(f"{name}.")), ""
        )
        known = problem["type"] != "extra_forbidden"
        said = problem["msg"].removeprefix("Value error, ")
        what = said if known else "no such setting"
        lines.append(f"{place}: {name}: {what}".removeprefix(": "))
    return ConfigError("\n".join(lines), remedies=[Remedy("show_settings")])


def merge_models(facts: Facts, config: ProviderConfig) -> dict[str, Model]:
    """A provider's models with the user's rows laid over them; new rows may say ``like``.

    Raises:
        ConfigError: An override names a field that no model has, or a new row lacks some.
    """
    models = dict(facts.models)
    for name, override in config.models.items():
        at = f"providers.{facts.name}.models.{name}"
        changes = {key: value for key, value in override.items() if key != "like"}
        base = models.get(str(override.get("like", name)))
        if base is None and "like" in override:
            raise ConfigError(f"{at}.like: {facts.name} has no such model")
        row = base.model_dump(exclude_unset=True) if base else {}
        _update_row(row, {**changes, "name": name, "provider": facts.name, "overridden": True})
        try:
            models[name] = Model.model_validate(row)
        except ValidationError as error:
            hint = None if base else 'A new row can begin as another one: like = "<model>".'
            raise ConfigError(f"{at}: {_to_config_error(error, {}).message}", hint=hint) from None
    return models


def _update_row(row: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(row.get(key), dict):
            _update_row(row[key], value)
        else:
            row[key] = value


def find_key(
    facts: Facts, config: ProviderConfig, env: Mapping[str, str] = os.environ
) -> Key | None:
    """The provider's key from the environment; None for a provider that can do without.

    Raises:
        KeyMissingError: No variable holds it; says which, and where a key comes from.
        ConfigError: What the variable holds cannot be a key.
    """
    names = (config.api_key_env,) if config.api_key_env else facts.key_env
    for name in names:
        if key := env.get(name, "").strip():
            return _to_key(key, name)
    if facts.key_optional and not config.api_key_env:
        return None
    raise KeyMissingError(
        f"{facts.name} needs an API key: {' or '.join(names)} is not set",
        hint=facts.key_help,
    )


def _to_key(key: str, variable: str) -> Key:
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigError(
            f"{variable} contains spaces or characters that an API key cannot have",
            hint="Copy the key again, without line breaks and quotation marks.",
        )
    return Key(key)
