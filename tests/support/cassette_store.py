"""Cassettes on disk: YAML that a person can read, and the bytes of videos beside it by sha256."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cassette_folder import BODY, FOLDER, key_like, read
from cassette_scrub import LARGE, dump, is_media
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable


class KeyLikeError(AssertionError):
    """Something like a key was about to be written into a cassette."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a cassette is kept: what vcrpy calls a persister.

    Attributes:
        told: What a new cassette says about its origin: ``from`` and ``date``.
        folder: The folder ``bodies`` is in.
    """

    told: dict[str, str]
    folder: Path = FOLDER

    def load_cassette(self, path: str, serializer: object) -> tuple[list[Request], list[Any]]:
        """The requests and the answers of a cassette, as vcrpy holds them.

        Raises:
            CassetteNotFoundError: There is no such file.
        """
        if not Path(path).is_file():
            raise CassetteNotFoundError(path)
        both = read(Path(path))["interactions"]
        asked = [_request(one["request"]) for one in both]
        return asked, [self._answer(one["answer"]) for one in both]

    def save_cassette(self, path: str, cassette: dict[str, Any], serializer: object) -> None:
        """Write a cassette.

        Raises:
            KeyLikeError: It holds something like a key; nothing is written.
        """
        both = zip(cassette["requests"], cassette["responses"], strict=True)
        told = [
            {"request": _asked(request), "answer": self._answered(answer)}
            for request, answer in both
        ]
        text = _yaml({"recorded": self.told, "interactions": told})
        if found := key_like(text):
            raise KeyLikeError(f"{Path(path).name} would hold {found!r}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, "utf-8")

    def _answered(self, answer: dict[str, Any]) -> dict[str, Any]:
        headers = {name: ", ".join(texts) for name, texts in answer["headers"].items()}
        told = {"status": answer["status"]["code"], "headers": headers}
        kind, body = headers.get("content-type", ""), answer["body"]["string"]
        if is_media(kind):
            return told | {"file": self._keep(body)}
        if kind.startswith("application/json") and body:
            return told | {"json": _map(json.loads(body), self._put_aside)}
        return told | ({"text": body.decode()} if body else {})

    def _answer(self, told: dict[str, Any]) -> dict[str, Any]:
        body = told.get("text", "").encode()
        if "file" in told:
            body = self._fetch(told["file"])
        if "json" in told:
            body = dump(_map(told["json"], self._take_back), sort=False)
        return {
            "status": {"code": told["status"], "message": HTTPStatus(told["status"]).phrase},
            "headers": {name: [text] for name, text in told["headers"].items()},
            "body": {"string": body},
        }

    def _put_aside(self, text: str) -> str:
        found = LARGE.fullmatch(text)
        return f"base64 of {self._keep(base64.b64decode(text))}" if found else text

    def _take_back(self, text: str) -> str:
        named = text.startswith("base64 of ") and BODY.fullmatch(text)
        return base64.b64encode(self._fetch(text[10:])).decode() if named else text

    def _keep(self, data: bytes) -> str:
        name = f"bodies/{hashlib.sha256(data).hexdigest()}.bin"
        (self.folder / "bodies").mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)
        return name

    def _fetch(self, name: str) -> bytes:
        data = (self.folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != Path(name).stem:
            raise AssertionError(f"{name} is not what it was when it was recorded")
        return data


def _asked(request: Request) -> dict[str, Any]:
    told = {"method": request.method, "uri": request.uri, "headers": dict(request.headers)}
    return told | ({"body": json.loads(request.body)} if request.body else {})


def _request(told: dict[str, Any]) -> Request:
    body = dump(told["body"]) if "body" in told else None
    return Request(told["method"], told["uri"], body, told["headers"])


def _map(node: Any, change: Callable[[str], str]) -> Any:
    """A JSON tree with every text in it changed."""
    if isinstance(node, dict):
        return {key: _map(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_map(item, change) for item in node]
    return change(node) if isinstance(node, str) else node


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(tree: Any) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
