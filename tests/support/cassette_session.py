"""A take being played or recorded: a provider, and what stands behind it.

Played, a provider is what its users have: its own base URL, and no way to reach it. Recorded, the
same code talks to the sandbox, and the cassette calls that by the live host's name.
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
from cassette_cases import EARLIER, Take
from cassette_scrub import Scrub
from cassette_store import Shelf
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

    from veo.model import Facts
    from veo.request import Request

NO_NETWORK = pytest.mark.block_network(allowed_hosts=["(?!)"])
"""Not even loopback, which other tests may reach."""

PLAY_KEY = "sandbox-key"
STORAGE = "https://storage.example"
T = TypeVar("T")
_LATENCY = 60
_POLLS = 90


@dataclass(slots=True)
class Session:
    """A provider on its way through a take.

    Attributes:
        provider: The real one.
        origin: What the cassette says it comes from.
        scrub: What keeps the cassette clean.
        wait: What is done between two polls.
    """

    provider: Provider
    origin: str = "sandbox"
    scrub: Scrub = field(default_factory=Scrub)
    wait: Callable[[], object] = lambda: None

    def shelf(self, folder: Path) -> Shelf:
        """Where its cassette is kept."""
        return Shelf({"from": self.origin, "date": f"{datetime.now(UTC):%Y-%m-%d}"}, folder)

    def make(self, request: Request, earlier: RemoteVideo | None = None) -> list[Update]:
        """All that is reported from the paid request to the end; ``earlier`` is continued."""
        if request.extend == EARLIER:
            request = replace(request, extend=earlier)
        told: list[Update] = []
        told.append(self._patiently(lambda: self.provider.submit(request, told.append)))
        for _ in range(_POLLS):
            if told[-1].stage in (Stage.READY, Stage.FAILED):
                return told
            self.wait()
            told.append(poll(self.provider, str(told[-1].task_id)))
        raise AssertionError(f"{_POLLS} polls and no end: {told[-1]}")

    def fetch(self, video: RemoteVideo, offset: int = 0) -> bytes:
        """The file from an offset on."""
        stream = self._patiently(lambda: self.provider.open(video, offset))
        data = b"".join(stream.chunks)
        stream.close()
        return data[offset - stream.offset :]

    def _patiently(self, ask: Callable[[], T]) -> T:
        """What is there too late for the first question."""
        for _ in range(_POLLS):
            try:
                return ask()
            except NotReadyError:
                self.wait()
        raise AssertionError(f"{_POLLS} times not ready")


def replayed(take: Take) -> Session:
    """The provider as its users have it, before a cassette."""
    facts = find_provider(take.provider).facts
    return Session(_provider(take, facts.base_url, PLAY_KEY))


def live(take: Take, key: str) -> Session:
    """The provider before the live service. This costs money."""
    facts = find_provider(take.provider).facts
    scrub = Scrub(secrets=(key,))
    return Session(_provider(take, facts.base_url, key), "live", scrub, lambda: time.sleep(10))


def from_sandbox(take: Take, start: Callable[..., Any]) -> Session:
    """The provider before a sandbox that misbehaves as the take says."""
    facts = find_provider(take.provider).facts
    speed = 1 if facts.tasks else 400
    behind = start(**{"latency": _LATENCY, "processing_lag": 30, "speed": speed} | take.sandbox)
    if take.fault:
        behind.fault(take.fault)

    def wait() -> None:
        behind.advance(_LATENCY / 3)
        while _late(behind):  # a clip takes real time
            time.sleep(0.05)

    storage = "https://storage.googleapis.com" if take.options else STORAGE
    homes = {behind.url: _home(take, facts), behind.files_url: storage}
    path = urlsplit(facts.base_url).path
    provider = _provider(take, behind.url + path, behind.key, storage_base_url=behind.files_url)
    return Session(provider, "sandbox", Scrub(homes, (behind.key,)), wait)


@contextmanager
def from_capture(take: Take) -> Iterator[Session]:
    """The provider before a server that knows nothing but the take's capture."""
    assert take.capture
    facts = find_provider(take.provider).facts
    with RecordingServer(take.capture.reply) as server:
        provider = _provider(take, server.url + urlsplit(facts.base_url).path, PLAY_KEY)
        scrub = Scrub({server.url: _home(take, facts)}, (PLAY_KEY,))
        yield Session(provider, f"capture: {take.capture.source}", scrub)


def prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be so while a take is played or recorded."""
    monkeypatch.setattr(google.auth, "default", lambda **_: (Credentials(PLAY_KEY), "p"))  # type: ignore[no-untyped-call]
    read1 = VCRHTTPResponse.read1
    # It stands for an answer of urllib3, whose read1 can be told to decode; it cannot.
    monkeypatch.setattr(
        VCRHTTPResponse, "read1", lambda self, size, decode_content=None: read1(self, size)
    )


def unplayed(cassette: Cassette) -> list[str]:
    """The exchanges of a cassette that nobody asked for."""
    return [
        f"{number}: {request.method} {request.uri}"
        for number, request in enumerate(cassette.requests)
        if not cassette.play_counts[number]
    ]


def _late(behind: Any) -> bool:
    now = behind._core.clock.now()
    return any(task["state"] == "running" and task["done_at"] <= now for task in behind.tasks())


def _home(take: Take, facts: Facts) -> str:
    """What the cassette calls the API's host: with a project, the platform's is its region's."""
    base_url = regional_url(facts.base_url, "us-central1") if take.options else facts.base_url
    return get_origin(base_url).removesuffix(":443")


def _provider(take: Take, base_url: str, key: str, **recording: Any) -> Provider:
    cls = find_provider(take.provider)
    if not take.options:
        return cls(Connection(base_url, Key(key), cls.facts.models))
    here = base_url != cls.facts.base_url
    options = {**take.options, **(recording if here else {})}
    return cls(Connection(base_url, None, cls.facts.models, options))
