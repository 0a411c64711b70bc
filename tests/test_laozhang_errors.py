"""The error table: which error a response stands for, whether it was charged, whether to retry."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laozhang import KEY, make_response

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
    TaskNotFoundError,
    TooLargeError,
    VeoError,
)
from veo.http import Response
from veo.wire.values import parse_retry_after
from veo_laozhang import LaoZhangAsync
from veo_laozhang.error_body import ErrorBody, parse_error, read_error
from veo_laozhang.error_table import generation_error, get_error, submit_error

PAGE = b"<!DOCTYPE html><html><head><title>413 Request Entity Too Large</title></head></html>"


def api_error(message: str, code: Any = "", kind: str = "new_api_error") -> dict[str, Any]:
    """Return an error in the format of the documents and of the gateway's own routes."""
    return {"error": {"message": message, "type": kind, "code": code, "param": None}}


def task_error(code: str, message: str = "") -> dict[str, Any]:
    """Return an error in the format of the gateway's task routes."""
    return {"code": code, "message": message or code, "data": None}


REFUSED = [
    # Balance: documented as 402 and as 429; 403 in the gateway and at a sister reseller.
    (
        402,
        api_error("Insufficient balance", "insufficient_balance", "insufficient_quota"),
        BalanceError,
    ),
    (429, api_error("You exceeded your quota", "insufficient_quota"), BalanceError),
    (403, api_error("用户剩余额度不足"), BalanceError),
    (403, task_error("insufficient_user_quota", "预扣费额度失败"), BalanceError),
    (403, task_error("pre_consume_token_quota_failed"), BalanceError),
    (400, {"success": False, "error_code": "INSUFFICIENT_BALANCE", "message": "x"}, BalanceError),
    (200, {"success": False, "error_code": "QUOTA_EXCEEDED", "message": "x"}, BalanceError),
    (402, b"", BalanceError),
    # Keys.
    (
        401,
        api_error("Incorrect API key", "invalid_api_key", "authentication_error"),
        AuthError,
    ),
    (401, api_error("无效的令牌 (request id: 2026)"), AuthError),
    (403, api_error("无效的令牌"), AuthError),
    (403, api_error("user is banned"), AuthError),
    (401, b"", AuthError),
    # Models: 503 in the gateway, 404 in the documents; the 403 was observed for a wrong name.
    (
        503,
        api_error("No available channel for model x", "model_not_found"),
        ModelUnavailableError,
    ),
    (503, api_error("当前分组 default 下对于模型 x 无可用渠道"), ModelUnavailableError),
    (404, api_error("The model does not exist", "model_not_found"), ModelUnavailableError),
    (
        403,
        api_error("该令牌无权使用模型\uff1aveo-3.1-fl-fast (request id: 1)"),
        ModelUnavailableError,
    ),
    (
        404,
        task_error(
            "fail_to_fetch_task", '{"error":{"message":"models/veo is no longer available"}}'
        ),
        ModelUnavailableError,
    ),
    (400, {"success": False, "error_code": "INVALID_MODEL", "message": "x"}, ModelUnavailableError),
    # Sizes.
    (413, PAGE, TooLargeError),
    (413, task_error("read_request_body_failed"), TooLargeError),
    (400, api_error("too large", "image_too_large"), TooLargeError),
    # Images and requests.
    (400, api_error("cannot fetch", "image_fetch_failed"), RefusedError),
    (400, api_error("no", "invalid_image_format"), RefusedError),
    (400, api_error("no", "model_not_support_image"), RefusedError),
    (200, task_error("invalid_request", "prompt is required"), RefusedError),
    (500, task_error("build_request_failed"), RefusedError),
    (
        400,
        api_error(
            "parse_request_failed: cannot unmarshal number into Go struct field of type string"
        ),
        RefusedError,
    ),
    (400, b"bad request", RefusedError),
    (
        422,
        {"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]},
        RefusedError,
    ),
    (501, task_error("not_implemented"), RefusedError),
    (404, PAGE, RefusedError),
    (404, api_error("Invalid URL (POST /videos)", "", "invalid_request_error"), ConfigError),
    # Moderation at create.
    (400, api_error("Your prompt violates our content policy"), ModeratedError),
    (400, api_error("blocked", "content_policy_violation"), ModeratedError),
    (403, api_error("输入包含敏感内容"), ModeratedError),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSED, ids=lambda value: repr(value)[:50])
def test_listed_refusal_is_not_charged(status: int, body: Any, kind: type[VeoError]) -> None:
    """The text decides before the status; none of these errors is retryable."""
    error = submit_error(make_response(body, status))
    assert type(error) is kind
    assert (error.charged, error.retryable) == (False, False)


BUSY = [
    (429, api_error("Rate limit reached", "rate_limit_exceeded")),
    (429, task_error("fail_to_fetch_task", "当前分组上游负载已饱和\uff0c请稍后再试")),
    (429, b""),
    (429, PAGE),
    (503, api_error("We're under heavy load, please try again later (traceid: 7f)")),
    (500, b"We're under heavy load, please try again later"),
    (500, task_error("get_channel_failed", "获取可用渠道失败")),
    (429, api_error("Quota exceeded for requests per minute", "RESOURCE_EXHAUSTED")),
]


@pytest.mark.parametrize(("status", "body"), BUSY, ids=lambda value: repr(value)[:50])
def test_overload_is_retryable(status: int, body: Any) -> None:
    """An overload is not charged; the vendor advises to wait for 30 seconds."""
    error = submit_error(make_response(body, status))
    assert type(error) is BusyError
    assert (error.charged, error.retryable, error.retry_after) == (False, True, 30.0)


UNKNOWN = [
    (500, api_error("internal error", "server_error")),
    (500, task_error("do_request_failed", "请求上游地址失败")),
    (500, task_error("invalid_response")),
    (500, api_error("服务内部异常")),
    (500, b""),
    (502, b"<html><title>502 Bad Gateway</title> load balancer, quota, balance </html>"),
    (502, b"upstream load balancer said no"),
    (503, b"<html><title>503</title>heavy load</html>"),
    (503, b""),
    (504, PAGE),
    (408, b""),
    (409, b"conflict"),
    (599, b"?"),
]


@pytest.mark.parametrize(("status", "body"), UNKNOWN, ids=lambda value: repr(value)[:50])
def test_unlisted_error_may_have_been_accepted(status: int, body: Any) -> None:
    """The error page of a gateway does not tell whether the request was accepted."""
    error = submit_error(make_response(body, status))
    assert type(error) is ResponseLostError
    assert error.charged is None
    assert error.hint is not None


def test_200_with_an_unlisted_error_may_have_been_accepted() -> None:
    """Words that count only with a status that refuses are ignored at 200."""
    error = submit_error(make_response(api_error("something about your balance"), 200))
    assert type(error) is ProtocolError
    assert error.charged is None


def test_every_refusal_has_a_hint() -> None:
    """The hint names what to change: the balance, the token, the image, the base URL."""
    hints = {
        kind: submit_error(make_response(body, status)).hint or ""
        for status, body, kind in reversed(REFUSED)
    }
    assert "Top up" in hints[BalanceError]
    assert "token" in hints[AuthError]
    assert "group of the API token" in hints[ModelUnavailableError]
    assert "smaller" in hints[TooLargeError]
    assert "base_url" in hints[ConfigError]
    assert "Change the prompt" in hints[ModeratedError]


def test_retired_model_names_its_replacements() -> None:
    """The date and the replacements come from the row of the model."""
    model = LaoZhangAsync.facts.models["veo-3.1-generate-preview"]
    error = submit_error(make_response(api_error("models/veo is no longer available"), 404), model)
    assert error.hint is not None
    assert "2026-10-22" in error.hint
    assert "vertex/veo-3.1-generate-001" in error.hint


POLLS = [
    (401, api_error("无效的令牌"), AuthError, False),
    (403, task_error("insufficient_user_quota"), BalanceError, False),
    (404, api_error("Invalid URL (GET /videos/x)"), ConfigError, False),
    (429, b"", BusyError, True),
    (503, api_error("We're under heavy load"), BusyError, True),
    (400, task_error("task_not_exist"), TaskNotFoundError, False),
    (404, api_error("Task not found or expired", "task_not_found"), TaskNotFoundError, False),
    (404, api_error("Task not found", "", "invalid_request_error"), TaskNotFoundError, False),
    (400, api_error("prompt violates policy"), ProtocolError, True),
    (413, PAGE, ProtocolError, True),
    (500, b"", ProtocolError, True),
    (502, PAGE, ProtocolError, True),
    (503, api_error("no", "model_not_found"), ProtocolError, True),
    (200, b"?", ProtocolError, True),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"), POLLS, ids=lambda value: repr(value)[:40]
)
def test_failed_get_is_retryable_unless_the_user_must_act(
    status: int, body: Any, kind: type[VeoError], *, retryable: bool
) -> None:
    """Only errors of the key, the balance and the configuration are not retryable."""
    error = get_error(make_response(body, status))
    assert type(error) is kind
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("2.5", 2.5),
        ("999999", 3600.0),
        ("-5", 30.0),
        ("soon", 30.0),
        ("", 30.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Fri, 99 Dec 9999 23:59:59 GMT", 30.0),
    ],
)
def test_retry_after_formats(header: str, wait: float) -> None:
    """Retry-After is seconds or a date, at most an hour; 30 seconds if unreadable."""
    assert submit_error(make_response(b"", 429, Retry_After=header)).retry_after == wait


