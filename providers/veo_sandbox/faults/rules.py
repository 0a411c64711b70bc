"""Fault rules: which requests a fault affects."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from veo_sandbox.exchange import Exchange
from veo_sandbox.faults.registry import FAULTS, REQUEST_KINDS, Fault
from veo_sandbox.state.store import Store

_MATCHERS = ("on", "first", "after", "every", "times", "rate", "match", "when")


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault and the requests that it affects.

    Requests about a task are counted for each task, all others together.

    Attributes:
        on: The kinds it affects: create, stream (also a create), poll, cancel, content, file,
            upload.
        first: Affects only this many matching requests.
        after: Skips this many matching requests before it begins to count.
        every: Affects every n-th.
        times: Affects at most this many in all.
        rate: Affects this share, drawn with the seed.
        match: Matches only requests whose prompt contains this text.
        when: Matches only tasks in this state: queued, running, completed, failed.
    """

    id: int
    fault: str
    on: tuple[str, ...]
    first: int | None = None
    after: int = 0
    every: int | None = None
    times: int | None = None
    rate: float | None = None
    match: str = ""
    when: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: Mapping[str, Any], rule_id: int = 0) -> "FaultRule":
        """Parse a rule in the form that the control endpoint takes, or raise a ValueError."""
        fault = _find_fault(body.get("fault"))
        matchers = {name: body[name] for name in _MATCHERS if name in body}
        matchers["on"] = _parse_kinds(matchers.get("on"), fault)
        params = {k: v for k, v in body.items() if k not in matchers and k not in {"fault", "id"}}
        _check_counts(matchers)
        fault.check_params(params)
        return cls(rule_id, fault.name, **matchers, params=params)

    def applies_to(self, exchange: Exchange) -> bool:
        return (
            not exchange.kinds.isdisjoint(self.on)
            and (not self.match or self.match in exchange.prompt_text)
            and (not self.when or (exchange.state and exchange.state.name) == self.when)
        )

    def affects(self, number: int, random: Random) -> bool:
        """Return whether the fault affects the `number`-th matching request, counted from 1."""
        # `first` and `every` count from behind the skipped requests.
        position = number - self.after
        return (
            position >= 1
            and (self.first is None or position <= self.first)
            and (self.every is None or position % self.every == 0)
            and (self.rate is None or random.random() < self.rate)
        )


class FaultRules:
    """The rules of this home, in the order in which they were added."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules: list[FaultRule] = []
        self._seen = -1
        self.refresh()

    def refresh(self) -> None:
        """Read the rules again if another process of this home has written."""
        version = self._store.data_version()
        if version != self._seen:
            # Own writes do not change the version; they reload the rules themselves.
            self._seen = version
            self.reload()

    def reload(self) -> None:
        rows = self._store.fetch_rows("SELECT id, body FROM rules ORDER BY id")
        self._rules = [FaultRule.parse(json.loads(body), number) for number, body in rows]

    def add_rules(self, bodies: list[Mapping[str, Any]]) -> None:
        """Add rules behind the existing ones; if one is wrong (ValueError), none is added."""
        for body in bodies:
            FaultRule.parse(body)
        with self._store.transaction():
            for body in bodies:
                self._store.execute("INSERT INTO rules (body) VALUES (?)", json.dumps(body))
        self.reload()

    def clear_rules(self) -> None:
        with self._store.transaction():
            self._store.execute("DELETE FROM rules")
            self._store.execute("DELETE FROM counts")
        self.reload()

    def list_rules(self) -> list[dict[str, Any]]:
        """Return the rules as they were added, each with its id and how often it was used."""
        counts = dict(self._store.fetch_rows("SELECT rule, n FROM counts WHERE key = '*'"))
        rows = self._store.fetch_rows("SELECT id, body FROM rules ORDER BY id")
        return [json.loads(body) | {"id": n, "struck": counts.get(n, 0)} for n, body in rows]

    def select_rules(self, exchange: Exchange) -> list[FaultRule]:
        """Return the rules that affect this request; each call counts the request."""
        return [
            rule
            for rule in self._rules
            if rule.applies_to(exchange) and self._affects(rule, exchange)
        ]

    def _affects(self, rule: FaultRule, exchange: Exchange) -> bool:
        number = self._increment_count(rule, f"task:{exchange.task_id}")
        # A draw per task and number, so that it does not depend on the order of requests.
        random = Random(f"{exchange.core.settings.seed}:{rule.id}:{exchange.task_id}:{number}")  # noqa: S311 - repeatable
        if not rule.affects(number, random):
            return False
        if rule.times is not None:
            sql = "SELECT n FROM counts WHERE rule = ? AND key = '*'"
            rows = self._store.fetch_rows(sql, rule.id)
            if rows and rows[0][0] >= rule.times:
                return False
        self._increment_count(rule, "*")
        return True

    def _increment_count(self, rule: FaultRule, key: str) -> int:
        sql = (
            "INSERT INTO counts VALUES (?, ?, 1) "
            # One statement, so that several processes count without losing any.
            "ON CONFLICT (rule, key) DO UPDATE SET n = n + 1 RETURNING n"
        )
        return int(self._store.fetch_rows(sql, rule.id, key)[0][0])


def _find_fault(name: object) -> Fault:
    if not isinstance(name, str) or name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(FAULTS))}")
    return FAULTS[name]


def _parse_kinds(on: object, fault: Fault) -> tuple[str, ...]:
    if on is None:
        return fault.on
    if on == "any":
        return REQUEST_KINDS
    kinds = (on,) if isinstance(on, str) else tuple(on) if isinstance(on, list) else ()
    if not kinds or not set(kinds) <= set(REQUEST_KINDS):
        raise ValueError(f"on {on!r}: must be any, or of {', '.join(REQUEST_KINDS)}")
    return kinds


def _check_counts(matchers: Mapping[str, Any]) -> None:
    for name in ("first", "after", "every", "times"):
        value = matchers.get(name)
        if value is not None and (not isinstance(value, int) or value < (name == "every")):
            raise ValueError(f"{name} {value!r}: must be a whole number")
    rate = matchers.get("rate")
    if rate is not None and not (isinstance(rate, int | float) and 0 <= rate <= 1):
        raise ValueError(f"rate {rate!r}: must be from 0 to 1")
