"""Fixtures that every test may ask for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import veo_sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Callable[..., veo_sandbox.Sandbox]]:
    """Start sandboxes: `sandbox(profile="docs", fail_rate=1.0)`; tiny clips and no waiting.

    Every call serves a home of its own unless `home` names one; all are stopped with the test.
    """
    with ExitStack() as running:

        def start(home: Path | None = None, **options: Any) -> veo_sandbox.Sandbox:
            started = len(list(tmp_path.glob("sandbox-*")))
            home = home or tmp_path / f"sandbox-{started}"
            defaults = {"clip": "tiny", "latency": 0, "content_lag": 0}
            return running.enter_context(veo_sandbox.Sandbox(home, **defaults | options))

        yield start
