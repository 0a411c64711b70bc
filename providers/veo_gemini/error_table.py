"""What Google's refusals mean: one table, read from top to bottom.

The status is a fact, the text is a guess: texts decide only where a status says too little. They
are those that users of the APIs published up to November 2026, and those of Google's documents.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from veo.errors import (
    AuthError,
    BalanceError,
    BusyError,
    GoneError,
    ModelUnavailableError,
    ModeratedError,
    NotReadyError,
    ProtocolError,
    RefusedError,
    ResponseLostError,
    TaskNotFoundError,
    TooLargeError,
    VeoError,
)

if TYPE_CHECKING:
    from collections.abc import Container

    from veo.http.client import Response
    from veo.model import Model

Verb = Literal["submit", "poll", "open", "storage", "ping"]

_FILTER_TEXTS = ("usage guidelines", "responsible ai", "support codes", "violate our policies")
_BILLING = "Look at the project's billing at https://aistudio.google.com."
_KEY = "Check the key, and that its project may use the API and is billed."
_KEPT = "Google keeps a video for 2 days, and gives it only to the project that made it."
_FOREIGN = "If it stays so: only a video of the last 2 days that Veo itself made can be extended."


@dataclass(frozen=True, slots=True)
class Case:
    """A refusal that is understood; the first case that fits an answer decides.

    Attributes:
        statuses: HTTP statuses.
        error: What is raised.
        texts: One of them must be in the message, in lower case; none: any message.
        verbs: What was being done; none: anything.
        hint: What to do next.
        retry_after: Seconds to wait where the server does not say.
    """

    statuses: Container[int]
    error: type[VeoError]
    texts: tuple[str, ...] = ()
    verbs: tuple[Verb, ...] = ()
    hint: str | None = None
    retry_after: float | None = None

    def fits(self, status: int, verb: Verb, text: str) -> bool:
        """Whether an answer is of this kind; the text in lower case."""
        return (
            status in self.statuses
            and (not self.verbs or verb in self.verbs)
            and (not self.texts or any(part in text for part in self.texts))
        )


CASES = (
    Case({402}, BalanceError, hint=_BILLING),
    Case({403, 429}, BalanceError, ("prepayment credits", "spending cap"), hint=_BILLING),
    # Over the last ten minutes, as its retryDelay of 45 s tells: slow down, nothing is used up.
    Case({429}, BusyError, ("spend-based rate limit",), retry_after=60),
    Case({429}, BusyError, retry_after=30),
    Case({503}, BusyError),
    Case({401}, AuthError, hint=_KEY),
    Case({400}, AuthError, ("api key not valid", "api key expired", "api_key_invalid"), hint=_KEY),
    Case({403, 404}, GoneError, verbs=("open",), hint=_KEPT),
    Case({404}, GoneError, verbs=("storage",)),
    Case({403}, AuthError, hint=_KEY),
    # For some 15 seconds after an operation is done its video cannot be extended yet.
    Case({400}, NotReadyError, ("has been processed",), ("submit",), _FOREIGN, retry_after=5),
    Case({404}, TaskNotFoundError, verbs=("poll",)),
    Case({404}, ModelUnavailableError, verbs=("submit", "ping")),
    Case(
        {400, 410},
        ModelUnavailableError,
        ("no longer available", "is not found for api version"),
        ("submit", "ping"),
    ),
    Case({413}, TooLargeError),
    Case({400}, TooLargeError, ("request payload size exceeds",)),
    Case({400}, ModeratedError, _FILTER_TEXTS, ("submit",)),
    # The server gave up waiting for something: nobody can tell what became of the request.
    Case({408, 499}, ResponseLostError),
    Case(range(300, 400), RefusedError, verbs=("submit",), hint="Set base_url to that place."),
    Case(range(400, 500), RefusedError, verbs=("submit",)),
    Case(range(500, 600), ResponseLostError),
)
_UNKNOWN = Case(range(1000), ProtocolError)


def error_of(answer: Response, verb: Verb, model: Model | None = None) -> VeoError:
    """The error that an answer other than 200 stands for.

    Args:
        answer: All of it.
        verb: What was being done. Only the refusal of a submit tells something about money.
        model: The model asked for, whose replacements are named should it be gone.
    """
    said = _error(answer)
    text = _text(answer, said)
    case = next(case for case in (*CASES, _UNKNOWN) if case.fits(answer.status, verb, text.lower()))
    hint = case.hint
    if model and issubclass(case.error, ModelUnavailableError):
        hint = _instead(model)
    return case.error(
        f"{text} (HTTP {answer.status})",
        hint=hint,
        charged=case.error.charged if verb == "submit" else None,
        retry_after=_wait(answer, said) or case.retry_after,
    )


def is_moderation(text: str) -> bool:
    """Whether a message speaks of a safety filter."""
    return any(part in text.lower() for part in _FILTER_TEXTS)


def _instead(model: Model) -> str | None:
    if model.shutdown is None:
        return None
    others = " or ".join(model.shutdown.replacements)
    instead = f" Instead: {others}." if others else ""
    return f"{model.name} is reported to end on {model.shutdown.on}.{instead}"


def _error(answer: Response) -> dict[str, Any]:
    """The ``error`` object of ``{"error": {...}}`` or of a list of one; else empty."""
    try:
        body = json.loads(answer.text)
    except (ValueError, RecursionError):
        return {}
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _text(answer: Response, error: dict[str, Any]) -> str:
    message = error.get("message")
    if isinstance(message, str) and message.strip():
        return message.strip()
    place = answer.headers.get("Location")
    if place and 300 <= answer.status < 400:
        return f"a redirect to {place}"
    return " ".join(answer.text[:300].split()) or "an empty answer"


def _wait(answer: Response, error: dict[str, Any]) -> float | None:
    """Seconds to wait: from ``google.rpc.RetryInfo``, else from ``Retry-After``."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and "RetryInfo" in str(detail.get("@type")):
            return _seconds(str(detail.get("retryDelay")).removesuffix("s"))
    return _seconds(answer.headers.get("Retry-After", ""))


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < 86_400 else None
