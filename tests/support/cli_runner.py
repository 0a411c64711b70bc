"""The command ``veo`` as tests run it: in this process, or as a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from veo_commands.entry_point import run


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left behind: its exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Stdout as JSON, one object a line; anything else on it is an error."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that name what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


class Veo:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: object) -> CommandResult:
        """Run one, with what it printed."""
        self._capsys.readouterr()
        code = run([str(arg) for arg in args])
        printed = self._capsys.readouterr()
        return CommandResult(code, printed.out, printed.err)


def start_process(*args: object, **options: Any) -> subprocess.Popen[str]:
    """Start the command as a process, its stdout and stderr as pipes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*COMMAND, *map(str, args)], **pipes | options)


def run_process(*args: object, env: dict[str, str] | None = None, **options: Any) -> CommandResult:
    """Run the command as a process to its end."""
    with start_process(*args, env=os.environ | (env or {}), **options) as running:
        out, err = running.communicate(timeout=60)
    return CommandResult(running.returncode, out, err)


COMMAND = (sys.executable, "-m", "veo_commands")
