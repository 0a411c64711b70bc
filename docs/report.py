"""Write docs/report.png: the page that a real comparison in the sandbox makes.

python docs/report.py        # needs Chromium, as `chromium` on the PATH
"""  # noqa: INP001 - a script beside the documents

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

FILE = Path(__file__).parent / "report.png"
COMMAND = (
    *("compare", "A lion wakes up", "--on", "laozhang-async,gemini,vertex"),
    *("--count", "3", "--yes", "--report", "report.html"),
)
_WIDTH, _HEIGHT = 1100, 792  # of the window, pixels: as far as the first row of plots
_COLORS = 64  # a page has few


def main() -> None:
    """Make the page, and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "VEO_SANDBOX": "1",
            "VEO_HOME": f"{folder}/home",
            "VEO_CONFIG_HOME": folder,
        }
        program = [sys.executable, "-m", "veo_commands", *COMMAND]
        subprocess.run(program, env=env, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        screenshot = Path(folder) / "page.png"
        browser = (
            *("chromium", "--headless", "--no-sandbox", "--hide-scrollbars"),
            *(f"--user-data-dir={folder}/browser", f"--window-size={_WIDTH},{_HEIGHT}"),
            *(f"--screenshot={screenshot}", f"file://{folder}/report.html"),
        )
        subprocess.run(browser, check=True, stderr=subprocess.DEVNULL)  # noqa: S603
        page = Image.open(screenshot).convert("RGB").quantize(_COLORS)
        page.save(FILE, optimize=True)


if __name__ == "__main__":
    main()
