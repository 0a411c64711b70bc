"""Run a command on a pseudo-terminal, and read the screen that it leaves."""

import contextlib
import os
import pty
import re
import select

from cli_runner import fork_command, start_process


def run_on_terminal(*args: str, is_real: bool = False, **variables: str) -> tuple[int, str]:
    """Return the exit code of a command, and all that it wrote to the terminal.

    ``variables`` of the environment are added to those of a terminal of 120 columns. A process
    that ``is_real`` starts an interpreter, which reads more of them.
    """
    reader, terminal = pty.openpty()
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"} | variables
    start = start_process if is_real else fork_command
    with start(*args, stdout=terminal, stderr=terminal, env=env) as running:
        os.close(terminal)
        output = b""
        with contextlib.suppress(OSError):  # Linux reports the closed terminal as an error
            while select.select([reader], [], [], 60)[0] and (chunk := os.read(reader, 65536)):
                output += chunk
        code = running.wait(timeout=60)
    os.close(reader)
    return code, output.decode()


def visible_lines(output: str) -> list[str]:
    """Return the lines that remain after all cursor movements and erasures."""
    lines, row, column = [""], 0, 0
    for part in re.split(r"([\r\n]|\x1b\[[?\d;]*[A-Za-z])", output):
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
