"""What an error body says, in whichever of its many shapes."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from veo_laozhang.lenient_json import get_text, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from veo.http.client import Response

_MAX_MESSAGE_CHARS = 500
_MAX_DEPTH = 8
_MESSAGES = ("error", "message", "msg", "detail", "fail_reason", "description")
_CODES = ("code", "type", "error_code")
_REQUEST_ID = re.compile(
    r"\s*[(\uff08](?:request id|traceid)\s*[:\uff1a]\s*([^)\uff09]*)[)\uff09]", re.IGNORECASE
)
_REQUEST_ID_HEADERS = ("X-Oneapi-Request-Id", "X-Request-Id")
_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_TITLE = re.compile(r"<title>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error body says.

    Attributes:
        message: For a person, without the request id; never empty.
        codes: Every code and type in it.
        request_id: The provider's name for the exchange.
        page: Whether it is a web page, the voice of some proxy, whose words mean nothing.
    """

    message: str
    codes: tuple[str, ...] = ()
    request_id: str | None = None
    is_web_page: bool = False

    @property
    def searchable_text(self) -> str:
        """All that the table of errors looks at."""
        return "" if self.is_web_page else " ".join((*self.codes, self.message))


def read_error(answer: Response) -> ErrorBody:
    """What the body of an answer says, whatever it holds; the key is taken out."""
    body = answer.text
    said = (
        _describe_web_page(body)
        if _PAGE.match(body)
        else parse_error(parse_json(answer.body), body)
    )
    named = said.request_id or read_request_id(answer.headers)
    return redact_message(replace(said, request_id=named), answer)


def read_request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's name for the exchange, where a header tells it."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)


def redact_message(said: ErrorBody, answer: Response) -> ErrorBody:
    """The same without the key, should the service echo it."""
    return replace(said, message=answer.key.redact(said.message))


def parse_error(body: Any, otherwise: str = "") -> ErrorBody:
    """What a decoded body says; ``otherwise`` is for one that says nothing."""
    codes = tuple(_find_codes(body, _MAX_DEPTH))
    message = next(_find_messages(body, _MAX_DEPTH), "") or otherwise.strip()
    found = _REQUEST_ID.search(message)
    name = found[1].strip() if found else ""
    message = _REQUEST_ID.sub("", message).strip()[:_MAX_MESSAGE_CHARS]
    return ErrorBody(message or " ".join(codes) or "no reason given", codes, name or None)


def _describe_web_page(body: str) -> ErrorBody:
    title = _TITLE.search(body)
    return ErrorBody(
        f"a web page came back: {title[1][:100] if title else '(no title)'}", is_web_page=True
    )


def _find_messages(node: Any, depth: int) -> Iterator[str]:
    """Its messages in the order in which they are believed."""
    children = list(_find_children(node)) if depth else []
    if not children and get_text(node):
        yield node.strip()
    for child in children:
        yield from _find_messages(child, depth - 1)


def _find_codes(node: Any, depth: int) -> Iterator[str]:
    """Every code, the outer ones first."""
    for key in _CODES if isinstance(node, dict) else ():
        if code := get_text(node.get(key)):
            yield code[:100]
    for child in _find_children(node) if depth else ():
        yield from _find_codes(child, depth - 1)


def _find_children(node: Any) -> Iterator[Any]:
    """Where else to look: below the keys of messages, and in JSON that is wrapped in a string."""
    if isinstance(node, str) and node.lstrip().startswith(("{", "[")):
        inner = parse_json(node)
        yield from () if inner is None else (inner,)
    elif isinstance(node, list):
        yield from node[:4]
    elif isinstance(node, dict):
        yield from (node[key] for key in _MESSAGES if key in node)


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``Retry-After`` as seconds or as an HTTP date; at most an hour."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return min(float(value), 3600.0)
    try:
        wait = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), 3600.0)
