"""Operations as JSON, parsed by the real SDK, become updates or VeoErrors."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google_routes import CLIP, NAME, express, gemini
from google_routes import PLATFORM_NAME as LONG
from hypothesis import given
from hypothesis import strategies as st
from polling import poll

from veo.errors import GenerationError, ModeratedError, VeoError
from veo.http import Response
from veo.update import Stage, Update
from veo_gemini import Gemini, Vertex


class MemoryApi:
    """A provider whose HTTP client answers from memory, for thousands of bodies a second."""

    def __init__(self, make: Callable[[str], Gemini | Vertex]) -> None:
        self.provider = make("http://127.0.0.1:9")
        self.body = b""
        http = self.provider._sdk._client._api_client._async_httpx_client
        http._transport._session = self

    async def get(self, *_: object) -> Response:
        return Response(200, {}, self.body)

    request = get

    def poll(self, body: Any, task_id: str = NAME) -> Update:
        """Return the update of a response body."""
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return poll(self.provider, task_id)


@pytest.fixture(scope="module")
def developer() -> MemoryApi:
    """Return the Developer API in memory."""
    return MemoryApi(gemini)


@pytest.fixture(scope="module")
def platform() -> MemoryApi:
    """Return the Agent Platform in memory."""
    return MemoryApi(express)


def make_done(**response: Any) -> dict[str, Any]:
    """Return an operation that ended with a response."""
    return {"name": NAME, "done": True, "response": {"generateVideoResponse": response}}


def make_failed(code: int | None, message: str) -> dict[str, Any]:
    """Return an operation that ended with an error."""
    return {"name": NAME, "done": True, "error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    "body", [{"name": NAME}, {"name": NAME, "done": False, "metadata": {"progress": 40}}, {}]
)
def test_pending_operation(developer: MemoryApi, body: Any) -> None:
    """A pending operation is running, without a progress."""
    update = developer.poll(body)

    assert (update.stage, update.task_id, update.progress) == (Stage.RUNNING, NAME, None)


def test_finished_operation(developer: MemoryApi) -> None:
    """The video keeps the URI of the API, which an extension needs unchanged."""
    update = developer.poll(make_done(generatedSamples=[{"video": {"uri": CLIP}}]))

    assert (update.stage, update.video.uri, update.video.mime) == (Stage.READY, CLIP, "video/mp4")


def test_video_in_the_response(developer: MemoryApi) -> None:
    """A video within the response is addressed by the operation's name."""
    sample = {"video": {"encodedVideo": "AAAA", "encoding": "video/mp4"}}

    update = developer.poll(make_done(generatedSamples=[sample]))

    assert (update.stage, update.video.uri) == (Stage.READY, NAME)


def test_videos_of_the_platform(platform: MemoryApi) -> None:
    """With storageUri the video is an object in a bucket, without it part of the response."""
    videos = [{"gcsUri": "gs://bucket/a.mp4", "mimeType": "video/mp4"}]
    stored = platform.poll({"name": LONG, "done": True, "response": {"videos": videos}}, LONG)
    videos = [{"bytesBase64Encoded": "AAAA", "mimeType": "video/mp4"}]
    inline = platform.poll({"name": LONG, "done": True, "response": {"videos": videos}}, LONG)

    assert stored.video.uri == "gs://bucket/a.mp4"
    assert inline.video.uri == LONG


@pytest.mark.parametrize(
    ("code", "retryable"),
    [(13, True), (14, True), (8, True), (3, False), (9, False), (None, False)],
)
def test_failed_operation(developer: MemoryApi, code: int | None, retryable: bool) -> None:
    """The error has the message, the code, and whether a new job may succeed."""
    update = developer.poll(make_failed(code, "Video generation failed."))

    assert (Stage.FAILED, GenerationError) == (update.stage, type(update.error))
    assert f"Video generation failed. (code {code})" == update.error.message
    assert (retryable, False) == (update.error.retryable, update.error.charged)


def test_operation_failed_by_a_filter(developer: MemoryApi) -> None:
    """Moderation is not retryable: the same request would fail again."""
    text = (
        "Veo could not generate videos because the input image violates Vertex AI's usage "
        "guidelines. If you think this was an error, send feedback. Support codes: 15236754"
    )

    update = developer.poll(make_failed(3, text))

    assert (ModeratedError, text, False) == (
        type(update.error),
        update.error.message,
        update.error.retryable,
    )