def test_retry_after_counts_a_date_from_now() -> None:
    """A date one minute ahead is a wait of about one minute."""
    wait = parse_retry_after(formatdate(time.time() + 60, usegmt=True))
    assert wait is not None
    assert 0 < wait <= 60


@pytest.mark.parametrize(
    ("body", "headers", "name"),
    [
        (api_error("no (request id: 20260131x)"), {}, "20260131x"),
        (api_error("no (traceid: 7f-3)"), {}, "7f-3"),
        (api_error("no\uff08Request ID\uff1a 9\uff09"), {}, "9"),
        (api_error("no"), {"X_Oneapi_Request_Id": "abc"}, "abc"),
        (api_error("no"), {"X_Request_Id": "def"}, "def"),
        (api_error("no (request id: )"), {}, None),
        (api_error("no"), {}, None),
    ],
)
def test_request_id_is_separate_from_the_message(
    body: Any, headers: dict[str, str], name: str | None
) -> None:
    """The request id is kept for the provider's support, and removed from the message."""
    error = submit_error(make_response(body, 400, **headers))
    assert (error.request_id, error.message) == (name, "no (HTTP 400)")


def test_echoed_key_is_redacted() -> None:
    """A key that the service echoes does not appear in the message."""
    for body in (api_error(f"bad key {KEY.reveal()}"), f"bad key {KEY.reveal()}".encode()):
        assert submit_error(make_response(body, 401)).message == "bad key [key] (HTTP 401)"
    assert "[key]" in get_error(make_response(api_error(f"bad key {KEY.reveal()}"), 500)).message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (api_error("a"), "a"),
        ({"message": "a", "code": "b"}, "a"),
        ({"error": "a", "message": "b"}, "a"),
        ({"error": {"code": "c"}, "message": "b"}, "b"),
        ({"error": True, "message": "b"}, "b"),
        ({"message": '{"message": "{\\"msg\\": \\"deep\\"}"}'}, "deep"),
        ({"message": "{not json"}, "{not json"),
        ("a", "a"),
        (["a"], "a"),
        ({"code": "c"}, "c"),
        ({}, "no reason given"),
        (None, "no reason given"),
        ({"message": "x" * 900}, "x" * 500),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_formats_of_messages(body: Any, message: str) -> None:
    """The most specific message is found, also in JSON inside a string."""
    assert parse_error(body).message == message


