"""The tables of the README are what the rows say."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "tables.py"


def test_the_readme_tells_what_the_rows_say() -> None:
    """Providers, models and prices in the README are generated; `docs/tables.py` renews them."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, f"run: python docs/tables.py\n{done.stderr}"
