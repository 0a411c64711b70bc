"""Configuration: flag > environment > veo.toml > the user's config folder > defaults.

``veo.toml`` is that of the current folder; in a repository, of the closest folder above that has
one. No setting holds a key: ``api_key_env`` names the environment variable that does.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from veo.bucket import find_bucket_path
from veo.config.keystore import read_key
from veo.config.ledger_url import LedgerUrl
from veo.errors import ConfigError, KeyMissingError
from veo.key import Key
from veo.model import Model, ProviderFacts
from veo.paths import config_folder
from veo.problems import Remedy
from veo.row import Bounds, Check, InvalidRowError, Row
from veo.text.parsing import decode_text, parse_toml, read_limited
from veo.text.spelling import find_similar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOCAL_FILE = "veo.toml"
MAX_FILE_BYTES = 1_000_000
ENVIRONMENT_KEYS = {
    "VEO_PROVIDER": "provider",
    "VEO_MODEL": "model",
    "VEO_OUTPUT_DIR": "output_dir",
    "VEO_LEDGER": "ledger",
    "VEO_MAX_COST": "max_cost",
    "VEO_CONFIRM_ABOVE": "confirm_above",
    "VEO_TIMEOUT": "timeout",
}
# Names, without hyphens and underscores, under which people paste keys into a file.
_SECRET_NAMES = {"key", "apikey", "token", "accesstoken", "secret"}


def _validate_variable(name: str) -> str:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise ValueError("must be the name of an environment variable in capitals, not a key")
    return name


def _validate_path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("contains a character that no path can have")
    return find_bucket_path(path) or path


# USD. The ledger stores whole millionths of it in 64 bits.
Limit = Annotated[Decimal, Bounds(ge=0, le=1_000_000_000)]
Count = Annotated[int, Bounds(ge=1, le=1_000_000)]


class ProviderConfig(Row):
    """``[providers.<name>]``: settings that override the facts of one provider.

    Other keys (``project``, ``location``) are options that only this provider understands.
    """

    __pydantic_config__: ClassVar = {"extra": "allow"}

    api_key_env: Annotated[str, Check(_validate_variable)] | None = None
    base_url: str | None = None
    model: str | None = None
    max_in_flight: Count | None = None
    submits_per_minute: Count | None = None
    median_s: Annotated[float, Bounds(ge=0.001, le=7 * 86400)] | None = None
    models: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The other keys; nothing but the provider can validate them."""
        known = {each.name for each in fields(self)}
        return {name: value for name, value in vars(self).items() if name not in known}


class Budget(Row):
    """``[budget]``: caps over time in USD, for all processes on the ledger together."""

    daily: Limit | None = None
    monthly: Limit | None = None


class SandboxConfig(Row):
    """``[sandbox]``: how the built-in sandbox behaves."""

    profile: str = "capture-2025-11"
    latency: str = "uniform:3,6"
    speed: Annotated[float, Bounds(gt=0, le=1_000_000)] = 1.0
    clip: Literal["full", "tiny"] = "full"
    offered: str = ""  # names of models, separated by commas; all by default


