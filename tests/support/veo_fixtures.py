"""Fixtures for tests of the command, which ask for ``pytest_plugins = ("veo_fixtures",)``."""

from collections.abc import Callable
from pathlib import Path

import pytest
from veo_command import Veo

import veo_sandbox

LIVE = """
provider = "laozhang-async"
retired = "ignore"
[providers.laozhang-async]
base_url = "{url}/v1"
median_s = 0.2
submits_per_minute = 100000
[providers.laozhang-sync]
base_url = "{url}/v1"
[sandbox]
latency = "0.1"
clip = "tiny"
"""


@pytest.fixture
def veo(capsys: pytest.CaptureFixture[str]) -> Veo:
    """The command, in this process."""
    return Veo(capsys)


@pytest.fixture
def service(
    sandbox: Callable[..., veo_sandbox.Sandbox], monkeypatch: pytest.MonkeyPatch
) -> veo_sandbox.Sandbox:
    """A sandbox that ``veo`` in the working folder takes for the live service."""
    served = sandbox()
    Path("veo.toml").write_text(LIVE.format(url=served.url))
    monkeypatch.setenv("VEO_API_KEY", served.key)
    return served
