"""What an error body says, in whichever of its many shapes."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from veo_laozhang.lenient_json import loads, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from veo.http.client import Response

_LONGEST = 500
_DEEPEST = 8
_MESSAGES = ("error", "message", "msg", "detail", "fail_reason", "description")
_CODES = ("code", "type", "error_code")
_REQUEST_ID = re.compile(
    r"\s*[(\uff08](?:request id|traceid)\s*[:\uff1a]\s*([^)\uff09]*)[)\uff09]", re.IGNORECASE
)
_REQUEST_ID_HEADERS = ("X-Oneapi-Request-Id", "X-Request-Id")
_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_TITLE = re.compile(r"<title>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
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
    page: bool = False

    @property
    def haystack(self) -> str:
        """All that the table of errors looks at."""
        return "" if self.page else " ".join((*self.codes, self.message))


def read_answer(answer: Response) -> Said:
    """What the body of an answer says, whatever it holds; the key is taken out."""
    body = answer.text
    said = _page(body) if _PAGE.match(body) else read(loads(answer.body), body)
    named = said.request_id or request_id(answer.headers)
    return redacted(replace(said, request_id=named), answer)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's name for the exchange, where a header tells it."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)


def redacted(said: Said, answer: Response) -> Said:
    """The same without the key, should the service echo it."""
    return replace(said, message=answer.key.redact(said.message))


def read(body: Any, otherwise: str = "") -> Said:
    """What a decoded body says; ``otherwise`` is for one that says nothing."""
    codes = tuple(_codes(body, _DEEPEST))
    message = next(_messages(body, _DEEPEST), "") or otherwise.strip()
    found = _REQUEST_ID.search(message)
    name = found[1].strip() if found else ""
    message = _REQUEST_ID.sub("", message).strip()[:_LONGEST]
    return Said(message or " ".join(codes) or "no reason given", codes, name or None)


def _page(body: str) -> Said:
    title = _TITLE.search(body)
    return Said(f"a web page came back: {title[1][:100] if title else '(no title)'}", page=True)


def _messages(node: Any, depth: int) -> Iterator[str]:
    """Its messages in the order in which they are believed."""
    children = list(_children(node)) if depth else []
    if not children and text(node):
        yield node.strip()
    for child in children:
        yield from _messages(child, depth - 1)


def _codes(node: Any, depth: int) -> Iterator[str]:
    """Every code, the outer ones first."""
    for key in _CODES if isinstance(node, dict) else ():
        if code := text(node.get(key)):
            yield code[:100]
    for child in _children(node) if depth else ():
        yield from _codes(child, depth - 1)


def _children(node: Any) -> Iterator[Any]:
    """Where else to look: below the keys of messages, and in JSON that is wrapped in a string."""
    if isinstance(node, str) and node.lstrip().startswith(("{", "[")):
        inner = loads(node)
        yield from () if inner is None else (inner,)
    elif isinstance(node, list):
        yield from node[:4]
    elif isinstance(node, dict):
        yield from (node[key] for key in _MESSAGES if key in node)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``Retry-After`` as seconds or as an HTTP date; at most an hour."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return min(float(value), 3600.0)
    try:
        wait = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(wait, 0.0), 3600.0)
