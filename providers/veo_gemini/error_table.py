"""The error table: which exception an error of Google's APIs stands for.

The HTTP status decides; a text counts only where the status alone is ambiguous, because texts
change. The texts are those that users of the APIs published up to November 2026, and those of
Google's documents.
"""

from __future__ import annotations

import re
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
    QuotaError,
    RefusedError,
    ResponseLostError,
    TaskNotFoundError,
    TooLargeError,
    VeoError,
)
from veo.wire.error_rules import (
    ErrorRule,
    find_rule,
    front_error,
    response_error,
    shutdown_hint,
)
from veo.wire.values import get_list, get_path, get_text, parse_json_or_none, parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veo.http.response import Response
    from veo.model import Model

Verb = Literal["submit", "poll", "open", "storage", "ping"]

_MODERATION = "usage guidelines|responsible ai|support codes|violate our policies"
_BILLING = "Check the project's billing at https://aistudio.google.com."
_KEY = "Check the key, and that its project may use the API and has billing."
_NO_FREE_TIER = f"These models have no free tier. {_BILLING}"
_OTHER_WIRE = 'Set wire = "interactions" in the row of the model.'
_REGION = "Google does not offer this in the country from which the request came."
_EXPIRED = "Google keeps a video for 2 days, and only the project that made it can fetch it."
_NOT_EXTENDABLE = (
    "If this persists: only a video that Veo made within the last 2 days can be extended."
)

# The order matters: the first rule that matches decides.
ERROR_RULES = (
    ErrorRule(BalanceError, statuses=(402,), hint=_BILLING),
    ErrorRule(BalanceError, "prepayment credits|spending cap", (403, 429), hint=_BILLING),
    # Google's text for a project without billing: its quota is 0, so waiting does not help.
    ErrorRule(BalanceError, r"free[ _]tier|limit: 0\b", (429,), hint=_NO_FREE_TIER),
    # This limit covers the last ten minutes, and its retryDelay was 45 s: no quota is used up.
    ErrorRule(BusyError, "spend-based rate limit", (429,), retry_after=60),
    ErrorRule(BusyError, statuses=(429,), retry_after=30),
    ErrorRule(BusyError, statuses=(503,)),
    ErrorRule(AuthError, statuses=(401,), hint=_KEY),
    ErrorRule(AuthError, "api key not valid|api key expired|api_key_invalid", (400,), hint=_KEY),
    ErrorRule(GoneError, "", (403, 404), ("open",), hint=_EXPIRED),
    ErrorRule(GoneError, "", (404,), ("storage",)),
    ErrorRule(AuthError, statuses=(403,), hint=_KEY),
    # For about 15 s after an operation is done its video cannot be extended yet.
    ErrorRule(
        NotReadyError,
        "has been processed",
        (400,),
        ("submit",),
        hint=_NOT_EXTENDABLE,
        retry_after=5,
    ),
    ErrorRule(TaskNotFoundError, "", (404,), ("poll",)),
    ErrorRule(ModelUnavailableError, "", (404,), ("submit", "ping")),
    ErrorRule(
        ModelUnavailableError,
        "no longer available|is not found for api version",
        (400, 410),
        ("submit", "ping"),
    ),
    ErrorRule(TooLargeError, statuses=(413,)),
    ErrorRule(TooLargeError, "request payload size exceeds", (400,)),
    ErrorRule(ModeratedError, _MODERATION, (400,), ("submit",)),
    ErrorRule(RefusedError, "only supports interactions", (400,), ("submit",), hint=_OTHER_WIRE),
    ErrorRule(RefusedError, "location is not supported", (400,), ("submit",), hint=_REGION),
    # The server gave up waiting for another one, which may have accepted the request.
    ErrorRule(ResponseLostError, statuses=(408, 499)),
    # Of a POST: ``veo.http`` follows the redirects of a GET, and refuses those of a paid request.
    ErrorRule(ProtocolError, statuses=range(300, 400), hint="Set base_url to that location."),
    ErrorRule(RefusedError, "", range(400, 500), ("submit",)),
    ErrorRule(ResponseLostError, statuses=range(500, 600)),
)
_UNKNOWN = ErrorRule(ProtocolError)
MAX_MESSAGE_CHARS = 1000  # longer than any text that was published
_DAILY_QUOTA = ErrorRule(
    QuotaError,
    hint="Google's daily quotas begin anew at midnight Pacific time; see https://ai.dev/rate-limit.",
)
# "Please retry in 23.397s.", where an error has no details.
_RETRY_IN = re.compile(r"retry in (\d{1,6}(?:\.\d+)?)s", re.IGNORECASE)


