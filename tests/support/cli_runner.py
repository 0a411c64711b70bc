"""Run ``veo`` in this process, or as a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from fork_server import ForkedProcess, started, warm_up

from veo.engine import retry_delay
from veo_commands import main
from veo_commands.entry_point import run

SHORT_DELAYS_S = (0.1, 0.2, 0.4)  # between tries, where users wait for seconds and minutes


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Stdout as JSON objects, one per line. Any other output fails the test."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that state an error."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


class Veo:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: object) -> CommandResult:
        self._capsys.readouterr()
        code = run([str(arg) for arg in args])
        printed = self._capsys.readouterr()
        return CommandResult(code, printed.out, printed.err)


def start_process(*args: object, **options: Any) -> subprocess.Popen[str]:
    """Start a command with pipes for stdout and stderr."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*COMMAND, *map(str, args)], **pipes | options)
    started.add(process)
    return process


def read_until(running: subprocess.Popen[str] | ForkedProcess, text: str) -> None:
    """Read stderr up to the line that contains a text, and fail if the process ends before it."""
    assert running.stderr
    lines: list[str] = []
    for line in running.stderr:
        lines.append(line)
        if text in line:
            return
    raise AssertionError(f"no {text!r} in {lines}")


def run_process(*args: object, env: dict[str, str] | None = None, **options: Any) -> CommandResult:
    """Run a command to its end."""
    with start_process(*args, env=os.environ | (env or {}), **options) as running:
        out, err = running.communicate(timeout=60)
    return CommandResult(running.returncode, out, err)


def fork_command(*args: object, **options: Any) -> ForkedProcess:
    """Start a command with pipes for stdout and stderr, without the cost of its imports."""
    from crash_client import live_once

    warm_up(live_once)
    return ForkedProcess(_main, [str(arg) for arg in args], **options)


def _main(args: list[str]) -> None:
    retry_delay.RETRY_DELAYS_S = SHORT_DELAYS_S
    main(args)


def run_forked(*args: object, **options: Any) -> CommandResult:
    """Run a command to its end, likewise."""
    with fork_command(*args, **options) as running:
        out, err = running.communicate()
    return CommandResult(running.wait(), out, err)


COMMAND = (sys.executable, "-m", "veo_commands")