class Config(Row):
    """All settings.

    Attributes:
        provider: The provider for requests that name none.
        model: Overrides the model that is configured for the provider.
        output_dir: The folder of videos without a name of their own; may be in a bucket.
        ledger: A Postgres database for processes on many machines; None for a file in the folder
            of the ledger. The sandbox's ledger is always a file.
        output_name: Their names: a template of ``planning.plan.fill_name``.
        max_cost: USD that a run may cost at most.
        confirm_above: USD above which the command line asks before it pays. Play money never asks.
        timeout: Seconds to wait for a job; the job itself continues.
        retired: What happens to a request for a model past its reported shutdown date.
    """

    provider: str = "laozhang-async"
    model: str | None = None
    output_dir: Annotated[Path, Check(_validate_path)] = Path()
    ledger: LedgerUrl | None = None
    output_name: str = "{prompt}-{job}.mp4"
    max_cost: Limit | None = None
    confirm_above: Limit = Decimal("1.00")
    timeout: Annotated[float, Bounds(gt=0)] = 600.0
    retired: Literal["warn", "refuse", "ignore"] = "warn"
    budget: Budget = Budget()
    sandbox: SandboxConfig = SandboxConfig()
    providers: dict[str, ProviderConfig] = field(default_factory=dict)

    def for_provider(self, provider: str) -> ProviderConfig:
        return self.providers.get(provider, ProviderConfig())


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, and the origin of each value (a file, a variable) by its dotted name.

    Attributes:
        problems: Lines about files and values that were left out, see ``inspect_config``.
    """

    config: Config
    origins: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_config(
    file: Path | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str] = os.environ,
) -> LoadedConfig:
    """Read the configuration from all its sources.

    The ``file`` is read instead of ``./veo.toml`` and must exist. ``flags`` that are None are not
    given, 0 is.

    Raises:
        ConfigError: A file or value is not valid. The message names the file and the setting, and
            never repeats the value, which may be a key.
    """
    layers = _Layers()
    for origin, read in _list_layers(file, flags or {}, env):
        layers.add(origin, read())
    try:
        return LoadedConfig(Config(**layers.values), layers.origins)
    except InvalidRowError as error:
        text = "\n".join(_describe_problems(error, layers.origins))
        raise ConfigError(text, remedies=[Remedy("show_settings")]) from None


def inspect_config(file: Path | None) -> LoadedConfig:
    """Read as much of the configuration as is valid, and list the problems of the rest."""
    layers, problems = _Layers(), []
    for origin, read in _list_layers(file, {}, os.environ):
        try:
            layers.add(origin, read())
        except ConfigError as error:
            problems.append(error.message)
    while True:
        try:
            config = Config(**layers.values)
        except InvalidRowError as error:
            problems += _describe_problems(error, layers.origins)
            for location, _ in error.problems:
                layers.remove(location)
        else:
            return LoadedConfig(config, layers.origins, tuple(problems))


def config_files(
    file: Path | None = None, env: Mapping[str, str] = os.environ
) -> tuple[Path, Path]:
    """Return the files; the second, ``veo.toml`` by default, overrides the first."""
    return config_folder(env) / "config.toml", file or _find_local_file()


def _find_local_file() -> Path:
    """Return ``veo.toml``: that of this folder, or of a folder above it in the same repository."""
    here = Path.cwd()
    folders = [here, *here.parents]
    roots = [number for number, folder in enumerate(folders) if (folder / ".git").exists()]
    # Outside a repository a file in a folder above is probably not meant for this one.
    inside = folders[: roots[0] + 1] if roots else [here]
    found = next((each for each in inside if (each / LOCAL_FILE).is_file()), here)
    return Path(os.path.relpath(found / LOCAL_FILE, here))


@dataclass(slots=True)
class _Layers:
    """The values of all sources, merged, and the origin of each value by its dotted name."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add(self, origin: str, values: Mapping[str, Any]) -> None:
        """Merge a layer over the layers below it, table by table."""
        self._merge(origin, values, self.values, "")

    def _merge(
        self, origin: str, values: Mapping[str, Any], into: dict[str, Any], prefix: str
    ) -> None:
        for key, value in values.items():
            name = f"{prefix}{key}"
            # `access_token = true` is an option of a provider, which says what its key is.
            is_secret = re.sub("[-_]", "", key).lower() in _SECRET_NAMES
            if is_secret and not isinstance(value, bool):
                raise ConfigError(
                    f"{origin}: {name}: a configuration file must not hold a key",
                    hint='Set api_key_env = "NAME" to the name of an environment variable instead.',
                )
            if not isinstance(value, dict):
                for inner in [inner for inner in self.origins if inner.startswith(f"{name}.")]:
                    del self.origins[inner]  # a value replaces a whole table
                into[key], self.origins[name] = value, origin
                continue
            if not isinstance(into.get(key), dict):
                self.origins.pop(name, None)  # a table replaces a value
                into[key] = {}
            self._merge(origin, value, into[key], f"{name}.")

    def remove(self, location: Iterable[str | int]) -> None:
        """Remove a value or table, and what holds it if a part of its name does not exist."""
        table, (*path, last) = self.values, map(str, location)
        for number, part in enumerate(path):
            if not isinstance(table.get(part), dict):
                path, last = path[:number], part
                break
            table = table[part]
        table.pop(last, None)
        name = ".".join((*path, last))
        for each in [each for each in self.origins if f"{each}.".startswith(f"{name}.")]:
            del self.origins[each]


