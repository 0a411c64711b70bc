"""What is shipped: the contents of sdist and wheel, and the entry points."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
# `providers` and `cli` are source roots: each folder in them with an `__init__.py` is a package.
PACKAGES = {"veo"} | {
    file.parent.name
    for source_root in ("providers", "cli")
    for file in (ROOT / source_root).glob("*/__init__.py")
}

find_distributions = cache(packages_distributions)  # reads the file list of everything installed


@pytest.fixture(scope="module")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist of the checkout, and a wheel made from that sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return out


@pytest.fixture(scope="module")
def wheel(build_folder: Path) -> list[str]:
    """The names in the wheel."""
    (path,) = build_folder.glob("*.whl")
    return zipfile.ZipFile(path).namelist()


def list_files(folder: str) -> set[str]:
    """Return the files of a folder, without what tools leave behind."""
    found = (ROOT / folder).rglob("*")
    return {
        str(path.relative_to(ROOT))
        for path in found
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_contains_every_package(wheel: list[str]) -> None:
    """A wheel made from the sdist has all files of all packages, and no source root."""
    sources = {
        "veo": list_files("veo"),
        "providers": {path.removeprefix("providers/") for path in list_files("providers")},
        "cli": {path.removeprefix("cli/") for path in list_files("cli")},
    }
    shipped = {name for name in wheel if ".dist-info/" not in name}

    assert shipped == set().union(*sources.values())


def test_the_wheel_contains_facts_and_types(wheel: list[str]) -> None:
    """Models, prices and type markers are shipped."""
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel)
    assert {"veo_laozhang/models.toml", "veo_gemini/models.toml"} <= set(wheel)
    assert len(PACKAGES) >= 5


@pytest.mark.parametrize("folder", ["veo", "providers", "cli", "tests"])
def test_every_import_is_declared(folder: str) -> None:
    """What another dependency happens to bring may be gone with its next version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    if folder != "tests":
        extras["test"] = ["pytest"]  # of the conformance suite, and of the plugin
    declared = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    names = {re.split(r"[^\w.-]", each)[0].lower() for each in declared}
    own = {path.stem for each in ("tests", "benchmarks") for path in (ROOT / each).rglob("*.py")}
    own |= {*sys.stdlib_module_names, *PACKAGES, "_typeshed"}
    distributions = find_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in (ROOT / folder).rglob("*.py")
        for module in list_imports(path) - own
        if not names & {name.lower().replace("_", "-") for name in distributions.get(module, [])}
    }
    assert not undeclared


def list_imports(path: Path) -> set[str]:
    """Return the first names of the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | parts}


def test_the_contracts_cover_every_package() -> None:
    """The one list of packages in pyproject.toml that no pattern can replace is complete."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert set(project["tool"]["importlinter"]["root_packages"]) == PACKAGES


def test_the_sdist_contains_tests_and_documents(build_folder: Path) -> None:
    """Tests, cassettes and documents are shipped with the sources."""
    (path,) = build_folder.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}

    assert {"veo", "providers", "cli", "tests", "docs", "LICENSE", "README.md"} <= tops


def test_the_wheel_has_entry_points(build_folder: Path) -> None:
    """The command, and the providers."""
    (path,) = build_folder.glob("*.whl")
    archive = zipfile.ZipFile(path)
    (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    text = archive.read(name).decode()

    assert "veo = veo_commands:main" in text
    for provider in ("laozhang-async", "laozhang-sync", "gemini", "vertex"):
        assert f"\n{provider} = " in text


def test_no_package_index_is_named() -> None:
    """The project does not depend on a particular index."""
    words = ("index" + "-url", "pypi" + ".org", "files.python" + "hosted")
    found = [path for name in ("*.toml", "*.cfg", "requirements*") for path in ROOT.glob(name)]

    for file in [*found, ROOT / ".ci/run"]:
        assert not any(word in file.read_text() for word in words), file
