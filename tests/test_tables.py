"""Tables in the documentation match the facts of providers and of requests."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "tables.py"


def test_the_tables_are_up_to_date() -> None:
    """The sections between markers are what `docs/tables.py` writes."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"run: python docs/tables.py\n{done.stderr}"
