"""The table of faults: name, description, kinds of request and parameters of each."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.responses import Response

REQUEST_KINDS = ("create", "stream", "poll", "content", "file", "upload", "cancel")

Proceed = Callable[[], Awaitable[Response]]
Act = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave.

    `act(exchange, proceed, **params)` wraps the exchange. It may respond itself, change the
    exchange before `proceed()`, or change the response that `proceed()` returns. `on` are the
    kinds of request that it affects when a rule names none.
    """

    name: str
    doc: str
    on: tuple[str, ...]
    params: Mapping[str, Any]
    act: Act

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Raise a ValueError if this fault does not take one of the parameters."""
        if unknown := sorted(params.keys() - self.params.keys()):
            known = ", ".join(sorted(self.params)) or "none"
            raise ValueError(f"fault {self.name} takes no {unknown[0]!r}; it takes: {known}")

    def to_json(self) -> dict[str, Any]:
        return {"fault": self.name, "doc": self.doc, "on": self.on, "params": dict(self.params)}


FAULTS: dict[str, Fault] = {}


def fault(*on: str) -> Callable[[Act], Act]:
    """Add a function to the table; docstring and defaults become description and parameters."""

    def add(act: Act) -> Act:
        register(act.__name__, (act.__doc__ or "").strip(), on, act)
        return act

    return add


def register(name: str, doc: str, on: tuple[str, ...], act: Act, **fixed: Any) -> None:
    """Add a row; `fixed` are parameters of `act` that it sets. An empty `on` means every kind."""
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(act).parameters.values()
        # The first two arguments are passed by the pipeline, not by a rule.
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in fixed
    }
    if name in FAULTS:
        raise ValueError(f"two faults are named {name}")
    FAULTS[name] = Fault(name, doc, on or REQUEST_KINDS, defaults, partial(act, **fixed))