def test_web_page_is_described_by_its_title() -> None:
    """The page of a proxy is named by its title, and its words match no rule."""
    body = read_error(make_response(PAGE, 413))
    assert body.message == "a web page instead of a response: 413 Request Entity Too Large"
    assert body.searchable_text == ""


def test_charged_failure_is_not_retryable() -> None:
    """A transient failure is retryable only if it was not charged."""
    body = ErrorBody("We're under heavy load")
    assert generation_error(body, KEY).retryable is True
    assert generation_error(body, KEY, charged=True).retryable is False
    assert (
        type(generation_error(ErrorBody("x", ("content_filter",)), KEY, charged=True))
        is ModeratedError
    )
    assert type(generation_error(ErrorBody("x"), KEY)) is GenerationError


@given(st.text(max_size=80), st.integers(100, 599), st.text(max_size=30))
def test_any_text_becomes_an_error(text: str, status: int, header: str) -> None:
    """Any body becomes an error with a message."""
    for body in (text.encode(), api_error(text), task_error(text)):
        response = make_response(body, status, Retry_After=header)
        for error in (
            submit_error(response),
            get_error(response),
            generation_error(read_error(response), KEY),
        ):
            assert error.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"<html><title>Just a moment...</title></html>"),
        (403, b"error code: 1020"),
        (403, b""),
        (403, b"Forbidden"),
        (407, b"denied"),
        (407, b'{"error": "the proxy needs a password"}'),
    ],
)
def test_what_something_in_front_of_the_api_refuses(status: int, body: bytes) -> None:
    """Nothing was accepted, it is not about the key, and a poll is repeated."""
    response = Response(status, {}, body)
    paid, free = submit_error(response), get_error(response)
    for error in (paid, free):
        assert not isinstance(error, AuthError)
        assert "something in front of the API" in error.message
        assert "base_url" in str(error.hint)
    assert (type(paid), paid.charged) == (RefusedError, False)
    assert free.retryable
