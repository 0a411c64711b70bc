"""Remove from requests and responses what ``cassettes/allowed.toml`` does not list.

vcrpy runs both hooks when it records and when it replays, so they are idempotent, and a request
is compared in the form in which it was recorded.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from cassette_folder import FOLDER
from vcr.request import Request
from vcr.util import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY = "<key>"

_ALLOWED = tomllib.loads((FOLDER / "allowed.toml").read_text("utf-8"))
_IN_REQUEST, _IN_RESPONSE = _ALLOWED["request"], _ALLOWED["answer"]

_URL = re.compile(r"(https?://[^\s\"'<>()\\?#]+)\?([^\s\"'<>()\\#]*)")
_PROJECT = re.compile(r"\bprojects/[^/\s]+/")
LARGE = re.compile(r"(data:[\w/.+-]+;base64,|)([A-Za-z0-9+/]{200,}={0,2})")
_MEDIA = ("video/", "image/", "application/octet-stream")


class UnlistedError(AssertionError):
    """A request contains a field that is not listed; it is neither recorded nor replayed."""


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Removes from requests and responses what a cassette must not contain.

    Attributes:
        homes: Origins that were recorded from, and their names in a cassette.
        secrets: Keys, which are replaced in every field.
    """

    homes: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    def scrub_request(self, request: Request) -> Request:
        """Return a request with a normalized body: parsed, sorted, large values as sha256.

        Raises:
            UnlistedError: It has a field that is not listed. If such a field were removed, a test
                would not notice when it is no longer sent.
        """
        headers = {name.lower(): text for name, text in request.headers.items()}
        kind = headers.get("content-type", "")
        allowed = {name: headers[name] for name in _IN_REQUEST["headers"] if name in headers}
        allowed |= {name: KEY for name in _IN_REQUEST["keys"] if name in headers}
        if kind:
            allowed["content-type"] = kind.partition(";")[0]
        body = self._scrub_request_body(kind, read_body(request) or b"")
        return Request(request.method, self.scrub_text(request.uri), body, allowed)

    def scrub_response(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """Return a response of vcrpy without anything that is not listed."""
        headers = {
            name.lower(): [self.scrub_text(text) for text in texts]
            for name, texts in response["headers"].items()
            if name.lower() in _IN_RESPONSE["headers"]
        }
        kind = "".join(headers.get("content-type", [])).partition(";")[0]
        body = self._scrub_response_body(kind, response["body"]["string"] or b"")
        if not is_media(kind):
            headers.pop("content-length", None)
        return {**response, "headers": headers, "body": {"string": body}}

    def scrub_text(self, text: str) -> str:
        """Return a text with the cassette's host names, without keys, queries and projects."""
        text = _PROJECT.sub("projects/p/", _URL.sub(_strip_query, text))
        for real, name in self.homes.items():
            text = re.sub(rf"{re.escape(real)}(?!\d)", name, text)
        for secret in filter(None, self.secrets):
            text = text.replace(secret, KEY)
        return text

    def _scrub_request_body(self, kind: str, body: bytes) -> bytes | None:
        if not body:
            return None
        if kind.startswith("multipart/form-data;"):
            return dump_json([self._scrub_part(part) for part in _parse_form(kind, body)])
        if kind.startswith("multipart/"):
            return body
        return dump_json(self._scrub_tree(json.loads(body), _check_field, hash_large_text))

    def _scrub_part(self, part: Any) -> dict[str, str]:
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        _check_field(name)
        if part.get_filename() is None:
            return {"name": name, "text": self.scrub_text(data.decode())}
        file = {"filename": part.get_filename(), "type": part.get_content_type()}
        return {"name": name, **file, "sha256": hashlib.sha256(data).hexdigest()}

    def _scrub_response_body(self, kind: str, body: bytes) -> bytes:
        if is_media(kind):
            return body
        text = body.decode("utf-8", "replace")
        if kind == "text/event-stream":
            return "\n".join(map(self._scrub_line, text.split("\n"))).encode()
        return self._scrub_json(text) if kind == "application/json" else b""

    def _scrub_json(self, text: str) -> bytes:
        try:
            return dump_json(self._scrub_tree(json.loads(text), _is_known_field), sort=False)
        except ValueError:
            return b""

    def _scrub_line(self, line: str) -> str:
        """Return a line of an event stream, unchanged unless something must be removed."""
        name, colon, value = line.partition(":")
        if name != "data" or not value.lstrip().startswith("{"):
            return line if name.strip() in {"", "data", "event"} else ""
        value = self.scrub_text(value)
        event = json.loads(value)
        allowed = self._scrub_tree(event, _is_known_field)
        if allowed == event:
            return f"{name}{colon}{value}"
        return f"{name}{colon} {dump_json(allowed, sort=False).decode()}"

    def _scrub_tree(
        self,
        node: Any,
        allows: Callable[[str], bool],
        large: Callable[[str], str] = lambda text: text,
    ) -> Any:
        if isinstance(node, dict):
            return {
                key: self._scrub_tree(value, allows, large)
                for key, value in node.items()
                if allows(key)
            }
        if isinstance(node, list):
            return [self._scrub_tree(item, allows, large) for item in node]
        if not isinstance(node, str):
            return node
        return large(node) if LARGE.fullmatch(node) else self.scrub_text(node)


def is_media(kind: str) -> bool:
    """Return whether a media type is binary."""
    return kind.startswith(_MEDIA)


def dump_json(tree: Any, *, sort: bool = True) -> bytes:
    """Return a tree as JSON, always the same for the same tree."""
    return json.dumps(tree, ensure_ascii=False, sort_keys=sort).encode()


def hash_large_text(text: str) -> str:
    """Return the sha256 of a long base64 text; other texts are unchanged."""
    found = LARGE.fullmatch(text)
    if not found:
        return text
    return f"{found[1]}sha256:{hashlib.sha256(base64.b64decode(found[2])).hexdigest()}"


def _check_field(name: str) -> bool:
    if name not in _IN_REQUEST["fields"]:
        raise UnlistedError(f"requests must not contain {name!r}: allowed.toml does not list it")
    return True


def _is_known_field(name: str) -> bool:
    return name in _IN_RESPONSE["fields"]


def _strip_query(found: re.Match[str]) -> str:
    pairs = parse_qsl(found[2], keep_blank_values=True)
    query = urlencode([(name, value) for name, value in pairs if name in _IN_REQUEST["query"]])
    return f"{found[1]}?{query}" if query else found[1]


def _parse_form(kind: str, body: bytes) -> list[Any]:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\n\n" + body
    )
    return list(message.iter_parts())
