"""The table of faults: what each is called, what it does, what it takes."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from veo_sandbox.exchange import Exchange

STEPS = ("create", "stream", "poll", "content", "file")

Proceed = Callable[[], Awaitable[Response]]
Act = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave.

    `act(exchange, proceed, **params)` stands around the exchange: it may answer itself, change the
    call before `proceed()`, or change what `proceed()` answered. `on` are the steps that it
    strikes when a rule names none.
    """

    name: str
    doc: str
    on: tuple[str, ...]
    params: Mapping[str, Any]
    act: Act

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters that this fault does not take.

        Raises:
            ValueError: it does not.
        """
        if unknown := sorted(params.keys() - self.params.keys()):
            known = ", ".join(sorted(self.params)) or "none"
            raise ValueError(f"fault {self.name} takes no {unknown[0]!r}; it takes: {known}")

    def to_json(self) -> dict[str, Any]:
        """The row that `GET /sandbox/faults/names` prints."""
        return {"fault": self.name, "doc": self.doc, "on": self.on, "params": dict(self.params)}


FAULTS: dict[str, Fault] = {}


def fault(*on: str, name: str = "") -> Callable[[Act], Act]:
    """Enter a function into the table; its docstring is the doc, its defaults the parameters."""

    def add(act: Act) -> Act:
        register(name or act.__name__, (act.__doc__ or "").strip(), on, act)
        return act

    return add


def register(name: str, doc: str, on: tuple[str, ...], act: Act, **fixed: Any) -> None:
    """Enter a row; `fixed` are parameters of `act` that this row sets. No `on` is every step."""
    params = {
        parameter.name: parameter.default
        for parameter in inspect.signature(act).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in fixed
    }

    async def bound(exchange: Exchange, proceed: Proceed, **given: Any) -> Response:
        return await act(exchange, proceed, **fixed, **given)

    FAULTS[name] = Fault(name, doc, on or STEPS, params, bound)
