"""Fixtures for tests of commands; activated by ``pytest_plugins = ("veo_fixtures",)``."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batch_inputs import wait_until
from cli_runner import SHORT_DELAYS_S, Veo

import veo_sandbox
from veo.engine import retry_delay

LIVE = """
provider = "laozhang-async"
retired = "ignore"
confirm_above = 1000
[providers.laozhang-async]
base_url = "{url}/v1"
model = "veo-3.1-fast"
median_s = 0.2
submits_per_minute = 100000
[providers.laozhang-sync]
base_url = "{url}/v1"
model = "veo-3.1-fast"
[sandbox]
latency = "0.1"
clip = "tiny"
"""

# Without a model: which one is chosen is what the test is about.
WITHOUT_MODEL = """
provider = "laozhang-async"
[providers.laozhang-async]
base_url = "{url}/v1"
median_s = 0.2
[providers.laozhang-sync]
base_url = "{url}/v1"
"""


@pytest.fixture
def veo(capsys: pytest.CaptureFixture[str]) -> Veo:
    """A runner of commands in this process."""
    return Veo(capsys)


ServeAsLive = Callable[..., veo_sandbox.Sandbox]


@pytest.fixture
def serve_as_live(sandbox: ServeAsLive, monkeypatch: pytest.MonkeyPatch) -> ServeAsLive:
    """Start a sandbox that ``veo`` takes for the live service, by the veo.toml of this folder."""
    monkeypatch.setattr(retry_delay, "RETRY_DELAYS_S", SHORT_DELAYS_S)

    def serve(config: str = WITHOUT_MODEL, **options: object) -> veo_sandbox.Sandbox:
        served = sandbox(**options)
        Path("veo.toml").write_text(config.format(url=served.url))
        monkeypatch.setenv("VEO_API_KEY", served.key)
        return served

    return serve


@pytest.fixture
def service(serve_as_live: ServeAsLive) -> veo_sandbox.Sandbox:
    """A sandbox that ``veo`` takes for the live service, with a model that is configured."""
    return serve_as_live(LIVE)


@pytest.fixture
def in_steps(service: veo_sandbox.Sandbox) -> Iterator[veo_sandbox.Sandbox]:
    """The service with a clock that moves only after polls, so that a client sees every state."""
    service.change(latency="7200")

    def count_polls() -> int:
        return sum(request["method"] == "GET" for request in service.requests())

    def polled_twice(before: int) -> Callable[[], bool]:
        # The first poll may have been answered before the clock moved.
        return lambda: count_polls() >= before + 2

    def advance_clock() -> None:
        for _ in range(2):
            wait_until(polled_twice(count_polls()))
            time.sleep(0.5)  # a live view draws a few frames per second
            service.advance(3600)

    clock = threading.Thread(target=advance_clock)
    clock.start()
    yield service
    clock.join()
