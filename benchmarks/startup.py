"""CPU time to start: ``veo`` beside an empty interpreter and a bare typer app."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from table import Table, Target

from veo_commands.app import COMMANDS

ROUNDS = 10
MAX_HELP_RATIO = 1.3
# As many commands as veo has, with one parameter of each common kind.
COMMAND = "@app.command()\ndef {}(name: str, count: int = 1, loud: bool = False): ...\n"
BARE_APP = (
    "import typer\napp = typer.Typer(rich_markup_mode=None)\n"
    + "".join(map(COMMAND.format, COMMANDS))
    + "app(['--help'])\n"
)
BARE = "a bare typer app --help"
HELP = "veo --help"
PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    BARE: ["-c", BARE_APP],
    HELP: ["-m", "veo_commands", "--help"],
    **{
        f"veo {arguments}": ["-m", "veo_commands", *arguments.split()]
        for arguments in ("generate --help", "models", "jobs")
    },
}


def cpu_seconds(arguments: list[str]) -> float:
    """Run Python with arguments, and return its user and system time."""
    # An installed package is compiled; a benchmark must not compile it at every start.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(repeat: int) -> Table:
    """Start each program many times in turn, and keep the start that was disturbed least."""
    best = dict.fromkeys(PROGRAMS, float("inf"))
    for _ in range(ROUNDS * repeat):
        for name, arguments in PROGRAMS.items():
            best[name] = min(best[name], cpu_seconds(arguments))
    table = Table("Start-up", ("command", "ms of CPU", "of a bare typer app"))
    for name, time in best.items():
        table.rows.append((name, time * 1000, time / best[BARE]))
    ratio = best[HELP] / best[BARE]
    table.targets.append(Target(f"CPU of {HELP} to {BARE}", ratio, MAX_HELP_RATIO))
    return table
