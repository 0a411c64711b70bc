"""The example of docs/providers.md: taken from the page, built, installed, and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_runner import run_process

from veo.files.mp4 import read_duration_s

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parent.parent / "docs" / "providers.md"
FILE = re.compile(r"^### `([^`\n]+)`\n.*?^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, as a project."""
    folder = tmp_path_factory.mktemp("example")
    for name, text in FILE.findall(PAGE.read_text("utf-8")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def installed(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the example's wheel was installed into, without an index."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    offline = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    pip("wheel", *offline, "--no-build-isolation", "--wheel-dir", wheels, example)
    pip("install", *offline, "--target", target, *wheels.glob("veo_flipbook-1.0-*.whl"))
    return target


@pytest.fixture
def server(example: Path) -> Iterator[Any]:
    """The example's own server."""
    spec = spec_from_file_location("flipbook_server", example / "tests" / "flipbook_server.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.FlipbookServer() as server:
        yield server


def pip(*args: object) -> None:
    """Run pip, which is silent when all is well."""
    command = [sys.executable, "-m", "pip", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_found_and_its_facts_are_shown(installed: Path) -> None:
    """Once it is installed ``veo`` knows it, its models, prices and rules; no key is needed."""
    env = {"PYTHONPATH": str(installed)}
    known = run_process("providers", "--json", env=env)
    (standard, mini) = run_process("models", "-p", "flipbook", "--json", env=env).objects
    broken = run_process(
        "generate", "a lion", "-p", "flipbook", "--dry-run", "--start-frame", "a.png",
        "--duration", "4", env=env,
    )  # fmt: skip

    assert "flipbook" in [row["name"] for row in known.objects]
    assert (standard["name"], mini["price"]["usd"]) == ("flip-1", "0.02")
    assert "a film from an image is 8 seconds long" in broken.err


def test_it_makes_a_film(installed: Path, server: Any) -> None:
    """One word on the command line, and the file is there, the money known on both sides."""
    Path("veo.toml").write_text(f'[providers.flipbook]\nbase_url = "{server.url}/v1"\nmedian_s = 1')
    env = {"PYTHONPATH": str(installed), "FLIPBOOK_KEY": server.key}
    ran = run_process("generate", "a lion", "-p", "flipbook", "-o", "lion.mp4", "--json", env=env)

    assert ran.code == 0, ran.err
    assert read_duration_s(Path("lion.mp4")) == 8.0
    assert ran.objects[0]["cost"]["charged"] == float(server.charged()) == 0.4


def test_it_passes_the_conformance_suite(example: Path, installed: Path, tmp_path: Path) -> None:
    """Its own test module of 14 lines runs the suite; only what nobody offers is skipped."""
    report = tmp_path / "report.xml"
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", f"--junitxml={report}")
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=example / "tests",  # where the installed package is seen, not its sources
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    module = (example / "tests" / "test_flipbook.py").read_text()
    skipped = re.findall(r'name="(\w+)\[[^"]*"[^>]*><skipped', report.read_text())

    assert ran.returncode == 0, ran.stdout
    assert len(module.splitlines()) < 20
    assert set(skipped) == {
        "test_a_video_continued",
        "test_a_video_edited",
        "test_a_file_of_the_user",
        "test_cut_download",
        "test_deleted",
    }
