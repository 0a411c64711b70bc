"""Every provider replayed from its cassettes, with its own base URL and without a network."""

from __future__ import annotations

import io
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from cassette_cases import CassetteCase, list_cases
from cassette_folder import RECORDING, Recording
from cassette_session import (
    NO_NETWORK,
    CassetteSession,
    capture_session,
    find_unplayed,
    live_session,
    patch_libraries,
    replay_session,
    sandbox_session,
)
from interactions import FILE_URI, ID
from laozhang import CAPTURED, FILE
from polling import poll
from pytest_recording.plugin import block_network, vcr

from veo.errors import ModeratedError, VeoError
from veo.files.mp4 import find_defect
from veo.provider import find_provider
from veo.update import RemoteVideo, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vcr.cassette import Cassette

__all__ = ["block_network", "vcr"]  # for each test, where others have one guard of their module
pytestmark = [pytest.mark.vcr, NO_NETWORK]

CASES = list_cases()


@pytest.fixture(scope="module")
def recording(pytestconfig: pytest.Config) -> Recording:
    """Return the folder of the cassettes, and the keys if they are recorded live."""
    return pytestconfig.stash.get(RECORDING, Recording())


@pytest.fixture(scope="module")
def vcr_cassette_dir(recording: Recording) -> str:
    """Return the folder of all cassettes."""
    return str(recording.folder)


@pytest.fixture
def default_cassette_name(case: CassetteCase) -> str:
    """Return the provider's folder and the name of the case."""
    return str(case)


@pytest.fixture
def session(
    case: CassetteCase,
    record_mode: str,
    recording: Recording,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[CassetteSession]:
    """Yield the session of a replay, or of a recording if ``--record-mode`` says so."""
    patch_libraries(monkeypatch)
    with ExitStack() as open_:
        if record_mode == "none":
            yield replay_session(case)
        elif case.capture:
            yield open_.enter_context(capture_session(case))
        elif recording.keys:
            yield live_session(case, recording.keys[case.provider])
        else:
            yield sandbox_session(case, request.getfixturevalue("sandbox"))


@pytest.fixture
def vcr_config(session: CassetteSession, recording: Recording) -> dict[str, Any]:
    """Return how a cassette is recorded, matched and stored."""
    return {
        "before_record_request": session.scrubber.scrub_request,
        "before_record_response": session.scrubber.scrub_response,
        "decode_compressed_response": True,
        "match_on": ("method", "uri", "headers", "body"),
        "persister": session.make_store(recording.folder),
        "record_on_exception": False,
    }


@pytest.fixture(autouse=True)
def check_replayed(vcr: Cassette, record_mode: str) -> Iterator[None]:
    """Check that every exchange of a cassette is replayed, once."""
    yield
    if record_mode == "none":
        assert find_unplayed(vcr) == []
        assert not vcr.allow_playback_repeats


def cases_named(*names: str) -> list[CassetteCase]:
    """Return the cases of these names."""
    return [case for case in CASES if case.name in names]


def parametrize_cases(chosen: list[CassetteCase]) -> pytest.MarkDecorator:
    """Run a test for each of these cases."""
    return pytest.mark.parametrize("case", chosen, ids=str)


@parametrize_cases([case for case in CASES if not case.error and not case.capture])
def test_made(case: CassetteCase, session: CassetteSession) -> None:
    """A request becomes a complete file, and the file can be read from an offset."""
    video, sizes = None, [0]
    for request in case.requests:
        updates = session.make_video(request, video)
        video = updates[-1].video
        assert [update.stage for update in updates[-2:]] == [Stage.RUNNING, Stage.READY]
        assert video
        data = session.fetch_bytes(video)
        sizes.append(len(data))

        assert find_defect(io.BytesIO(data)) is None
        assert session.fetch_bytes(video, len(data) - 1000) == data[-1000:]
    if not any(request.edit for request in case.requests):
        assert sizes == sorted(set(sizes)), "each extends the one before"


@parametrize_cases(cases_named("failure", "filtered", "omni_filtered"))
def test_failed(case: CassetteCase, session: CassetteSession) -> None:
    """A request that fails after acceptance has a reason, and is charged by the rule."""
    tasks = find_provider(case.provider).facts.tasks
    usage = None
    try:
        last = session.make_video(case.requests[0])[-1]
        error, usage = last.error, last.charge
    except VeoError as raised:
        error = raised

    assert type(error) is case.error
    assert error.charged is (not tasks or bool(usage))
    assert error.message


@parametrize_cases(cases_named("balance", "overload", "retired"))
def test_refused(case: CassetteCase, session: CassetteSession) -> None:
    """A refused request has its error class and is not charged."""
    with pytest.raises(VeoError) as caught:
        session.make_video(case.requests[0])

    assert type(caught.value) is case.error
    assert caught.value.charged is False


@parametrize_cases([case for case in cases_named("capture") if not case.requests])
def test_captured_task(session: CassetteSession) -> None:
    """The published completed task, with a wrong model and three URLs, is ready."""
    update = poll(session.provider, CAPTURED["id"])

    assert update.stage is Stage.READY
    assert update.video == RemoteVideo(FILE)


@parametrize_cases(cases_named("omni_capture", "omni_capture_refused"))
def test_captured_interaction(case: CassetteCase, session: CassetteSession) -> None:
    """The published ends of interactions: a video, a refusal, and what each cost."""
    update = poll(session.provider, ID)

    if case.name == "omni_capture":
        assert (update.stage, update.charge) == (Stage.READY, Decimal("0.310696"))
        assert update.video == RemoteVideo(FILE_URI.partition("?")[0], id=ID)
    else:
        assert (update.stage, update.charge) == (Stage.FAILED, Decimal("0.000840"))
        assert isinstance(update.error, ModeratedError)


@parametrize_cases([case for case in cases_named("capture") if case.requests])
def test_captured_stream(case: CassetteCase, session: CassetteSession) -> None:
    """The published stream gives the URL of its last line, not the one in the prompt."""
    updates = session.make_video(case.requests[0])

    assert updates[-1].video == RemoteVideo(FILE)
    assert updates[-2].progress == pytest.approx(0.459)