@pytest.mark.parametrize("samples", [{}, {"generatedSamples": []}])
def test_filtered_operation(developer: MemoryApi, samples: dict[str, Any]) -> None:
    """A filtered operation is one error with all reasons of the API."""
    reasons = ["Celebrity likeness.", "Audio."]
    body = make_done(raiMediaFilteredCount=2, raiMediaFilteredReasons=reasons, **samples)

    update = developer.poll(body)

    assert (Stage.FAILED, ModeratedError) == (update.stage, type(update.error))
    assert update.error.message.endswith("Celebrity likeness.; Audio.")


def test_filtered_operation_of_the_platform(
    platform: MemoryApi,
) -> None:
    """The Agent Platform puts the reasons beside the videos."""
    response = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["Violence."]}

    update = platform.poll({"name": LONG, "done": True, "response": response}, LONG)

    assert isinstance(update.error, ModeratedError)
    assert "Violence." in update.error.message


def test_filter_without_a_reason(developer: MemoryApi) -> None:
    """A count without a reason is moderation too."""
    update = developer.poll(make_done(raiMediaFilteredCount=1))

    assert isinstance(update.error, ModeratedError)


@pytest.mark.parametrize(
    "body",
    [
        {"name": NAME, "done": True},
        {"name": NAME, "done": True, "response": {}},
        {"name": NAME, "done": True, "response": {"generateVideoResponse": {}}},
        make_done(generatedSamples=[{}]),
        make_done(generatedSamples=[{"video": {}}]),
    ],
)
def test_empty_operation(developer: MemoryApi, body: Any) -> None:
    """A done operation without a video and without an error has failed."""
    update = developer.poll(body)

    assert (Stage.FAILED, GenerationError) == (update.stage, type(update.error))
    assert "without a video" in update.error.message


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
WORDS = st.sampled_from(
    [
        "name",
        "done",
        "error",
        "code",
        "message",
        "metadata",
        "response",
        "generateVideoResponse",
        "generatedSamples",
        "videos",
        "video",
        "uri",
        "gcsUri",
        "encodedVideo",
        "bytesBase64Encoded",
        "mimeType",
        "raiMediaFilteredCount",
        "raiMediaFilteredReasons",
    ]
)
BODIES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "name": SCALARS | st.just(NAME),
        "done": st.just(True) | SCALARS,
        "error": BODIES,
        "response": BODIES
        | st.fixed_dictionaries(
            {},
            optional={
                "generateVideoResponse": BODIES,
                "videos": BODIES,
                "raiMediaFilteredCount": BODIES,
                "raiMediaFilteredReasons": BODIES,
            },
        ),
    },
)


def check_poll(api: MemoryApi, body: Any) -> None:
    """Poll, and check that the update or the error is consistent."""
    try:
        update = api.poll(body)
    except VeoError as error:
        assert None is error.charged  # noqa: PT017 - either end is fine, this one too
        return
    assert update.stage in {Stage.RUNNING, Stage.READY, Stage.FAILED}
    assert (update.stage is Stage.READY) == (update.video is not None)
    assert (update.stage is Stage.FAILED) == (update.error is not None)
    assert update.video is None or update.video.uri


@given(body=OPERATIONS | BODIES)
def test_any_operation(developer: MemoryApi, platform: MemoryApi, body: Any) -> None:
    """Any body of either API gives an update or a VeoError, no other exception."""
    check_poll(developer, body)
    check_poll(platform, body)


@given(body=st.binary())
def test_any_bytes(developer: MemoryApi, body: Any) -> None:
    """Any bytes give an update or a VeoError."""
    check_poll(developer, body)


@pytest.mark.parametrize("code", [{}, [], {"message": {}}, None, "14", 1.5, True, 10**400])
def test_odd_code_of_a_failure(developer: MemoryApi, code: Any) -> None:
    """The failure is a failure, whatever its code is."""
    body = {"name": NAME, "done": True, "error": {"code": code, "message": "no"}}
    with suppress(VeoError):
        assert developer.poll(body).stage is Stage.FAILED
