"""Run benchmarks: ``python benchmarks/run.py [names] [--repeat N] [--save]``.

Everything in one table is measured in the same run, so results never compare two machines.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from table import Table

NAMES = (
    "batch",
    "poll_delay",
    "flight",
    "short",
    "polls",
    "downloads",
    "faults",
    "shutdown",
    "startup",
    "ledger",
    "workers",
    "buckets",
    "clips",
    "structure",
)
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    """Run the benchmarks named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument(
        "--repeat", type=int, default=3, help="runs of each benchmark; tables show medians"
    )
    parser.add_argument("--save", action="store_true", help="write the tables to results/")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    for name in arguments.names or NAMES:
        table: Table = import_module(name).measure(arguments.repeat)
        print(f"{table}\n", flush=True)
        if arguments.save:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.md").write_text(
                f"{table}\n\n{_describe_machine(arguments.repeat)}\n", "utf-8"
            )


def _describe_machine(repeat: int) -> str:
    day = datetime.now(UTC).date()
    python = platform.python_version()
    return f"{day}, Python {python}, {os.cpu_count()} shared {sys.platform} cores, {repeat} runs."


if __name__ == "__main__":
    main()
