"""What it costs to start: ``veo --help`` beside an empty interpreter and a bare typer app."""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter

ROUNDS = 15
BARE = """
import typer
app = typer.Typer(rich_markup_mode=None)
@app.command()
def hello(name: str = "you") -> None: ...
app(["--help"])
"""
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "a bare typer app --help": ["-c", BARE],
    "veo --help": ["-m", "veo_commands", "--help"],
    "veo models": ["-m", "veo_commands", "models"],
}


def seconds(arguments: list[str]) -> float:
    """The best of several starts, seconds: the least disturbed one."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        best = min(best, perf_counter() - begun)
    return best


def main() -> None:
    """Print the table."""
    times = {name: seconds(arguments) for name, arguments in COMMANDS.items()}
    bare = times["a bare typer app --help"]
    print(f"{'start-up':<26} {'ms':>6}  {'of a bare typer app':>20}")
    for name, time in times.items():
        print(f"{name:<26} {time * 1e3:6.0f}  {time / bare:20.2f}")


if __name__ == "__main__":
    main()
