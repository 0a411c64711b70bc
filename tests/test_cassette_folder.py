"""The folder of cassettes: no unused files, and nothing that it must not contain."""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from cassette_cases import PROVIDERS, list_cases
from cassette_folder import FOLDER, find_key, find_unused_bodies, list_cassettes, read_cassette
from cassette_record import build_readme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
CASSETTES = list_cassettes()
ALLOWED = tomllib.loads((FOLDER / "allowed.toml").read_text("utf-8"))
every_cassette = pytest.mark.parametrize("path", CASSETTES.values(), ids=list(CASSETTES))


def test_every_cassette_has_its_test() -> None:
    """There is exactly one cassette for each case."""
    assert set(CASSETTES) == {str(case) for case in list_cases()}


def test_every_body_is_used() -> None:
    """Every body is named by a cassette."""
    assert find_unused_bodies() == []


def test_unused_body_is_found(tmp_path: Path) -> None:
    """A body that no cassette names is found."""
    (tmp_path / "bodies").mkdir()
    (tmp_path / "bodies" / f"{'a' * 64}.bin").touch()
    (tmp_path / "bodies" / f"{'b' * 64}.bin").touch()
    (tmp_path / "one.yaml").write_text(f"file: bodies/{'b' * 64}.bin")

    assert [path.stem for path in find_unused_bodies(tmp_path)] == ["a" * 64]


@pytest.mark.parametrize("path", sorted((FOLDER / "bodies").iterdir()), ids=lambda path: path.name)
def test_body_has_the_hash_of_its_name(path: Path) -> None:
    """The name of a body is its sha256."""
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_file_contains_a_key(path: Path) -> None:
    """No file of the folder contains something like a key, or a loopback address."""
    text = path.read_bytes().decode("latin-1")

    assert find_key(text) is None
    assert "127.0.0.1" not in text
    assert "localhost" not in text


@pytest.mark.parametrize(
    "text",
    [
        "sk-" + "a1B2" * 12,
        "AIza" + "SyD-x_9" * 5,
        "ya29." + "a0Af_x" * 9,
        "Authorization: Bearer " + "x" * 20,
        "authorization: 0123456789abcdef",
        "x-goog-api-key: 'abcdefgh12345678'",
        '"api_key": "abcdefgh12345678"',
        "https://host/v1/models?key=abcdefgh",
        "https://host/a.mp4?Expires=1&Signature=abc%3D",
        "-----BEGIN " + "PRIVATE KEY-----",
        "sandbox-key",
    ],
)
def test_keys_are_found(text: str) -> None:
    """Keys of all kinds are found within other text."""
    assert find_key(f"uri: here\n{text}\nmore") is not None


@pytest.mark.parametrize(
    "text", ["x-goog-api-key: <key>", "API key not valid. Please pass one.", "task-1", "monkey=1"]
)
def test_no_false_keys(text: str) -> None:
    """Text about keys is not mistaken for a key."""
    assert find_key(text) is None


@every_cassette
def test_cassette_contains_only_listed_fields(path: Path) -> None:
    """All headers and fields of a cassette are listed in allowed.toml."""
    headers = {*ALLOWED["request"]["headers"], *ALLOWED["request"]["keys"]}
    for each in read_cassette(path)["interactions"]:
        request, response = each["request"], each["answer"]
        assert set(request["headers"]) <= headers
        assert set(response["headers"]) <= set(ALLOWED["answer"]["headers"])
        if request["headers"].get("content-type") == "application/json":
            assert set(_fields(request.get("body"))) <= set(ALLOWED["request"]["fields"])
        assert set(_fields(response.get("json"))) <= set(ALLOWED["answer"]["fields"])


@every_cassette
def test_cassette_is_readable(path: Path) -> None:
    """A cassette and its lines are short, as images and videos are separate files."""
    text = path.read_text("utf-8")

    assert len(text) < 30_000
    assert max(map(len, text.splitlines())) < 1000


@pytest.mark.parametrize("provider", PROVIDERS)
def test_readme_of_every_folder(provider: str) -> None:
    """The README of a folder is derived from its cassettes."""
    text = (FOLDER / provider / "README.md").read_text("utf-8")

    assert text == build_readme(provider)
    assert "Nothing here was recorded from the live service" in text


def _fields(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _fields(item)
