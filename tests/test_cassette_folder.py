"""The cassettes as they lie there: none orphaned, none with anything that it must not hold."""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from cassette_cases import PROVIDERS, takes
from cassette_folder import FOLDER, cassettes, key_like, loose_bodies, read
from cassette_record import readme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
CASSETTES = cassettes()
ALLOWED = tomllib.loads((FOLDER / "allowed.toml").read_text("utf-8"))
every_cassette = pytest.mark.parametrize("path", CASSETTES.values(), ids=list(CASSETTES))


def test_every_cassette_has_its_test() -> None:
    """There is one cassette for each take, and none besides."""
    assert set(CASSETTES) == {str(take) for take in takes()}


def test_every_body_is_named() -> None:
    """A body that no cassette names is left behind, and must go."""
    assert loose_bodies() == []


def test_a_loose_body_is_found(tmp_path: Path) -> None:
    """The search for bodies that nobody names does find one."""
    (tmp_path / "bodies").mkdir()
    (tmp_path / "bodies" / f"{'a' * 64}.bin").touch()
    (tmp_path / "bodies" / f"{'b' * 64}.bin").touch()
    (tmp_path / "one.yaml").write_text(f"file: bodies/{'b' * 64}.bin")

    assert [path.stem for path in loose_bodies(tmp_path)] == ["a" * 64]


@pytest.mark.parametrize("path", sorted((FOLDER / "bodies").iterdir()), ids=lambda path: path.name)
def test_a_body_is_what_its_name_says(path: Path) -> None:
    """The name is the sha256."""
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_nothing_is_like_a_key(path: Path) -> None:
    """No file of the folder, body or text, holds what looks like a key, or a loopback address."""
    text = path.read_bytes().decode("latin-1")

    assert key_like(text) is None
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
def test_a_key_would_be_seen(text: str) -> None:
    """The look for keys sees one of every kind, in the middle of other text."""
    assert key_like(f"uri: here\n{text}\nmore") is not None


@pytest.mark.parametrize(
    "text", ["x-goog-api-key: <key>", "API key not valid. Please pass one.", "task-1", "monkey=1"]
)
def test_no_key_is_seen_where_there_is_none(text: str) -> None:
    """What only speaks of keys is none."""
    assert key_like(text) is None


@every_cassette
def test_only_what_is_allowed(path: Path) -> None:
    """Headers and fields of every cassette are on the list."""
    asking = {*ALLOWED["request"]["headers"], *ALLOWED["request"]["keys"]}
    for one in read(path)["interactions"]:
        asked, told = one["request"], one["answer"]
        assert set(asked["headers"]) <= asking
        assert set(told["headers"]) <= set(ALLOWED["answer"]["headers"])
        if asked["headers"].get("content-type") == "application/json":
            assert set(_fields(asked.get("body"))) <= set(ALLOWED["request"]["fields"])
        assert set(_fields(told.get("json"))) <= set(ALLOWED["answer"]["fields"])


@every_cassette
def test_a_person_can_read_it(path: Path) -> None:
    """Pictures and videos are kept beside it: it is short, and so are its lines."""
    text = path.read_text("utf-8")

    assert len(text) < 30_000
    assert max(map(len, text.splitlines())) < 1000


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_folder_says_where_it_comes_from(provider: str) -> None:
    """Its README is what the cassettes themselves say."""
    text = (FOLDER / provider / "README.md").read_text("utf-8")

    assert text == readme(provider)
    assert "Nothing here was recorded from the live service" in text


def _fields(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _fields(item)
