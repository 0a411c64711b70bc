"""Connect providers by name, with their keys, addresses and limits."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from veo.config import Config, ProviderConfig, find_key, merge_models
from veo.engine.context import ProviderHandle
from veo.engine.rate_limit import RateLimiter
from veo.errors import ConfigError
from veo.ledger.limits import Limits
from veo.provider import Connection, ProviderClass, find_facts, find_provider, installed_facts
from veo.text.spelling import find_similar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from veo.key import Key
    from veo.model import Model, ProviderFacts

# A task has probably ended after the usual duration times this.
TASK_MEDIANS = 3.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address that replaces the live services of every provider: a sandbox."""

    url: str  # scheme, host and port; each provider keeps the path of its own base URL
    key: Key
    # Seconds that videos usually take there; None for the providers' own values.
    median_s: float | None = None
    # Settings of the providers there. Those of the configuration do not apply.
    options: Mapping[str, Any] = field(default_factory=dict)


class ProviderRegistry:
    """The configured providers, each connected when it is first used.

    ``on_capacity`` is called with a provider's name whenever one more job may fit. ``keys`` are
    used in place of those in the environment, by the provider's name.
    """

    def __init__(
        self,
        config: Config,
        endpoint: Endpoint | Callable[[], Endpoint] | None,
        on_capacity: Callable[[str], None],
        keys: Mapping[str, Key] = MappingProxyType({}),
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._on_capacity = on_capacity
        self._keys = keys
        self._handles: dict[str, ProviderHandle] = {}
        self._models: dict[str, dict[str, Model]] = {}
        self._lock = threading.RLock()

    def connect(self, name: str) -> ProviderHandle:
        if found := self._handles.get(name):  # without the lock, which every poll would take
            return found
        with self._lock:
            if name not in self._handles:
                self._handles[name] = self._connect(name)
            return self._handles[name]

    def models(self, provider: str) -> dict[str, Model]:
        with self._lock:
            if provider not in self._models:
                facts = find_facts(provider)
                self._models[provider] = merge_models(facts, self._config.for_provider(provider))
            return self._models[provider]

    def base_urls(self) -> list[str]:
        """Return the URLs of the APIs that the user has configured, or that of the sandbox."""
        with self._lock:  # a sandbox starts once
            endpoint = self._find_endpoint()
        if endpoint:
            return [endpoint.url]
        return [each.base_url for each in self._config.providers.values() if each.base_url]

    @cached_property
    def catalogue(self) -> list[Model]:
        return [model for name in installed_facts() for model in self.models(name).values()]

    def offers(self) -> Iterator[Model]:
        """Yield all models; no provider is imported before the first is requested."""
        yield from self.catalogue

    def _connect(self, name: str) -> ProviderHandle:
        # Whole, before any thread calls a provider: its libraries import each other in circles, so
        # that an import fails while another thread imports another one of them.
        import veo.http  # noqa: F401, PLC0415 - takes 90 ms, which facts about models do not need

        cls: ProviderClass = find_provider(name)
        facts, settings = cls.facts, self._config.for_provider(name)
        check_options(name, settings, facts)
        base_url = settings.base_url or facts.base_url
        endpoint = self._find_endpoint()
        key = endpoint.key if endpoint else self._keys.get(name) or find_key(facts, settings)
        url = urljoin(endpoint.url, urlsplit(base_url).path) if endpoint else base_url
        # An option may lead to credentials of another kind; a sandbox must not see any of them.
        options = endpoint.options if endpoint else settings.options
        provider = cls(Connection(url, key, self.models(name), options))
        configured = (endpoint and endpoint.median_s) or settings.median_s
        median = configured or facts.median_s
        limiter = RateLimiter(
            Limits(
                settings.max_in_flight or facts.max_in_flight,
                settings.submits_per_minute or facts.submits_per_minute,
                TASK_MEDIANS * median,
            ),
            on_capacity=lambda: self._on_capacity(name),
        )
        facts = facts.replace(median_s=median)
        return ProviderHandle(provider, facts, limiter, key, is_median_set=configured is not None)

    def _find_endpoint(self) -> Endpoint | None:
        return self._endpoint() if callable(self._endpoint) else self._endpoint


def check_options(name: str, settings: ProviderConfig, facts: ProviderFacts) -> None:
    """Raise a ConfigError for a setting that neither all providers nor this one has."""
    unknown = sorted(settings.options.keys() - facts.options.keys())
    if unknown:
        known = [*(each.name for each in fields(ProviderConfig)), *facts.options]
        similar = find_similar(unknown[0], known)
        question = f"; did you mean {similar}?" if similar else ""
        raise ConfigError(
            f"providers.{name}.{unknown[0]}: no such setting{question}",
            hint=f"Valid settings: {', '.join(known)}.",
        )
