"""Cassettes on disk: readable YAML, and the bytes of videos in files named by their sha256."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cassette_folder import BODY, FOLDER, find_key, read_cassette
from cassette_scrub import LARGE, dump_json, is_media
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable


class KeyLikeError(AssertionError):
    """A cassette to be written contains something that looks like a key."""


@dataclass(frozen=True, slots=True)
class CassetteStore:
    """Loads and saves cassettes; a persister of vcrpy.

    Attributes:
        origin: What a new cassette states about its origin: ``from`` and ``date``.
        folder: The folder that contains ``bodies``.
    """

    origin: dict[str, str]
    folder: Path = FOLDER

    def load_cassette(self, path: str, serializer: object) -> tuple[list[Request], list[Any]]:
        """Return the requests and the responses of a cassette, in the format of vcrpy.

        Raises:
            CassetteNotFoundError: There is no such file.
        """
        if not Path(path).is_file():
            raise CassetteNotFoundError(path)
        both = read_cassette(Path(path))["interactions"]
        requests = [_request_from_yaml(each["request"]) for each in both]
        return requests, [self._response_from_yaml(each["answer"]) for each in both]

    def save_cassette(self, path: str, cassette: dict[str, Any], serializer: object) -> None:
        """Write a cassette.

        Raises:
            KeyLikeError: It contains something that looks like a key; nothing is written.
        """
        both = zip(cassette["requests"], cassette["responses"], strict=True)
        interactions = [
            {"request": _request_to_yaml(request), "answer": self._response_to_yaml(response)}
            for request, response in both
        ]
        text = _dump_yaml({"recorded": self.origin, "interactions": interactions})
        if found := find_key(text):
            raise KeyLikeError(f"{Path(path).name} would contain {found!r}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, "utf-8")

    def _response_to_yaml(self, answer: dict[str, Any]) -> dict[str, Any]:
        headers = {name: ", ".join(texts) for name, texts in answer["headers"].items()}
        entry = {"status": answer["status"]["code"], "headers": headers}
        kind, body = headers.get("content-type", ""), answer["body"]["string"]
        if is_media(kind):
            return entry | {"file": self._store_body(body)}
        if kind.startswith("application/json") and body:
            return entry | {"json": _map_texts(json.loads(body), self._store_large_text)}
        return entry | ({"text": body.decode()} if body else {})

    def _response_from_yaml(self, entry: dict[str, Any]) -> dict[str, Any]:
        body = entry.get("text", "").encode()
        if "file" in entry:
            body = self._load_body(entry["file"])
        if "json" in entry:
            body = dump_json(_map_texts(entry["json"], self._load_large_text), sort=False)
        return {
            "status": {"code": entry["status"], "message": HTTPStatus(entry["status"]).phrase},
            "headers": {name: [text] for name, text in entry["headers"].items()},
            "body": {"string": body},
        }

    def _store_large_text(self, text: str) -> str:
        found = LARGE.fullmatch(text)
        return f"base64 of {self._store_body(base64.b64decode(text))}" if found else text

    def _load_large_text(self, text: str) -> str:
        named = text.startswith("base64 of ") and BODY.fullmatch(text)
        return base64.b64encode(self._load_body(text[10:])).decode() if named else text

    def _store_body(self, data: bytes) -> str:
        name = f"bodies/{hashlib.sha256(data).hexdigest()}.bin"
        (self.folder / "bodies").mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)
        return name

    def _load_body(self, name: str) -> bytes:
        data = (self.folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != Path(name).stem:
            raise AssertionError(f"{name} has changed since it was recorded")
        return data


def _request_to_yaml(request: Request) -> dict[str, Any]:
    entry = {"method": request.method, "uri": request.uri, "headers": dict(request.headers)}
    return entry | ({"body": json.loads(request.body)} if request.body else {})


def _request_from_yaml(entry: dict[str, Any]) -> Request:
    body = dump_json(entry["body"]) if "body" in entry else None
    return Request(entry["method"], entry["uri"], body, entry["headers"])


def _map_texts(node: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON tree with a function applied to each text."""
    if isinstance(node, dict):
        return {key: _map_texts(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [_map_texts(item, change) for item in node]
    return change(node) if isinstance(node, str) else node


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _dump_yaml(tree: Any) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
