"""How functions become commands, and when they are loaded."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from veo.request import OPTIONS
from veo_commands.app import COMMANDS
from veo_commands.framework import Command, build_callback, load_command
from veo_commands.options import argument, option

if TYPE_CHECKING:
    from cli_runner import Veo

pytest_plugins = ("veo_fixtures",)


@dataclass(frozen=True, kw_only=True)
class ExtraOptions:
    """A group with a panel that no command of ``veo`` has."""

    panel: ClassVar[str] = "Extra"

    level: int = option("How much.", None, default=1)


def example(name: str = argument("Who.", "NAME"), *, extra: ExtraOptions) -> None:
    """Print a name and a level."""
    typer.echo(f"{name} {extra.level}")


@pytest.fixture
def example_app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(cls=Command)(build_callback(example))
    return app


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_have_no_opposite(name: str) -> None:
    """A flag is given or not; only a field of a request can also be switched off."""
    options = [option.name for option in load_command(name).params if option.secondary_opts]

    assert set(options) <= {name for name, row in OPTIONS.items() if row.kind == "flag"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_repeats_the_docstring(name: str) -> None:
    """`veo --help` shows the first line of a command's own help."""
    assert (load_command(name).help or "").splitlines()[0] == COMMANDS[name]


def test_the_list_of_commands_is_not_cut(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of help fits the page of `veo --help`, and is wrapped in a narrow window."""
    for width in ("50", "80"):
        monkeypatch.setenv("COLUMNS", width)
        commands = veo("--help").out.partition("Commands:")[2].partition("\n\n")[0]
        assert "..." not in commands
        assert max(map(len, commands.splitlines())) <= int(width)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--help", set()),
        ("jobs --help", {"jobs"}),
        ("no-such-command", set()),
    ],
)
def test_only_the_called_command_is_imported(args: str, expected: set[str]) -> None:
    """Neither the list of commands nor another command imports a command."""
    program = (
        "import sys; from veo_commands.entry_point import run; run(sys.argv[1:]);"
        "print(*(name for name in sys.modules if name.startswith('veo_commands.commands.')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *args.split()], capture_output=True, text=True, check=True
    )
    imported = {name.rpartition(".")[2] for name in ran.stdout.splitlines()[-1].split()}

    assert imported & set(COMMANDS) == expected


def test_the_usage_of_several_arguments(veo: Veo) -> None:
    """An argument that can be repeated is shown without braces."""
    assert "Usage: veo cancel [OPTIONS] JOB..." in veo("cancel", "--help").out


def test_groups_are_spread_out(example_app: typer.Typer) -> None:
    """Options of a group are options of the command, and arrive as the group."""
    ran = CliRunner().invoke(example_app, ["lion", "--level", "3"])

    assert ran.output == "lion 3\n"


def test_an_unknown_panel_comes_last(example_app: typer.Typer) -> None:
    """A panel that the framework does not know stands below the known ones."""
    page = CliRunner().invoke(example_app, ["--help"]).output
    headings = [line for line in page.splitlines() if line.endswith(":") and line[0] != " "]

    assert headings == ["Arguments:", "Options:", "General:", "Extra:"]
