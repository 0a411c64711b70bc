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
from cli_runner import Veo, run_process

from veo import provider
from veo.files.mp4 import read_duration_s

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ("veo_fixtures",)
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
    """A folder that the example was built and installed into, without an index."""
    target = tmp_path_factory.mktemp("installed")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline]
    done = subprocess.run(
        [*command, "--target", target, example], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (target / "veo_flipbook-1.0.dist-info").is_dir()
    return target


@pytest.fixture
def imported(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example as one of the providers of this process."""

    def forget_providers() -> None:
        provider._entry_points.cache_clear()
        provider.installed_facts.cache_clear()

    monkeypatch.syspath_prepend(installed)
    forget_providers()
    yield
    forget_providers()


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


@pytest.mark.usefixtures("imported")
def test_it_is_found_and_its_facts_are_shown(veo: Veo) -> None:
    """Once it is installed ``veo`` knows it, its models, prices and rules; no key is needed."""
    known = veo("providers", "--json")
    (standard, mini) = veo("models", "-p", "flipbook", "--json").objects
    broken = veo(
        "generate", "a lion", "-p", "flipbook", "--dry-run", "--start-frame", "a.png",
        "--duration", "4",
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
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}")
    # It needs no plugin; loading those of this environment would take a second.
    env = {"PYTHONPATH": str(installed), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=example / "tests",  # where the installed package is seen, not its sources
        env=os.environ | env,
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
