"""CPU time to start: ``veo`` beside an empty interpreter and a bare typer app.

``veo models`` runs without a configuration, which needs no validation, and with a small one.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from table import Table, Target

from veo_commands.app import COMMANDS

ROUNDS = 10
MAX_HELP_RATIO = 1.3
# To an empty interpreter: half of 649 ms and 739 ms, which an early version took where the
# interpreter took 19 ms.
MAX_RATIOS = {"veo models": 17.1, "veo jobs": 19.4}
SETTINGS = 'provider = "gemini"\nmax_cost = 5\n[budget]\ndaily = 10\n'
# As many commands as veo has, with one parameter of each common kind.
COMMAND = "@app.command()\ndef {}(name: str, count: int = 1, loud: bool = False): ...\n"
BARE_APP = (
    "import typer\napp = typer.Typer(rich_markup_mode=None)\n"
    + "".join(map(COMMAND.format, COMMANDS))
    + "app(['--help'])\n"
)
PASS = "python -c pass"
BARE = "a bare typer app --help"
HELP = "veo --help"
PROGRAMS = {
    PASS: ["-c", "pass"],
    BARE: ["-c", BARE_APP],
    HELP: ["-m", "veo_commands", "--help"],
    **{
        f"veo {arguments}": ["-m", "veo_commands", *arguments.split()]
        for arguments in ("generate --help", "models", "models --config veo.toml", "jobs")
    },
}


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    """Run Python with arguments in a folder, and return its user and system time."""
    # An installed package is compiled; a benchmark must not compile it at every start.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"VEO_HOME": str(folder / "home"), "VEO_CONFIG_HOME": str(folder / "config")}
    command = [sys.executable, *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True, env=environment, cwd=folder / "here")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(repeat: int) -> Table:
    """Start each program many times in turn, and keep the start that was disturbed least."""
    best = dict.fromkeys(PROGRAMS, float("inf"))
    with TemporaryDirectory() as folder:
        here = Path(folder) / "here"
        here.mkdir()
        for _ in range(ROUNDS * repeat):
            for name, arguments in PROGRAMS.items():
                (here / "veo.toml").write_text(SETTINGS if "--config" in arguments else "")
                best[name] = min(best[name], cpu_seconds(arguments, Path(folder)))
    table = Table("Start-up", ("command", "ms of CPU", "of a bare typer app"))
    for name, time in best.items():
        table.rows.append((name, time * 1000, time / best[BARE]))
    ratio = best[HELP] / best[BARE]
    table.targets.append(Target(f"CPU of {HELP} to {BARE}", ratio, MAX_HELP_RATIO))
    for name, limit in MAX_RATIOS.items():
        table.targets.append(Target(f"CPU of {name} to {PASS}", best[name] / best[PASS], limit))
    return table
