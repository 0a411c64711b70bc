"""The error table: which exception an error of the service stands for.

The text of an error is matched before its HTTP status, because the statuses differ between the
vendor's pages, its users' logs and the public source of the gateway that the newer route
resembles: a missing balance is documented as 402 and 429 and is 403 in the gateway, an unknown
model is 404 in the documents and 503 in the gateway.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from veo.errors import (
    AuthError,
    BalanceError,
    BusyError,
    ConfigError,
    GenerationError,
    ModelUnavailableError,
    ModeratedError,
    ProtocolError,
    RefusedError,
    ResponseLostError,
    SetupError,
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
from veo.wire.values import get_path, get_text, parse_json_or_none, parse_retry_after
from veo_laozhang.error_body import ErrorBody, read_error

if TYPE_CHECKING:
    from veo.http.response import Response
    from veo.key import Key
    from veo.model import Model

BUSY_S = 30.0  # the wait that the vendor's pages advise after an overload
_STATUS = re.compile(r"[45]\d\d", re.ASCII)
# Failures of a task that users saw succeed on a second attempt.
_TRANSIENT_FAILURE = re.compile(r"服务内部异常|task_failed|AUDIO_FILTERED", re.IGNORECASE)

_UNKNOWN = "It may have been accepted: check the usage log at https://api.laozhang.ai."
_TOP_UP = "Top up, or check the token's own quota and billing mode, at https://api.laozhang.ai."
_KEY = "Check the token at https://api.laozhang.ai: its state, its group, and who may use it."
_MODELS = "The group of the API token at https://api.laozhang.ai decides which models it may use."
_IMAGE = "Use a JPEG, PNG or WebP image; models that take frames end in -fl."
_SMALLER = "Use smaller images; a JPEG is far smaller than a PNG."
_REWORD = "Change the prompt or the images: the same request will be refused again."
_BASE_URL = "Check base_url: it ends in /v1, for example https://api.laozhang.ai/v1."

# Some words, such as "balance", count only with a status that refuses a request: in the page of
# a proxy or in the text of a stream they may mean anything.
_REFUSALS = (400, 401, 402, 403, 404, 413, 422, 429, 503)

ERROR_RULES = (
    ErrorRule(
        BalanceError,
        r"insufficient_(user_)?(balance|quota)|pre_consume_token_quota_failed|quota_exceeded",
        hint=_TOP_UP,
    ),
    ErrorRule(AuthError, r"invalid_api_key|authentication_error|无效的令牌|令牌已过期", hint=_KEY),
    ErrorRule(BusyError, r"get_channel_failed", retry_after=BUSY_S),
    ErrorRule(
        ModelUnavailableError,
        r"model_not_found|无权(使用|访问)\S*模型|no longer available|无可用渠道"
        r"|no available channel|invalid_model|missing_model|model_(price_error|mapping_failed)",
        hint=_MODELS,
    ),
    ErrorRule(TaskNotFoundError, r"task.not.(exist|found)"),
    ErrorRule(
        TooLargeError, r"image_too_large|(request entity|payload|content) too large", hint=_SMALLER
    ),
    ErrorRule(
        RefusedError,
        r"image_fetch_failed|invalid_image|model_not_support_image|至少上传一帧",
        hint=_IMAGE,
    ),
    ErrorRule(
        BusyError,
        r"heavy load|负载已饱和|rate_limit|too many requests|resource_exhausted",
        retry_after=BUSY_S,
    ),
    ErrorRule(ConfigError, r"invalid url \(", hint=_BASE_URL),
    ErrorRule(
        ModeratedError,
        r"content.?(policy|filter)|moderat|safety|prohibited|(?<!case.)sensitive|violat|违规|敏感|审核"
        r"|(content|prompt).{0,20}blocked|task is blocked|\bnsfw\b",
        _REFUSALS,
        hint=_REWORD,
    ),
    ErrorRule(BalanceError, r"余额|额度|(?<!load )\bbalance\b|\bquota\b", _REFUSALS, hint=_TOP_UP),
    ErrorRule(
        RefusedError,
        r"\binvalid_(request|prompt|parameter|argument|json|multipart_form|size|api_platform)\b"
        r"|parse_request_failed|build_request_failed|not_implemented",
    ),
    ErrorRule(AuthError, statuses=(401, 403), hint=_KEY),
    ErrorRule(BalanceError, statuses=(402,), hint=_TOP_UP),
    ErrorRule(TooLargeError, statuses=(413,), hint=_SMALLER),
    ErrorRule(BusyError, statuses=(429,), retry_after=BUSY_S),
    ErrorRule(RefusedError, statuses=(404, 405), hint=_BASE_URL),
    ErrorRule(RefusedError, statuses=(400, 406, 415, 422, 501)),
)


def submit_error(response: Response, model: Model | None = None) -> VeoError:
    """Return the error of a paid POST that was not accepted.

    Only an error of the table is known not to be charged. For all others (500, 502, 504, an
    unreadable response) ``charged`` is None.
    """
    if response.ok and (refusal := find_refusal(response, model)):
        return refusal
    body = read_error(response)
    if front := front_error(response, body.message, is_paid=True):
        return front
    rule = find_rule(ERROR_RULES, body.searchable_text, response.status)
    if rule:
        return _rule_error(rule, body, response, model)
    error = ProtocolError if response.ok else ResponseLostError
    return response_error(response, error, body.message, request_id=body.request_id, hint=_UNKNOWN)


def find_refusal(response: Response, model: Model | None = None) -> VeoError | None:
    """Return the error of a response with HTTP 200 that clearly says no; None if it does not.

    That is a web page, which something in front of the API or the console has sent, and an object
    whose ``code`` is the status of a refusal, or whose ``success`` is false.
    """
    body = read_error(response)
    if body.is_web_page:
        return response_error(
            response, ConfigError, body.message, hint=_BASE_URL, request_id=body.request_id
        )
    status = _read_refusal(parse_json_or_none(response.body))
    rule = status and find_rule(ERROR_RULES, body.searchable_text, status)
    return _rule_error(rule, body, response, model) if rule else None


def _read_refusal(body: Any) -> int | None:
    """Return the status of a refusal (4xx) that an object states for itself, if it does."""
    paths = (("code",), ("status_code",), ("error", "code"), ("error", "status"))
    for value in (get_path(body, *path) for path in paths):
        text = str(value) if type(value) is int else get_text(value)
        if _STATUS.fullmatch(text):
            return int(text) if text[0] == "4" else None
    return 400 if get_path(body, "success") is False else None


def get_error(response: Response) -> VeoError:
    """Return the error of a GET that failed.

    It can be retried, except where the user must first change the key, the balance or the
    configuration.
    """
    body = read_error(response)
    if front := front_error(response, body.message, is_paid=False):
        return front
    status = (response.ok and _read_refusal(parse_json_or_none(response.body))) or response.status
    rule = find_rule(ERROR_RULES, body.searchable_text, status)
    if rule and issubclass(rule.error, SetupError | BusyError):
        return _rule_error(rule, body, response)
    # The API itself sends a 404 as JSON; a 404 in text or HTML is that of a proxy.
    is_json = not response.body or isinstance(parse_json_or_none(response.body), dict)
    if (rule and rule.error is TaskNotFoundError) or (status == 404 and is_json):
        return response_error(response, TaskNotFoundError, body.message, request_id=body.request_id)
    return response_error(
        response,
        ProtocolError,
        body.message,
        request_id=body.request_id,
        retry_after=parse_retry_after(response.headers.get("Retry-After", "")),
    )


def generation_error(body: ErrorBody, key: Key, *, charged: bool | None = False) -> GenerationError:
    """Return the error of a request that was accepted, but produced no video."""
    rule = find_rule(ERROR_RULES, body.searchable_text)
    error = ModeratedError if rule and rule.error is ModeratedError else GenerationError
    is_transient = bool(rule and rule.error is BusyError)
    is_transient |= bool(_TRANSIENT_FAILURE.search(body.searchable_text))
    return error(
        key.redact(body.message),
        hint=rule.hint if rule else None,
        # A retry that costs a second time is the user's decision.
        retryable=is_transient and charged is False,
        charged=charged,
        request_id=body.request_id,
    )


def _rule_error(
    rule: ErrorRule, body: ErrorBody, response: Response, model: Model | None = None
) -> VeoError:
    wait = parse_retry_after(response.headers.get("Retry-After", ""))
    end = shutdown_hint(model) if rule.error is ModelUnavailableError else None
    return response_error(
        response,
        rule.error,
        body.message,
        hint=f"{end} {rule.hint}" if end else rule.hint,
        retry_after=rule.retry_after if wait is None else wait,
        request_id=body.request_id,
    )
