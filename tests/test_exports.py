"""The public names, and that importing them costs next to nothing."""

import ast
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
    "Facts",
    "Image",
    "Job",
    "Model",
    "Plan",
    "Problem",
    "Provider",
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
]
HEAVY = ("requests", "urllib3", "sqlalchemy", "pydantic", "PIL", "av", "google", "asyncio", "typer")


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    """A name that is added or lost is a decision, not an accident."""
    assert veo.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_documented(name: str) -> None:
    """`veo.Name` is what its module has."""
    value = getattr(veo, name)
    assert value.__doc__
    assert getattr(import_module(value.__module__), name) is value


def test_type_checkers_see_what_there_is() -> None:
    """The imports for them name the same as the table for the interpreter."""
    tree = ast.parse(Path(veo.__file__).read_text("utf-8"))
    checked = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("veo.")
        for alias in node.names
    }
    assert checked == {(home, name) for name, home in veo._MODULE_OF.items()}
    assert {name for _, name in checked} == set(NAMES)


def test_a_name_that_there_is_not() -> None:
    """The usual error."""
    with pytest.raises(AttributeError, match="'veo' has no attribute 'Viedo'"):
        _ = veo.Viedo


def test_names_can_be_found() -> None:
    """By completion in a shell."""
    assert set(NAMES) <= set(dir(veo))


def test_importing_it_imports_nothing_heavy() -> None:
    """No HTTP library, no database, no SDK."""
    assert loaded_by("import veo") & set(HEAVY) == set()


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("veo.errors", HEAVY),
        ("veo.request", HEAVY),
        ("veo.planning.check", HEAVY),
        ("veo.model", ("requests", "sqlalchemy", "PIL", "av", "google")),
        ("veo.config", ("requests", "sqlalchemy", "PIL", "av", "google")),
        ("veo.planning.plan", ("requests", "sqlalchemy", "PIL", "av", "google")),
        ("veo.client", ("requests", "PIL", "av", "google")),
    ],
)
def test_a_part_imports_only_what_it_needs(module: str, without: tuple[str, ...]) -> None:
    """What is heavy waits until it is used."""
    assert loaded_by(f"import {module}") & set(without) == set()
