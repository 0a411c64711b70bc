"""Parse error bodies: find the message, the codes and the request id in any of their formats."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from veo.wire.values import get_text, parse_json_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from veo.http.response import Response

_MAX_MESSAGE_CHARS = 500
_MAX_RAW_CHARS = 4_000  # of a message with its request id
_MAX_CODE_CHARS = 100
_MAX_DEPTH = 8  # of nested objects, so that a hostile body cannot exhaust the stack
_MAX_LIST_ITEMS = 4
_MAX_CODES = 12
_MAX_BODY_BYTES = 1 << 20  # of an error; the rest of a longer one is not read
# The keys below which messages were seen or are documented, the most specific first.
MESSAGE_KEYS = ("error", "errors", "message", "msg", "detail", "fail_reason", "description")
_CODE_KEYS = ("code", "type", "error_code")
# The gateway appends the id to its messages, with ASCII or with Chinese punctuation.
_REQUEST_ID = re.compile(
    r"[(\uff08](?:request id|traceid)\s{0,9}[:\uff1a]([^)\uff09]{0,200})[)\uff09]", re.IGNORECASE
)
_REQUEST_ID_HEADERS = ("X-Oneapi-Request-Id", "X-Request-Id")
_WEB_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_TITLE = re.compile(r"<title>([^<]{0,999})</title>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The parsed body of an error. It may contain the key, if the service echoes it."""

    message: str  # without the request id; never empty
    codes: tuple[str, ...] = ()  # and types
    request_id: str | None = None
    is_web_page: bool = False  # the HTML page of a proxy, whose words say nothing

    @property
    def searchable_text(self) -> str:
        """The text that the rules of the error table are matched with."""
        return "" if self.is_web_page else " ".join((*self.codes, self.message))


def read_error(response: Response) -> ErrorBody:
    """Return the error that a response describes, whatever its body holds."""
    response = replace(response, body=response.body[:_MAX_BODY_BYTES])
    text = response.text
    if is_web_page(text):
        title = _TITLE.search(text)
        name = " ".join(title[1].split())[:100] if title else "(no title)"
        body = ErrorBody(f"a web page instead of a response: {name}", is_web_page=True)
    else:
        body = parse_error(parse_json_or_none(response.body), text)
    return replace(body, request_id=body.request_id or read_request_id(response.headers))


def is_web_page(text: str) -> bool:
    return bool(_WEB_PAGE.match(text))


def read_request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of the exchange, if a header holds it."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)


def parse_error(value: Any, default: str = "") -> ErrorBody:
    """Return the error that a JSON value describes; ``default`` is the message if it has none."""
    codes = tuple(islice(_find_codes(value, _MAX_DEPTH), _MAX_CODES))
    message = (next(_find_messages(value, _MAX_DEPTH), "") or default.strip())[:_MAX_RAW_CHARS]
    match = _REQUEST_ID.search(message)
    request_id = match[1].strip() if match else ""
    # Split and joined: the spaces before the id belong to it.
    parts = _REQUEST_ID.split(message, maxsplit=1)
    message = "".join((parts[0].rstrip(), *parts[2:])).strip()[:_MAX_MESSAGE_CHARS]
    return ErrorBody(message or " ".join(codes) or "no reason given", codes, request_id or None)


def _find_messages(node: Any, depth: int) -> Iterator[str]:
    """Yield the messages, the most specific first."""
    children = list(_find_children(node)) if depth else []
    if not children and get_text(node):
        yield node.strip()
    for child in children:
        yield from _find_messages(child, depth - 1)


def _find_codes(node: Any, depth: int) -> Iterator[str]:
    """Yield the codes, the outer ones first."""
    for key in _CODE_KEYS if isinstance(node, dict) else ():
        value = node.get(key)
        if code := str(value) if type(value) is int else get_text(value):  # no bool
            yield code[:_MAX_CODE_CHARS]
    for child in _find_children(node) if depth else ():
        yield from _find_codes(child, depth - 1)


def _find_children(node: Any) -> Iterator[Any]:
    """Yield the values that may hold a message, and JSON that is wrapped in a string."""
    if isinstance(node, str) and node.lstrip().startswith(("{", "[")):
        inner = parse_json_or_none(node)
        yield from () if inner is None else (inner,)
    elif isinstance(node, list):
        yield from node[:_MAX_LIST_ITEMS]
    elif isinstance(node, dict):
        yield from (node[key] for key in MESSAGE_KEYS if key in node)
