"""Error tables: rows that tell which exception a provider's error stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from veo.errors import VeoError
    from veo.http.response import Response

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
        if self.text and not re.search(self.text, text, re.IGNORECASE):
            return False
        if status is None:  # an error inside a stream or a task
            return bool(self.text)
        is_status = not self.statuses or status in self.statuses
        return is_status and (not self.operations or operation in self.operations)


def find_rule(
    rules: Iterable[ErrorRule], text: str, status: int | None = None, operation: str = ""
) -> ErrorRule | None:
    return next((rule for rule in rules if rule.matches(text, status, operation)), None)


def response_error(response: Response, error: type[ErrorT], message: str, **facts: Any) -> ErrorT:
    """Return an error about a response; the message names its status and never holds the key."""
    return error(f"{response.key.redact(message)} (HTTP {response.status})", **facts)
