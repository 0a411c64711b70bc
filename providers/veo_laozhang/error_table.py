"""What the service says when it says no, and what that means: one table.

The text of an error decides before its HTTP status does, because statuses differ between the
vendor's pages, its users' logs and the public gateway software that the newer route resembles: a
missing balance is documented as 402 and 429 and is 403 in the gateway, an unknown model is 503.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
)
from veo_laozhang.error_body import parse_retry_after, read_error
from veo_laozhang.lenient_json import parse_json

if TYPE_CHECKING:
    from veo.errors import VeoError
    from veo.http.client import Response
    from veo.model import Model
    from veo_laozhang.error_body import ErrorBody

BUSY_S = 30.0  # what the vendor's pages advise after an overload
_TRANSIENT = re.compile(r"服务内部异常|task_failed|AUDIO_FILTERED", re.IGNORECASE)

_UNKNOWN = "It may have been accepted: look at the usage log at https://api.laozhang.ai."
_TOP_UP = "Top up, or look at the token's own quota and billing mode, at https://api.laozhang.ai."
_KEY = "Look at the token at https://api.laozhang.ai: its state, its group, who may use it."
_OTHER = "The group of the API token at https://api.laozhang.ai decides which models it may use."
_PICTURE = "Give a JPEG, PNG or WebP picture; models that take frames end in -fl."
_SMALLER = "Give smaller pictures; JPEG is far smaller than PNG."
_REWORD = "Change the prompt or the pictures: the same request will be refused again."
_BASE_URL = "Look at base_url: it ends in /v1, for example https://api.laozhang.ai/v1."


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One line of the table: it fits when its text is said and its status, if any, was sent."""

    kind: type[VeoError]
    text: str = ""
    statuses: tuple[int, ...] = ()
    hint: str | None = None

    def fits(self, said: ErrorBody, status: int | None) -> bool:
        """Whether the line is about this; an error inside an answer or a task has no status."""
        if self.text and not re.search(self.text, said.searchable_text, re.IGNORECASE):
            return False
        if status is None:
            return bool(self.text)
        return not self.statuses or status in self.statuses


# Words that are only believed where the status itself already says "no".
_REFUSING = (400, 401, 402, 403, 404, 413, 422, 429, 503)

ERROR_RULES = (
    ErrorRule(
        BalanceError,
        r"insufficient_(user_)?(balance|quota)|pre_consume_token_quota_failed|quota_exceeded",
        hint=_TOP_UP,
    ),
    ErrorRule(AuthError, r"invalid_api_key|authentication_error|无效的令牌|令牌已过期", hint=_KEY),
    ErrorRule(BusyError, r"get_channel_failed"),
    ErrorRule(
        ModelUnavailableError,
        r"model_not_found|无权(使用|访问)\S*模型|no longer available|无可用渠道"
        r"|no available channel|invalid_model|missing_model|model_(price_error|mapping_failed)",
    ),
    ErrorRule(TaskNotFoundError, r"task.not.(exist|found)"),
    ErrorRule(
        TooLargeError, r"image_too_large|(request entity|payload|content) too large", hint=_SMALLER
    ),
    ErrorRule(
        RefusedError,
        r"image_fetch_failed|invalid_image|model_not_support_image|至少上传一帧",
        hint=_PICTURE,
    ),
    ErrorRule(BusyError, r"heavy load|负载已饱和|rate_limit|too many requests|resource_exhausted"),
    ErrorRule(ConfigError, r"invalid url \(", hint=_BASE_URL),
    ErrorRule(
        ModeratedError,
        r"content.?(policy|filter)|moderat|safety|prohibited|(?<!case.)sensitive|violat|违规|敏感|审核"
        r"|(content|prompt).{0,20}blocked",
        _REFUSING,
        _REWORD,
    ),
    ErrorRule(BalanceError, r"余额|额度|(?<!load )\bbalance\b|\bquota\b", _REFUSING, _TOP_UP),
    ErrorRule(
        RefusedError,
        r"\binvalid_(request|prompt|parameter|argument|json|multipart_form|size|api_platform)\b"
        r"|parse_request_failed|build_request_failed|not_implemented",
    ),
    ErrorRule(AuthError, statuses=(401, 403), hint=_KEY),
    ErrorRule(BalanceError, statuses=(402,), hint=_TOP_UP),
    ErrorRule(TooLargeError, statuses=(413,), hint=_SMALLER),
    ErrorRule(BusyError, statuses=(429,)),
    ErrorRule(RefusedError, statuses=(404, 405), hint=_BASE_URL),
    ErrorRule(RefusedError, statuses=(400, 406, 415, 422, 501)),
)


def submit_error(answer: Response, model: Model | None = None) -> VeoError:
    """What an answer to the paid POST means that is no acceptance.

    Only what the table lists is known not to be charged; of everything else (500, 502, 504, an
    answer that nobody can read) ``charged`` is None.
    """
    said = read_error(answer)
    row = find_rule(said, answer.status)
    if row:
        return _rule_error(row, said, answer, model)
    kind = ProtocolError if answer.ok else ResponseLostError
    return kind(_describe_error(said, answer), request_id=said.request_id, hint=_UNKNOWN)


def get_error(answer: Response) -> VeoError:
    """What a GET that failed means; all that nobody has to mend first may be tried again."""
    said = read_error(answer)
    row = find_rule(said, answer.status)
    if row and issubclass(row.kind, SetupError | BusyError):
        return _rule_error(row, said, answer, None)
    if (row and row.kind is TaskNotFoundError) or _is_missing_task(answer):
        return TaskNotFoundError(_describe_error(said, answer), request_id=said.request_id)
    return ProtocolError(
        _describe_error(said, answer),
        request_id=said.request_id,
        retry_after=parse_retry_after(answer.headers),
    )


def _is_missing_task(answer: Response) -> bool:
    """A 404 of the API itself; one in prose or HTML comes from whatever stands before it."""
    return answer.status == 404 and (not answer.body or isinstance(parse_json(answer.body), dict))


def generation_error(said: ErrorBody, *, charged: bool | None = False) -> GenerationError:
    """Why something that had been accepted did not become a video."""
    row = find_rule(said, None)
    kind = ModeratedError if row and row.kind is ModeratedError else GenerationError
    passing = bool(_TRANSIENT.search(said.searchable_text)) or bool(row and row.kind is BusyError)
    return kind(
        said.message,
        hint=row.hint if row else None,
        retryable=passing and charged is False,
        charged=charged,
        request_id=said.request_id,
    )


def find_rule(said: ErrorBody, status: int | None) -> ErrorRule | None:
    """The first line of the table that fits."""
    return next((row for row in ERROR_RULES if row.fits(said, status)), None)


def _rule_error(row: ErrorRule, said: ErrorBody, answer: Response, model: Model | None) -> VeoError:
    wait = parse_retry_after(answer.headers)
    return row.kind(
        _describe_error(said, answer),
        hint=_replacement_hint(model) if row.kind is ModelUnavailableError else row.hint,
        retry_after=BUSY_S if wait is None and row.kind is BusyError else wait,
        request_id=said.request_id,
    )


def _describe_error(said: ErrorBody, answer: Response) -> str:
    return f"{said.message} (HTTP {answer.status})"


def _replacement_hint(model: Model | None) -> str:
    end = model.shutdown if model else None
    if not end:
        return _OTHER
    instead = f" Instead: {', '.join(end.replacements)}." if end.replacements else ""
    return f"Reported to have ended on {end.on} ({end.source}).{instead} {_OTHER}"
