"""The command on a pseudo-terminal, and what is left on its screen."""

import contextlib
import os
import pty
import re
import select
import subprocess

from cli_runner import COMMAND


def run_on_terminal(*args: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; its exit code, and all that it painted."""
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen([*COMMAND, *args], stdout=theirs, stderr=theirs, env=env) as running:
        os.close(theirs)
        painted = b""
        with contextlib.suppress(OSError):  # how Linux says that the other side has closed
            while select.select([ours], [], [], 60)[0] and (chunk := os.read(ours, 65536)):
                painted += chunk
        running.wait(timeout=60)
    os.close(ours)
    return running.returncode, painted.decode()


def visible_lines(painted: str) -> list[str]:
    """What is left on the screen: the lines, after all that moved the cursor or erased."""
    lines, row, column = [""], 0, 0
    for part in re.split(r"([\r\n]|\x1b\[[?\d;]*[A-Za-z])", painted):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b"):
            row -= int(part[2:-1]) if part.endswith("A") else 0
        else:
            end = column + len(part)
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][end:]
            column = end
    return [line for line in lines if line.strip()]
