"""The tables `*.toml` of this package."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def load_table(path: str) -> dict[str, Any]:
    """Read a table once; `path` is relative to this package."""
    return tomllib.loads((resources.files("veo_sandbox") / path).read_text("utf-8"))
