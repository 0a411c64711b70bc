"""The tables `*.toml` of this package."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def load_table(path: str) -> dict[str, Any]:
    """Read a table once; `path` is relative to this package."""
    return tomllib.loads((resources.files("veo_sandbox") / path).read_text("utf-8"))


@cache
def load_texts(path: str) -> dict[str, tuple[str, str]]:
    """Return the code and the text of each error of a table whose sections are the codes."""
    return {
        name: (code, text)
        for code, texts in load_table(path).items()
        for name, text in texts.items()
    }
