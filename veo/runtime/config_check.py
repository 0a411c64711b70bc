"""Find settings that are valid by themselves and lead nowhere: names that nothing here has."""

from __future__ import annotations

import os
from collections.abc import Iterator

from veo.config import ENVIRONMENT_KEYS, Config, LoadedConfig, merge_models
from veo.errors import VeoError
from veo.provider import installed_facts
from veo.runtime.providers import check_options
from veo.text.spelling import find_similar

# Variables that are no settings: folders, the switch of the command line, the key of LaoZhang.
OTHER_VARIABLES = ("VEO_HOME", "VEO_CONFIG_HOME", "VEO_SANDBOX", "VEO_API_KEY")


def find_config_problems(loaded: LoadedConfig) -> Iterator[str]:
    """Yield a line for each provider, setting, model and variable that is not known."""
    config, origins = loaded.config, loaded.origins
    installed = installed_facts()
    names = list(installed)
    if config.provider not in names:
        problem = f"there is no provider {config.provider!r}{_suggest(config.provider, names)}"
        yield f"{origins.get('provider', 'default')}: provider: {problem}"
    for name, settings in config.providers.items():
        table = f"providers.{name}."
        origin = next((origin for key, origin in origins.items() if key.startswith(table)), "")
        prefix = f"{origin}: " if origin else ""
        if name not in names:
            yield f"{prefix}providers.{name}: there is no such provider{_suggest(name, names)}"
            continue
        try:
            check_options(name, settings, installed[name])
            models = merge_models(installed[name], settings)
        except VeoError as error:
            yield f"{prefix}{error.message}"
            continue
        if (model := settings.model) is not None and model not in models:
            question = _suggest(model, list(models))
            yield f"{prefix}providers.{name}.model: {name} has no model {model!r}{question}"
    yield from _find_unknown_variables(config)


def _find_unknown_variables(config: Config) -> Iterator[str]:
    facts = installed_facts().values()
    known = {*ENVIRONMENT_KEYS, *OTHER_VARIABLES}
    known |= {name for each in facts for name in each.key_env}
    known |= {each.api_key_env for each in config.providers.values() if each.api_key_env}
    for name in sorted(set(os.environ) - known):
        if name.startswith("VEO_") and (similar := find_similar(name, sorted(known))):
            yield f"the environment variable {name} has no effect; did you mean {similar}?"


def _suggest(name: str, names: list[str]) -> str:
    similar = find_similar(name, names)
    return f"; did you mean {similar}?" if similar else f" (installed: {', '.join(names)})"
