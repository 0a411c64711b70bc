"""Every provider against what was recorded: its own hosts, its real wire, and no network at all."""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from cassette_cases import Take, takes
from cassette_folder import RECORDING, Recording
from cassette_session import (
    NO_NETWORK,
    Session,
    from_capture,
    from_sandbox,
    live,
    prepare,
    replayed,
    unplayed,
)
from laozhang import CAPTURED, FILE
from polling import poll

from veo.errors import VeoError
from veo.files.mp4 import find_defect
from veo.provider import find_provider
from veo.update import RemoteVideo, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vcr.cassette import Cassette

pytestmark = [pytest.mark.vcr, NO_NETWORK]

TAKES = takes()


@pytest.fixture(scope="module")
def recording(pytestconfig: pytest.Config) -> Recording:
    """Where cassettes are, and with which keys they are recorded, if they are."""
    return pytestconfig.stash.get(RECORDING, Recording())


@pytest.fixture(scope="module")
def vcr_cassette_dir(recording: Recording) -> str:
    """All cassettes are in one folder."""
    return str(recording.folder)


@pytest.fixture
def default_cassette_name(take: Take) -> str:
    """A folder a provider."""
    return str(take)


@pytest.fixture
def session(
    take: Take,
    record_mode: str,
    recording: Recording,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Session]:
    """The take, played; or recorded from what ``--record-mode`` and the recorder say."""
    prepare(monkeypatch)
    with ExitStack() as open_:
        if record_mode == "none":
            yield replayed(take)
        elif take.capture:
            yield open_.enter_context(from_capture(take))
        elif recording.keys:
            yield live(take, recording.keys[take.provider])
        else:
            yield from_sandbox(take, request.getfixturevalue("sandbox"))


@pytest.fixture
def vcr_config(session: Session, recording: Recording) -> dict[str, Any]:
    """How a cassette is recorded, compared and kept."""
    return {
        "before_record_request": session.scrub.request,
        "before_record_response": session.scrub.answer,
        "decode_compressed_response": True,
        "match_on": ("method", "uri", "headers", "body"),
        "persister": session.shelf(recording.folder),
        "record_on_exception": False,
    }


@pytest.fixture(autouse=True)
def played(vcr: Cassette, record_mode: str) -> Iterator[None]:
    """Every exchange of a cassette is asked for, once."""
    yield
    if record_mode == "none":
        assert unplayed(vcr) == []
        assert not vcr.allow_playback_repeats


def of(*names: str) -> list[Take]:
    """The takes of these names."""
    return [take for take in TAKES if take.name in names]


def played_by(chosen: list[Take]) -> pytest.MarkDecorator:
    """A test for each of these takes."""
    return pytest.mark.parametrize("take", chosen, ids=str)


@played_by([take for take in TAKES if not take.ends and not take.capture])
def test_made(take: Take, session: Session) -> None:
    """From the paid request to a whole file, whose rest can be had alone."""
    video, sizes = None, [0]
    for request in take.requests:
        told = session.make(request, video)
        video = told[-1].video
        assert [update.stage for update in told[-2:]] == [Stage.RUNNING, Stage.READY]
        assert video
        data = session.fetch(video)
        sizes.append(len(data))

        assert find_defect(io.BytesIO(data)) is None
        assert session.fetch(video, len(data) - 1000) == data[-1000:]
    assert sizes == sorted(set(sizes)), "each goes on from the one before"


@played_by(of("failure", "filtered"))
def test_failed(take: Take, session: Session) -> None:
    """What was accepted and did not become a video has a reason, and says whether it was paid."""
    tasks = find_provider(take.provider).facts.tasks
    try:
        error = session.make(take.requests[0])[-1].error
    except VeoError as raised:
        error = raised

    assert type(error) is take.ends
    assert error.charged is (not tasks)
    assert error.message


@played_by(of("balance", "overload", "retired"))
def test_refused(take: Take, session: Session) -> None:
    """What was refused costs nothing, and is told for what it is."""
    with pytest.raises(VeoError) as refused:
        session.make(take.requests[0])

    assert type(refused.value) is take.ends
    assert refused.value.charged is False


@played_by([take for take in of("capture") if not take.requests])
def test_captured_task(session: Session) -> None:
    """The one completed task that was published: wrong model, wrong seconds, three addresses."""
    update = poll(session.provider, CAPTURED["id"])

    assert update.stage is Stage.READY
    assert update.video == RemoteVideo(FILE)


@played_by([take for take in of("capture") if take.requests])
def test_captured_stream(take: Take, session: Session) -> None:
    """The stream that was published: the address in its last line, not the one in the prompt."""
    told = session.make(take.requests[0])

    assert told[-1].video == RemoteVideo(FILE)
    assert told[-2].progress == pytest.approx(0.459)
