"""Measure, and print a table of each: ``python benchmarks/run.py [names] [--repeat N] [--save]``.

Everything in a table is measured in the same run: the machine is never compared with another one.
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

NAMES = ("batch", "late", "flight", "short", "polls", "downloads", "faults", "startup", "structure")
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; medians are shown")
    parser.add_argument("--save", action="store_true", help="keep the tables in results/")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; {', '.join(NAMES)}")
    for name in asked.names or NAMES:
        table: Table = import_module(name).measure(asked.repeat)
        print(f"{table}\n", flush=True)
        if asked.save:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.md").write_text(f"{table}\n\n{_where(asked.repeat)}\n", "utf-8")


def _where(repeat: int) -> str:
    day = datetime.now(UTC).date()
    python = platform.python_version()
    return f"{day}, Python {python}, {os.cpu_count()} shared {sys.platform} cores, {repeat} runs."


if __name__ == "__main__":
    main()
