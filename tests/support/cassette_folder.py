"""The folder of cassettes: which exist, which bodies they name, and what none may contain."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).parents[2] / "cassettes"
RECORDING = pytest.StashKey["Recording"]()

BODY = re.compile(r"(?:base64 of )?bodies/([0-9a-f]{64})\.bin")
_KEY_PATTERN = re.compile(
    r"""\bsk-[\w-]{16,} | \bAIza[\w-]{20,} | \bya29\.[\w-]+ | \bsandbox-(key|token)\b
    | \bBearer\s+(?!<key>)\S+
    | [?&;](key|api_?key|(access_?)?token|signature|sig|x-goog-signature|googleaccessid)=
    | (x-goog-api-key|authorization|api[_-]?key|access[_-]?token|client_secret)["']?\s*[:=]
      \s*["']?(?!<key>)[^\s"'<]{6,}
    | -----BEGIN\s""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Recording:
    """The recorder's instructions to the tests, which replay by default.

    Attributes:
        folder: Where cassettes are written.
        keys: API keys by provider, for the live service; empty for the sandbox.
    """

    folder: Path = FOLDER
    keys: Mapping[str, str] = field(default_factory=dict)


def read_cassette(path: Path) -> dict[str, Any]:
    """Return the content of a cassette: ``recorded`` and ``interactions``."""
    body: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return body


def list_cassettes(folder: Path = FOLDER) -> dict[str, Path]:
    """Return the paths of all cassettes, by ``<provider>/<name>``."""
    found = sorted(folder.rglob("*.yaml"))
    return {str(path.relative_to(folder).with_suffix("")): path for path in found}


def find_unused_bodies(folder: Path = FOLDER) -> list[Path]:
    """The bodies that no cassette names."""
    named = {name for path in list_cassettes(folder).values() for name in _find_body_names(path)}
    return [path for path in sorted((folder / "bodies").glob("*")) if path.stem not in named]


def find_key(text: str) -> str | None:
    """Return the first part of a text that looks like a key."""
    found = _KEY_PATTERN.search(text)
    return found[0] if found else None


def _find_body_names(path: Path) -> Iterator[str]:
    return (found[1] for found in BODY.finditer(path.read_text("utf-8")))
