"""From a provider's name to a provider that can be used: its key, its address, its limits."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from veo.config import ProviderConfig, find_key, merge_models
from veo.engine.context import ProviderHandle
from veo.engine.rate_limit import RateLimiter
from veo.errors import ConfigError
from veo.provider import Connection, ProviderClass, find_provider, installed_providers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from veo.config import Config
    from veo.key import Key
    from veo.model import Facts, Model


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where every provider is sent to instead of the live services: a sandbox.

    Attributes:
        url: Scheme, host and port; each provider keeps the path of its own base URL.
        key: The key it takes.
        median_s: Seconds that its videos usually take, if it is not the providers' time.
        options: The providers' own settings there; those of the configuration do not count.
    """

    url: str
    key: Key
    median_s: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class ProviderRegistry:
    """The providers as configured, each connected to when it is first asked for.

    Args:
        config: What the user says about them.
        endpoint: A sandbox to talk to instead of the live services, or what starts one.
        opened: Called with a provider's name whenever it may have room for one more job.
    """

    def __init__(
        self,
        config: Config,
        endpoint: Endpoint | Callable[[], Endpoint] | None,
        opened: Callable[[str], None],
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._opened = opened
        self._routes: dict[str, ProviderHandle] = {}
        self._models: dict[str, dict[str, Model]] = {}
        self._lock = threading.RLock()

    def route(self, name: str) -> ProviderHandle:
        """A provider ready to be used, with its limits.

        Raises:
            KeyMissingError, ConfigError, UnknownProviderError: It cannot be.
        """
        if found := self._routes.get(name):  # without the lock: every poll comes by here
            return found
        with self._lock:
            if name not in self._routes:
                self._routes[name] = self._connect(name)
            return self._routes[name]

    def models(self, provider: str) -> dict[str, Model]:
        """A provider's models, the user's overrides applied.

        Raises:
            UnknownProviderError: No such provider is installed.
        """
        with self._lock:
            if provider not in self._models:
                facts = find_provider(provider).facts
                self._models[provider] = merge_models(facts, self._config.for_provider(provider))
            return self._models[provider]

    def providers(self) -> dict[str, Facts]:
        """The facts of every installed provider, by name."""
        return {name: cls.facts for name, cls in installed_providers().items()}

    @cached_property
    def catalogue(self) -> list[Model]:
        """All models of all providers."""
        return [model for name in self.providers() for model in self.models(name).values()]

    def offers(self) -> Iterator[Model]:
        """The same; nothing is imported before the first is asked for."""
        yield from self.catalogue

    def _connect(self, name: str) -> ProviderHandle:
        cls: ProviderClass = find_provider(name)
        facts, chosen = cls.facts, self._config.for_provider(name)
        _check_options(name, chosen, facts)
        base = chosen.base_url or facts.base_url
        endpoint = self._endpoint() if callable(self._endpoint) else self._endpoint
        key = endpoint.key if endpoint else find_key(facts, chosen)
        url = _moved(base, endpoint.url) if endpoint else base
        models = self.models(name)
        # An option may lead to credentials of another kind; a sandbox must see none of them.
        options = endpoint.options if endpoint else chosen.model_extra or {}
        provider = cls(Connection(url, key, models, options))
        gate = RateLimiter(
            chosen.max_in_flight or facts.max_in_flight,
            chosen.submits_per_minute or facts.submits_per_minute,
            on_capacity=lambda: self._opened(name),
        )
        median = (endpoint and endpoint.median_s) or chosen.median_s or facts.median_s
        return ProviderHandle(provider, facts.model_copy(update={"median_s": median}), gate)


def _check_options(name: str, chosen: ProviderConfig, facts: Facts) -> None:
    unknown = sorted(set(chosen.model_extra or {}) - set(facts.options))
    if unknown:
        known = ", ".join([*ProviderConfig.model_fields, *facts.options])
        raise ConfigError(
            f"providers.{name}.{unknown[0]}: no such setting",
            hint=f"Valid settings: {known}.",
        )


def _moved(base: str, origin: str) -> str:
    parts, other = urlsplit(base), urlsplit(origin)
    return urlunsplit((other.scheme, other.netloc, parts.path, "", ""))