def google_error(
    response: Response, verb: Verb, model: Model | None = None, first: Sequence[ErrorRule] = ()
) -> VeoError:
    """Return the error that a response with a status other than 200 stands for.

    Args:
        response: The response.
        verb: What the request was for. Only the refusal of a submit tells whether money was
            charged.
        model: The requested model; its replacements are named if it is unavailable.
        first: Rules of a wire format, which come before those of the table.
    """
    body = _read_error(response)
    message = _read_message(response, body)
    # A storage host has another reason for a 403: the signature of a link has expired.
    is_file = verb in {"open", "storage"}
    if not is_file and (front := front_error(response, message, is_paid=verb == "submit")):
        return front
    code = body.get("code")
    # Interactions have a word as the code of an error, which may tell more than its text.
    text = f"{message} {code}" if isinstance(code, str) else message
    rule = find_rule([*first, *ERROR_RULES], text, response.status, verb) or _UNKNOWN
    if rule.error is BusyError and _is_daily_quota(body):
        rule = _DAILY_QUOTA
    is_unavailable = issubclass(rule.error, ModelUnavailableError)
    return response_error(
        response,
        rule.error,
        message,
        hint=shutdown_hint(model) if model and is_unavailable else rule.hint,
        charged=rule.error.charged if verb == "submit" else None,
        retry_after=_read_delay(response, body, message) or rule.retry_after,
    )


def is_moderation(text: str) -> bool:
    """Return whether a message is about a safety filter."""
    return ErrorRule(ModeratedError, _MODERATION).matches(text)


def _read_error(response: Response) -> dict[str, Any]:
    """Return the ``error`` object of ``{"error": {...}}``, or of a list of one; else empty."""
    body = parse_json_or_none(response.body)
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    error = get_path(body, "error")
    return error if isinstance(error, dict) else {}


def _read_message(response: Response, error: dict[str, Any]) -> str:
    if message := get_text(error.get("message")):
        return message[:MAX_MESSAGE_CHARS]
    location = response.headers.get("Location")
    if location and 300 <= response.status < 400:
        return f"a redirect to {location}"
    return " ".join(response.text[:300].split()) or "an empty response"


def _is_daily_quota(error: dict[str, Any]) -> bool:
    """Return whether a ``google.rpc.QuotaFailure`` names a quota per day: no retry helps today."""
    # The names of quotas, such as "...RequestsPerDayPerProject", occur nowhere else.
    failures = [each for each in get_list(error, "details") if "QuotaFailure" in str(each)]
    return "PerDay" in str(failures)


def _read_delay(response: Response, error: dict[str, Any], message: str) -> float | None:
    """Return the seconds to wait, of ``google.rpc.RetryInfo``, ``Retry-After`` or the message."""
    for detail in get_list(error, "details"):
        if "RetryInfo" in str(get_path(detail, "@type")):
            return parse_retry_after(str(detail.get("retryDelay")).removesuffix("s"))
    header = parse_retry_after(response.headers.get("Retry-After", ""))
    named = _RETRY_IN.search(message) if header is None else None
    return parse_retry_after(named[1]) if named else header
