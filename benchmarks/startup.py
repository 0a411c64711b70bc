"""What it costs to start: ``veo --help`` beside an empty interpreter and a bare typer app."""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter

from table import Table

ROUNDS = 5
BARE = """
import typer
app = typer.Typer(rich_markup_mode=None)
@app.command()
def hello(name: str = "you") -> None: ...
app(["--help"])
"""
BARE_APP = "a bare typer app --help"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    BARE_APP: ["-c", BARE],
    "veo --help": ["-m", "veo_commands", "--help"],
    "veo models": ["-m", "veo_commands", "models"],
}


def seconds(arguments: list[str], rounds: int) -> float:
    """The best of several starts, seconds: the least disturbed one."""
    best = float("inf")
    for _ in range(rounds):
        begun = perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        best = min(best, perf_counter() - begun)
    return best


def measure(repeat: int) -> Table:
    """The best of many starts of each."""
    table = Table("Start-up", ("command", "ms", "of a bare typer app"))
    times = {name: seconds(arguments, ROUNDS * repeat) for name, arguments in COMMANDS.items()}
    for name, time in times.items():
        table.rows.append((name, time * 1000, time / times[BARE_APP]))
    return table
