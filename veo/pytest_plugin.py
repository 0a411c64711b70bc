"""A pytest plugin: fixtures for the tests of programs that make videos.

pytest loads it wherever this distribution is installed. It imports ``veo`` only when used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from veo.client import Client


@pytest.fixture
def veo_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client whose videos come from a local sandbox: no key, no network, play money.

    Videos take no time and have a few kilobytes. Programs that make a client of their own use
    the sandbox as well while the test runs, because ``VEO_SANDBOX`` is set.
    """
    from veo import Client, Config  # noqa: PLC0415 - other tests need not load it

    monkeypatch.setenv("VEO_SANDBOX", "1")
    monkeypatch.setenv("VEO_HOME", str(tmp_path / "veo-home"))
    settings: Any = {"latency": "0", "clip": "tiny"}
    config = Config(sandbox=settings, output_dir=tmp_path)
    with Client(config, sandbox=True) as client:
        yield client
