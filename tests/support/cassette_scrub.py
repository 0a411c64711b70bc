"""What a cassette may hold: what ``cassettes/allowed.toml`` lists.

Both hooks of vcrpy run on what is recorded and on what is asked of a cassette, so they are
idempotent, and a request is compared in the very form in which it was recorded.
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
_ASKED, _ANSWERED = _ALLOWED["request"], _ALLOWED["answer"]

_URL = re.compile(r"(https?://[^\s\"'<>()\\?#]+)\?([^\s\"'<>()\\#]*)")
_PROJECT = re.compile(r"\bprojects/[^/\s]+/")
LARGE = re.compile(r"(data:[\w/.+-]+;base64,|)([A-Za-z0-9+/]{200,}={0,2})")
_MEDIA = ("video/", "image/", "application/octet-stream")


class UnlistedError(AssertionError):
    """A request carries something that no list allows; it is neither recorded nor played."""


@dataclass(frozen=True, slots=True)
class Scrub:
    """Takes out of requests and answers what a cassette must not hold.

    Attributes:
        homes: Origins that recording really went to, and what a cassette calls them.
        secrets: Texts that are a key, whichever field they turn up in.
    """

    homes: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()

    def request(self, request: Request) -> Request:
        """A request with its body in one form: parsed, sorted, large values by their sha256.

        Raises:
            UnlistedError: It has a field that is not allowed. Left out, it would not be missed.
        """
        headers = {name.lower(): text for name, text in request.headers.items()}
        kind = headers.get("content-type", "")
        allowed = {name: headers[name] for name in _ASKED["headers"] if name in headers}
        allowed |= {name: KEY for name in _ASKED["keys"] if name in headers}
        if kind:
            allowed["content-type"] = kind.partition(";")[0]
        body = self._asked(kind, read_body(request) or b"")
        return Request(request.method, self.text(request.uri), body, allowed)

    def answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """An answer of vcrpy's with nothing in it that is not allowed."""
        headers = {
            name.lower(): [self.text(text) for text in texts]
            for name, texts in answer["headers"].items()
            if name.lower() in _ANSWERED["headers"]
        }
        kind = "".join(headers.get("content-type", [])).partition(";")[0]
        body = self._answered(kind, answer["body"]["string"] or b"")
        if not is_media(kind):
            headers.pop("content-length", None)
        return {**answer, "headers": headers, "body": {"string": body}}

    def text(self, text: str) -> str:
        """A text with hosts as the cassette calls them, and without keys, queries, projects."""
        text = _PROJECT.sub("projects/p/", _URL.sub(_bare, text))
        for real, told in self.homes.items():
            text = re.sub(rf"{re.escape(real)}(?!\d)", told, text)
        for secret in filter(None, self.secrets):
            text = text.replace(secret, KEY)
        return text

    def _asked(self, kind: str, body: bytes) -> bytes | None:
        if not body:
            return None
        if kind.startswith("multipart/form-data;"):
            return dump([self._part(part) for part in _parts(kind, body)])
        if kind.startswith("multipart/"):
            return body
        return dump(self._tree(json.loads(body), _insist, digest))

    def _part(self, part: Any) -> dict[str, str]:
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        _insist(name)
        if part.get_filename() is None:
            return {"name": name, "text": self.text(data.decode())}
        told = {"filename": part.get_filename(), "type": part.get_content_type()}
        return {"name": name, **told, "sha256": hashlib.sha256(data).hexdigest()}

    def _answered(self, kind: str, body: bytes) -> bytes:
        if is_media(kind):
            return body
        text = body.decode("utf-8", "replace")
        if kind == "text/event-stream":
            return "\n".join(map(self._line, text.split("\n"))).encode()
        return self._json(text) if kind == "application/json" else b""

    def _json(self, text: str) -> bytes:
        try:
            return dump(self._tree(json.loads(text), _known), sort=False)
        except ValueError:
            return b""

    def _line(self, line: str) -> str:
        """A line of an event stream, word for word unless something has to go."""
        name, colon, value = line.partition(":")
        if name != "data" or not value.lstrip().startswith("{"):
            return line if name.strip() in {"", "data", "event"} else ""
        value = self.text(value)
        event = json.loads(value)
        allowed = self._tree(event, _known)
        if allowed == event:
            return f"{name}{colon}{value}"
        return f"{name}{colon} {dump(allowed, sort=False).decode()}"

    def _tree(
        self,
        node: Any,
        allows: Callable[[str], bool],
        large: Callable[[str], str] = lambda text: text,
    ) -> Any:
        if isinstance(node, dict):
            return {
                key: self._tree(value, allows, large) for key, value in node.items() if allows(key)
            }
        if isinstance(node, list):
            return [self._tree(item, allows, large) for item in node]
        if not isinstance(node, str):
            return node
        return large(node) if LARGE.fullmatch(node) else self.text(node)


def is_media(kind: str) -> bool:
    """Whether a media type is that of bytes which nobody reads as text."""
    return kind.startswith(_MEDIA)


def dump(tree: Any, *, sort: bool = True) -> bytes:
    """JSON, the same for the same tree."""
    return json.dumps(tree, ensure_ascii=False, sort_keys=sort).encode()


def digest(text: str) -> str:
    """A long base64 text as the sha256 of what it holds; other texts as they are."""
    found = LARGE.fullmatch(text)
    if not found:
        return text
    return f"{found[1]}sha256:{hashlib.sha256(base64.b64decode(found[2])).hexdigest()}"


def _insist(name: str) -> bool:
    if name not in _ASKED["fields"]:
        raise UnlistedError(f"requests may not carry {name!r}: list it in allowed.toml if they may")
    return True


def _known(name: str) -> bool:
    return name in _ANSWERED["fields"]


def _bare(found: re.Match[str]) -> str:
    said = parse_qsl(found[2], keep_blank_values=True)
    kept = urlencode([(name, value) for name, value in said if name in _ASKED["query"]])
    return f"{found[1]}?{kept}" if kept else found[1]


def _parts(kind: str, body: bytes) -> list[Any]:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\n\n" + body
    )
    return list(message.iter_parts())
