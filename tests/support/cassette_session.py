"""Replay or record a cassette: a provider, and the server that it talks to.

In a replay a provider has its own base URL, and the network is blocked. In a recording the same
code talks to the sandbox, which the cassette names like the live host.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import google.auth
import pytest
from cassette_cases import EARLIER, CassetteCase
from cassette_scrub import Scrubber
from cassette_store import CassetteStore
from google.oauth2.credentials import Credentials
from polling import poll
from recording_server import RecordingServer
from vcr.stubs import VCRHTTPResponse

from veo.errors import NotReadyError
from veo.http.urls import get_origin
from veo.key import Key
from veo.provider import Connection, Provider, find_provider
from veo.update import RemoteVideo, Stage, Update
from veo_gemini.vertex import regional_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vcr.cassette import Cassette

    from veo.model import ProviderFacts
    from veo.request import Request

NO_NETWORK = pytest.mark.block_network(allowed_hosts=["(?!)"])
"""Blocks loopback too, which other tests may use."""

PLAY_KEY = "sandbox-key"
STORAGE = "https://storage.example"
T = TypeVar("T")
_LATENCY = 60
_POLLS = 90


@dataclass(slots=True)
class CassetteSession:
    """A provider, and how a cassette of it is recorded.

    Attributes:
        provider: The real provider.
        origin: The origin that the cassette states.
        scrubber: Removes what the cassette must not contain.
        wait: Called between two polls.
    """

    provider: Provider
    origin: str = "sandbox"
    scrubber: Scrubber = field(default_factory=Scrubber)
    wait: Callable[[], object] = lambda: None

    def make_store(self, folder: Path) -> CassetteStore:
        """Return the store of its cassette."""
        return CassetteStore({"from": self.origin, "date": f"{datetime.now(UTC):%Y-%m-%d}"}, folder)

    def make_video(self, request: Request, earlier: RemoteVideo | None = None) -> list[Update]:
        """Return all updates from the paid request to the end; ``earlier`` is what it continues."""
        if request.extend == EARLIER:
            request = replace(request, extend=earlier)
        if request.edit == EARLIER:
            request = replace(request, edit=earlier)
        updates: list[Update] = []
        updates.append(
            self._retry_until_ready(lambda: self.provider.submit(request, updates.append))
        )
        for _ in range(_POLLS):
            if updates[-1].stage in (Stage.READY, Stage.FAILED):
                return updates
            self.wait()
            updates.append(poll(self.provider, str(updates[-1].task_id)))
        raise AssertionError(f"not finished after {_POLLS} polls: {updates[-1]}")

    def fetch_bytes(self, video: RemoteVideo, offset: int = 0) -> bytes:
        """Return the bytes of a file from an offset."""
        stream = self._retry_until_ready(lambda: self.provider.open(video, offset))
        data = b"".join(stream.chunks)
        stream.close()
        return data[offset - stream.offset :]

    def _retry_until_ready(self, call: Callable[[], T]) -> T:
        """Call a function until it no longer raises ``NotReadyError``."""
        for _ in range(_POLLS):
            try:
                return call()
            except NotReadyError:
                self.wait()
        raise AssertionError(f"not ready after {_POLLS} attempts")


def replay_session(case: CassetteCase) -> CassetteSession:
    """Return the session of a replay: the provider with its own base URL."""
    facts = find_provider(case.provider).facts
    return CassetteSession(_connect(case, facts.base_url, PLAY_KEY))


def live_session(case: CassetteCase, key: str) -> CassetteSession:
    """Return the session of a recording from the live service. This costs money."""
    facts = find_provider(case.provider).facts
    scrub = Scrubber(secrets=(key,))
    return CassetteSession(
        _connect(case, facts.base_url, key), "live", scrub, lambda: time.sleep(10)
    )


def sandbox_session(case: CassetteCase, start: Callable[..., Any]) -> CassetteSession:
    """Return the session of a recording from a sandbox, with the fault of the cassette."""
    facts = find_provider(case.provider).facts
    speed = 1 if facts.tasks else 400
    sandbox = start(**{"latency": _LATENCY, "processing_lag": 30, "speed": speed} | case.sandbox)
    if case.fault:
        sandbox.fault(case.fault)

    def wait() -> None:
        sandbox.advance(_LATENCY / 3)
        while _has_late_clip(sandbox):  # rendering a clip cases real time
            time.sleep(0.05)

    storage = "https://storage.googleapis.com" if case.options else STORAGE
    homes = {sandbox.url: _origin_name(case, facts), sandbox.files_url: storage}
    path = urlsplit(facts.base_url).path
    provider = _connect(case, sandbox.url + path, sandbox.key, storage_base_url=sandbox.files_url)
    return CassetteSession(provider, "sandbox", Scrubber(homes, (sandbox.key,)), wait)


@contextmanager
def capture_session(case: CassetteCase) -> Iterator[CassetteSession]:
    """Yield the session of a recording from a server that serves the published response."""
    assert case.capture
    facts = find_provider(case.provider).facts
    with RecordingServer(case.capture.reply) as server:
        provider = _connect(case, server.url + urlsplit(facts.base_url).path, PLAY_KEY)
        scrub = Scrubber({server.url: _origin_name(case, facts)}, (PLAY_KEY,))
        yield CassetteSession(provider, f"capture: {case.capture.source}", scrub)


def patch_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch google-auth, vcrpy and what is random for a replay or a recording."""
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(PLAY_KEY), "p"))  # type: ignore[no-untyped-call]
    # Part of a request, which would be another one in a replay.
    monkeypatch.setattr("veo_gemini.interactions.platform.make_folder_name", lambda: "veo-1")
    read1 = VCRHTTPResponse.read1
    # It replaces a response of urllib3, whose read1 has this argument.
    monkeypatch.setattr(
        VCRHTTPResponse, "read1", lambda self, size, decode_content=None: read1(self, size)
    )


def find_unplayed(cassette: Cassette) -> list[str]:
    """Return the exchanges of a cassette that were not replayed."""
    return [
        f"{number}: {request.method} {request.uri}"
        for number, request in enumerate(cassette.requests)
        if not cassette.play_counts[number]
    ]


def _has_late_clip(sandbox: Any) -> bool:
    now = sandbox._core.clock.now()
    return any(task["state"] == "running" and task["done_at"] <= now for task in sandbox.tasks())


def _origin_name(case: CassetteCase, facts: ProviderFacts) -> str:
    """Return the API's origin in the cassette; for Veo with a project it is that of the region."""
    is_regional = case.options and not any(
        facts.models[str(request.model)].wire for request in case.requests
    )
    base_url = regional_url(facts.base_url, "us-central1") if is_regional else facts.base_url
    return get_origin(base_url).removesuffix(":443")


def _connect(case: CassetteCase, base_url: str, key: str, **recording: Any) -> Provider:
    cls = find_provider(case.provider)
    if not case.options:
        return cls(Connection(base_url, Key(key), cls.facts.models))
    is_recording = base_url != cls.facts.base_url
    options = {**case.options, **(recording if is_recording else {})}
    return cls(Connection(base_url, None, cls.facts.models, options))
