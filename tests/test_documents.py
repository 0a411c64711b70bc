"""What the documents show runs as it is written, in the sandbox."""

import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from cli_runner import Veo

from veo.compare import run
from veo_commands.app import COMMANDS

pytest_plugins = ("veo_fixtures",)

ROOT = Path(__file__).parent.parent
# These run until Ctrl-C, name a job that only the reader has, or need a database server.
_NOT_RUN = ("veo sandbox", "veo cancel JOB", "veo worker")
_SANDBOX = '[sandbox]\nlatency = "0"\nclip = "tiny"\n'


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `examples/`, in which commands use the sandbox."""
    here = Path.cwd()
    for file in (ROOT / "examples").iterdir():
        if file.is_file():
            shutil.copy(file, here)
    Path("veo.toml").write_text(_SANDBOX)
    monkeypatch.setenv("VEO_SANDBOX", "1")
    return here


def find_block(document: str, kind: str, after: str) -> str:
    """Return the first block of a kind below a heading of a document."""
    text = (ROOT / document).read_text("utf-8").partition(after)[2]
    found = re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    assert found, (document, after)
    return found[1]


def list_commands(block: str) -> list[str]:
    lines = [line.partition(" #")[0].strip() for line in block.splitlines()]
    return [line for line in lines if line.startswith("veo ")]


def run_all(veo: Veo, commands: list[str]) -> None:
    for command in commands:
        ran = veo(*shlex.split(command)[1:])
        assert ran.code == 0, f"{command}\n{ran.err}"


@pytest.mark.slow
def test_the_first_page(veo: Veo, folder: Path) -> None:
    """README's block runs from top to bottom, and so does its program."""
    commands = list_commands(find_block("README.md", "sh", "## Use it"))
    run_all(veo, commands)
    exec(compile(find_block("README.md", "python", "## Use it"), "README.md", "exec"), {})

    assert len(commands) == 11
    assert (folder / "savannah.mp4").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["laozhang-async", "gemini", "vertex"])
def test_a_model_that_no_row_knows(veo: Veo, folder: Path, provider: str) -> None:
    """The provider lists it; with the cookbook's row for it, it makes a video."""
    new, heading = "gemini-omni-1.3-flash", "## Which models are offered now"
    row = find_block("docs/cookbook.md", "toml", heading).replace("laozhang-async", provider)
    ask = find_block("docs/cookbook.md", "sh", heading).partition(" #")[0]
    (generate,) = list_commands(find_block("docs/cookbook.md", "sh", row.splitlines()[-1]))
    config = f'{_SANDBOX}offered = "gemini-omni-1.2-flash, {new}"\n'
    (folder / "veo.toml").write_text(config)

    def list_status() -> str:
        ran = veo(*shlex.split(ask.replace("laozhang-async", provider))[1:], "--json")
        return next(each["status"] for each in ran.objects if each["model"] == new)

    before = list_status()
    (folder / "veo.toml").write_text(config + row)
    after = list_status()
    ran = veo(*shlex.split(generate.replace("laozhang-async", provider))[1:], "--json")

    assert (before, after) == ("offered, without a row", "offered")
    assert (ran.code, "warning" in ran.err) == (0, False), ran.err
    assert ran.objects[0]["model"] == new
    assert Path(ran.objects[0]["output"]).is_file()


def list_examples(command: str) -> tuple[str, ...]:
    examples: tuple[str, ...] = import_module(f"veo_commands.commands.{command}").EXAMPLES
    return examples


def test_every_command_has_examples() -> None:
    """Each help page ends with examples, all of them of its own command."""
    for command in COMMANDS:
        assert {line.split()[:2][-1] for line in list_examples(command)} == {command}


@pytest.mark.slow
def test_the_examples_of_the_help_pages(
    veo: Veo, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every example runs, in the order of the commands."""
    monkeypatch.setattr(run, "MAX_MEASURED_VIDEOS", 1)  # decoding them takes most of the time
    run_all(veo, ['veo generate "A lion" -p vertex -o vertex.mp4'])
    Path("veo.toml").unlink()  # `veo config --init` writes one
    monkeypatch.setenv("VEO_CONFIG_HOME", str(folder))
    (folder / "config.toml").write_text(_SANDBOX)
    commands = [line for command in COMMANDS for line in list_examples(command)]
    # Simulated time passes fast, where a user wants it to be measured well.
    fast = [each.replace("--simulate", "--simulate --speed 400") for each in commands]
    fast.sort(key=lambda line: line.startswith("veo setup"))  # both it and `config` write veo.toml
    run_all(veo, [each for each in fast if not each.startswith(_NOT_RUN)])


def test_the_reference_is_up_to_date() -> None:
    """`docs/reference.md` is what the program itself says."""
    command = [sys.executable, ROOT / "docs" / "reference.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"run: python docs/reference.py\n{done.stderr}"


def test_every_page_is_in_the_navigation() -> None:
    """The site leads to every page of `docs/`."""
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]

    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in navigation] == []


def test_no_page_links_out_of_the_site() -> None:
    """A link to a file outside `docs/` would be broken on the site, and stop its build."""
    pages = (ROOT / "docs").glob("*.md")

    assert [page.name for page in pages if "](../" in page.read_text("utf-8")] == []
