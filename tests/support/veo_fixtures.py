"""Fixtures for tests of the command, which ask for ``pytest_plugins = ("veo_fixtures",)``."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batch_inputs import wait_until
from cli_runner import Veo

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


@pytest.fixture
def in_steps(service: veo_sandbox.Sandbox) -> Iterator[veo_sandbox.Sandbox]:
    """The service, whose tasks are half made once asked for, and made once asked for again.

    However slow the machine is, the client has heard of every state.
    """
    service.change(latency="7200")

    def polls() -> int:
        return sum(request["method"] == "GET" for request in service.requests())

    def asked_twice(before: int) -> Callable[[], bool]:
        return lambda: polls() >= before + 2  # the first may have been answered earlier

    def proceed() -> None:
        for _ in range(2):
            wait_until(asked_twice(polls()))
            time.sleep(0.5)  # for a live view, which paints a few times a second
            service.advance(3600)

    clock = threading.Thread(target=proceed)
    clock.start()
    yield service
    clock.join()