def _list_layers(
    file: Path | None, flags: Mapping[str, Any], env: Mapping[str, str]
) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Return the origin of each layer, and a function that reads it; later ones override."""
    user_file, local_file = config_files(file, env)
    layers: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        (str(user_file), lambda: _read_toml(user_file, needed=False)),
        (str(local_file), lambda: _read_local(local_file, needed=local_file == file)),
    ]
    for variable, key in ENVIRONMENT_KEYS.items():
        if env.get(variable):  # an empty variable is how a shell unsets one for a command
            layers.append((variable, partial(dict, {key: env[variable]})))
    values = {key: value for key, value in flags.items() if value is not None}
    return [*layers, ("command line", lambda: values)]


def _read_local(path: Path, *, needed: bool) -> dict[str, Any]:
    values = _read_toml(path, needed=needed)
    # A file of a folder above means its own folder, whichever one the command is run in.
    folder = values.get("output_dir")
    if path.parts[:1] == ("..",) and isinstance(folder, str) and not find_bucket_path(folder):
        values["output_dir"] = str(path.parent / Path(folder).expanduser())
    return values


def _read_toml(path: Path, *, needed: bool) -> dict[str, Any]:
    try:
        text = decode_text(read_limited(path, MAX_FILE_BYTES))
    except FileNotFoundError:
        if needed:
            raise ConfigError(f"{path}: no such configuration file") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not valid TOML: it is not UTF-8 text") from None
    try:
        return parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {_explain_toml(error, text)}") from None


def _explain_toml(error: ValueError, text: str) -> str:
    """Return what is wrong with a file, by the most frequent mistake or the parser's words."""
    if not (position := re.search(r"at line (\d+)", str(error))):
        return str(error)
    number = int(position[1])
    unquoted = re.match(r"\s*([\w.-]+)\s*=\s*[A-Za-z/~.$]", text.split("\n")[number - 1])
    if unquoted:  # the value is not repeated: it may be a key
        return f'line {number}: a text needs quotation marks: {unquoted[1]} = "..."'
    return f"line {number}: {str(error)[:1].lower()}{str(error)[1:]}"


def _describe_problems(error: InvalidRowError, origins: Mapping[str, str]) -> list[str]:
    """Return a line for each problem, without the values, which may be keys."""
    lines = []
    for location, text in error.problems:
        name = ".".join(map(str, location))
        # A problem of a table has no origin of its own: take that of the first value in it.
        in_table = (origin for key, origin in origins.items() if key.startswith(f"{name}."))
        origin = origins.get(name) or next(in_table, "")
        lines.append(f"{origin}: {name}: {text}".removeprefix(": "))
    return lines


def merge_models(facts: ProviderFacts, config: ProviderConfig) -> dict[str, Model]:
    """Return a provider's models with the user's rows merged into them.

    A new row can begin as a copy of another: ``like = "<model>"``.
    """
    models = dict(facts.models)
    for name, override in config.models.items():
        setting = f"providers.{facts.name}.models.{name}"
        changes = {key: value for key, value in override.items() if key != "like"}
        base = models.get(str(override.get("like", name)))
        if base is None and "like" in override:
            similar = find_similar(str(override["like"]), list(models))
            hint = f"Did you mean {similar}?" if similar else None
            raise ConfigError(f"{setting}.like: {facts.name} has no such model", hint=hint)
        row = asdict(base) if base else {}
        _update_row(row, {**changes, "name": name, "provider": facts.name, "overridden": True})
        try:
            models[name] = Model(**row)
        except InvalidRowError as error:
            hint = None if base else 'A new row can begin as another one: like = "<model>".'
            text = "\n".join(_describe_problems(error, {}))
            raise ConfigError(f"{setting}: {text}", hint=hint) from None
        _check_price_keys(models[name], changes.get("price"), setting)
    return models


def _check_price_keys(model: Model, price: Any, setting: str) -> None:
    """Raise a ConfigError for a price that no request can have, such as that of ``720``."""
    usd = price.get("usd") if isinstance(price, dict) else None
    by_duration = model.price.by == "duration"
    for key in usd if isinstance(usd, dict) else ():
        # An edit is as long as its video, so that any length can have a price.
        if not (key.isdecimal() if by_duration else key in model.resolutions):
            known = "whole seconds" if by_duration else ", ".join(model.resolutions)
            text = f"{setting}.price.usd: {key!r} is not a {model.price.by} of the model"
            raise ConfigError(text, hint=f"Valid keys: {known}.")


def _update_row(row: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(row.get(key), dict):
            _update_row(row[key], value)
        else:
            row[key] = value


def find_key(
    facts: ProviderFacts, config: ProviderConfig, env: Mapping[str, str] = os.environ
) -> Key | None:
    """Return a provider's key from the environment; None if it has other credentials.

    Raises:
        KeyMissingError: No variable holds a key; says which are tried, and how to get a key.
        ConfigError: The content of the variable cannot be a key.
    """
    names = (config.api_key_env,) if config.api_key_env else facts.key_env
    for name in names:
        key = env.get(name, "").strip()
        # Printable ASCII only: anything else would break the header that carries the key.
        if key and not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ConfigError(
                f"{name} contains spaces or characters that an API key cannot have",
                hint="Copy the key again, without line breaks and quotation marks.",
            )
        if key:
            return Key(key)
    for name in names if env is os.environ else ():
        if stored := read_key(name):
            return Key(stored)
    if facts.key_optional and not config.api_key_env:
        return None
    raise KeyMissingError(
        f"{facts.name} needs an API key: {' or '.join(names)} is not set",
        hint=facts.key_help,
    )
