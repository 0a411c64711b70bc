"""The folder of cassettes: which there are, which bodies they name, and what none may hold."""

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
_KEY_LIKE = re.compile(
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
    """What the recorder tells the tests, which play otherwise.

    Attributes:
        folder: Where cassettes go.
        keys: By provider, for the live service; none: from the sandbox.
    """

    folder: Path = FOLDER
    keys: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> dict[str, Any]:
    """A cassette as it is written: ``recorded`` and ``interactions``."""
    body: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return body


def cassettes(folder: Path = FOLDER) -> dict[str, Path]:
    """Every cassette there is, by ``<provider>/<name>``."""
    found = sorted(folder.rglob("*.yaml"))
    return {str(path.relative_to(folder).with_suffix("")): path for path in found}


def loose_bodies(folder: Path = FOLDER) -> list[Path]:
    """The bodies that no cassette names."""
    named = {name for path in cassettes(folder).values() for name in _bodies(path)}
    return [path for path in sorted((folder / "bodies").glob("*")) if path.stem not in named]


def key_like(text: str) -> str | None:
    """The first thing in a text that looks like a key."""
    found = _KEY_LIKE.search(text)
    return found[0] if found else None


def _bodies(path: Path) -> Iterator[str]:
    return (found[1] for found in BODY.finditer(path.read_text("utf-8")))
