"""The public names, and that importing them takes almost no time."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import veo

NAMES = [
    "Batch",
    "ByteStream",
    "Client",
    "Config",
    "Connection",
    "Endpoint",
    "Image",
    "Job",
    "Model",
    "Plan",
    "Problem",
    "Provider",
    "ProviderFacts",
    "Quote",
    "Record",
    "RemoteVideo",
    "Request",
    "Stage",
    "State",
    "Status",
    "Update",
    "VeoError",
    "Video",
    "as_completed",
    "completed",
    "register_provider",
]
HEAVY = ("requests", "urllib3", "sqlalchemy", "pydantic", "PIL", "av", "google", "asyncio", "typer")


# In the order in which one interpreter imports them, each with what is not loaded yet.
WITHOUT = {
    "veo": HEAVY,
    "veo.errors": HEAVY,
    "veo.request": HEAVY,
    "veo.planning.check": HEAVY,
    "veo.model": ("requests", "sqlalchemy", "PIL", "av", "google"),
    "veo.config": ("requests", "sqlalchemy", "PIL", "av", "google"),
    "veo.planning.plan": ("requests", "sqlalchemy", "PIL", "av", "google"),
    "veo.client": ("requests", "PIL", "av", "google"),
}


def test_the_public_names() -> None:
    """Adding or removing a name is a decision."""
    assert veo.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_documented(name: str) -> None:
    """`veo.Name` is the object of its module."""
    value = getattr(veo, name)
    assert value.__doc__
    assert getattr(import_module(value.__module__), name) is value


def test_type_checkers_see_the_same_names() -> None:
    """Their imports and the table for the interpreter agree."""
    tree = ast.parse(Path(veo.__file__).read_text("utf-8"))
    checked = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("veo.")
        for alias in node.names
    }
    assert checked == {(home, name) for name, home in veo._MODULE_OF.items()}
    assert {name for _, name in checked} == set(NAMES)


def test_an_unknown_name() -> None:
    """The usual error."""
    with pytest.raises(AttributeError, match="'veo' has no attribute 'Viedo'"):
        _ = veo.Viedo


def test_dir_lists_the_names() -> None:
    """A shell can complete them."""
    assert set(NAMES) <= set(dir(veo))


def test_modules_import_only_what_they_need() -> None:
    """Heavy libraries are loaded on first use: `import veo` loads none."""
    code = "import json, sys\n" + "\n".join(
        f"import {module}; print(json.dumps([*sys.modules]))" for module in WITHOUT
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = [set(json.loads(line)) for line in done.stdout.splitlines()]

    for (module, without), names in zip(WITHOUT.items(), loaded, strict=True):
        assert names.intersection(without) == set(), module
