"""The tables of the README match the facts of the providers."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "tables.py"


def test_the_readme_is_up_to_date() -> None:
    """The section of the README is what `docs/tables.py` writes."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"run: python docs/tables.py\n{done.stderr}"
