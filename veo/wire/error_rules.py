"""Error tables: rows that tell which exception a provider's error stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from veo.errors import ProtocolError, RefusedError
from veo.wire.values import parse_json_or_none

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from veo.errors import VeoError
    from veo.http.response import Response
    from veo.model import Model

    ErrorT = TypeVar("ErrorT", bound=VeoError)


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One row of an error table; the first row that matches decides."""

    error: type[VeoError]
    # Regular expression to find in the error's text, in any case; empty for any text.
    text: str = ""
    statuses: Collection[int] = ()  # of HTTP; empty for any
    # What the request was for, in the provider's terms; empty for anything.
    operations: Collection[str] = ()
    hint: str | None = None
    retry_after: float | None = None  # seconds, if the server does not tell

    def matches(self, text: str, status: int | None = None, operation: str = "") -> bool:
        """Return whether the row is about an error; without a status only its text can match."""
        if status is None:  # an error inside a stream or a task
            is_kind = bool(self.text)
        else:
            is_status = not self.statuses or status in self.statuses
            is_kind = is_status and (not self.operations or operation in self.operations)
        return is_kind and bool(re.search(self.text, text, re.IGNORECASE))


def find_rule(
    rules: Iterable[ErrorRule], text: str, status: int | None = None, operation: str = ""
) -> ErrorRule | None:
    return next((rule for rule in rules if rule.matches(text, status, operation)), None)


def front_error(response: Response, message: str, *, is_paid: bool) -> VeoError | None:
    """Return the error of a refusal that the API itself did not send; None for any other response.

    Firewalls, proxies and content networks refuse with a 403 in HTML or plain text, where every
    API sends JSON. It says nothing about the key. A paid request did not reach the API. Only a
    proxy sends 407, because it needs a user name and a password.
    """
    is_json = isinstance(parse_json_or_none(response.body), dict | list)
    if response.status != 407 and (response.status != 403 or is_json):
        return None
    text = f"something in front of the API refuses the request: {message}"
    hint = "A firewall, a proxy or a block by region: check base_url, the network and the proxy."
    # A block may be lifted, so that a free request is worth another try.
    return response_error(response, RefusedError if is_paid else ProtocolError, text, hint=hint)


def shutdown_hint(model: Model | None) -> str | None:
    """Return when an unavailable model was reported to end, and what to use instead, if known."""
    if model is None or model.shutdown is None:
        return None
    end = model.shutdown
    instead = f" Use instead: {' or '.join(end.replacements)}." if end.replacements else ""
    return f"{model.name} was reported to end on {end.on} ({end.source}).{instead}"


def response_error(response: Response, error: type[ErrorT], message: str, **facts: Any) -> ErrorT:
    """Return an error about a response; the message names its status and never holds the key."""
    return error(f"{response.key.redact(message)} (HTTP {response.status})", **facts)
