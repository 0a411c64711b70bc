"""The rules that the Interactions wire adds to the error table of Google's APIs."""

from __future__ import annotations

from veo.errors import (
    AuthError,
    GoneError,
    ModeratedError,
    NotReadyError,
    ProtocolError,
    TaskNotFoundError,
)
from veo.wire.error_rules import ErrorRule

# The engine makes ten attempts: at this distance they cover the two minutes for which a live report
# advises to repeat a request that continues a new interaction.
CHAIN_RETRY_S = 12
_UNKNOWN_PARENT = (
    "Google stores an interaction for 55 days (1 day without billing), and only the project that"
    " made it can continue it."
)
_EXPIRED_FILE = "Google keeps an uploaded file for 2 days, and only for the project of its key."

_BLOCKED = ErrorRule(ModeratedError, "content_blocked|sensitive words", (400,))

SUBMIT_RULES = (_BLOCKED,)
UPLOADED_RULES = (
    _BLOCKED,  # also the region lock of uploaded videos; the row has a note about it
    ErrorRule(GoneError, r"^(?!.*\bmodels?\b)", (404,), hint=_EXPIRED_FILE),
)
# A 404 never says which of model, file and interaction is not found, unless it names the model.
CHAIN_RULES = (
    _BLOCKED,
    ErrorRule(
        NotReadyError,
        r"^(?!.*\bmodels?\b)",
        (404,),
        hint=_UNKNOWN_PARENT,
        retry_after=CHAIN_RETRY_S,
    ),
)
# Polls of running interactions were refused with 400 and 403, and succeeded later (live reports of
# August and October 2026): such a refusal is no proof of a failure.
POLL_RULES = (
    ErrorRule(TaskNotFoundError, "invalid interaction name", (400,)),
    ErrorRule(ProtocolError, "multiple authentication credentials", (400,)),
    ErrorRule(
        AuthError,
        "api[ _-]?key|are blocked|billing|scopes?\\b|on resource|not been used",
        (400, 403),
    ),
    ErrorRule(ProtocolError, statuses=(400, 403)),
)
