"""Write docs/terminal.svg: what a terminal shows of one real run in the sandbox.

python docs/terminal.py
"""  # noqa: INP001 - a script beside the documents

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

FILE = Path(__file__).parent / "terminal.svg"
COMMAND = ("generate", "A lion wakes up", "-o", "lion.mp4")
_COLUMNS = 110
_FRAME = 5  # of those with the time left, from the end: late enough for a bar


def record() -> tuple[str, str]:
    """Run the command on a terminal; return a frame of its live view, and what remains."""
    reader, terminal = pty.openpty()
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "TERM": "xterm-256color",
            "COLUMNS": str(_COLUMNS),
            "LINES": "24",
            "VEO_SANDBOX": "1",
            "VEO_HOME": f"{folder}/home",
            "VEO_CONFIG_HOME": folder,
        }
        program = [sys.executable, "-m", "veo_commands", *COMMAND]
        with subprocess.Popen(  # noqa: S603 - our own program
            program, stdout=terminal, stderr=terminal, env=env, cwd=folder
        ) as running:
            os.close(terminal)
            output = b""
            with contextlib.suppress(OSError):  # Linux reports the closed terminal as an error
                while select.select([reader], [], [], 60)[0] and (data := os.read(reader, 65536)):
                    output += data
            running.wait(timeout=60)
        text = output.decode().replace(f"{folder}/", "")
    lines = [re.sub(r"\x1b\[[\d;?]*[A-HJKhl]", "", line) for line in re.split(r"[\r\n]+", text)]
    frames = [line for line in lines if "%" in line and " left" in line]
    kept = [
        line for line in lines if line.strip() and "about" not in line and "planned" not in line
    ]
    first = kept[0]
    last = [line for line in kept if "done in" in line or line.strip() == "lion.mp4"]
    return frames[-min(_FRAME, len(frames))], "\n".join([first, "{frame}", *last])


def main() -> None:
    """Render the run as a picture."""
    frame, rest = record()
    quoted = [f'"{word}"' if " " in word else word for word in COMMAND]
    console = Console(record=True, width=_COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text(f"$ veo {' '.join(quoted)}", style="bold"))
    console.print(Text.from_ansi(rest.replace("{frame}", frame)))
    FILE.write_text(console.export_svg(title="veo"), "utf-8")


if __name__ == "__main__":
    main()
