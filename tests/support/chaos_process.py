"""Clients of the chaos run that begin with every module imported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fork_server import ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


def fork_client(
    command: Sequence[str], env: dict[str, str], folder: Path, errors: IO[bytes]
) -> ForkedProcess:
    """Do what ``chaos.start_client`` does."""
    stream = errors.fileno()
    return ForkedProcess(
        _run_client, list(command), stdout=stream, stderr=stream, env=env, folder=folder
    )


def _run_client(command: list[str]) -> None:
    sys.path.insert(0, BENCHMARKS)
    from chaos_client import run_client

    run_client(command)
