"""What an operation's JSON becomes: an update, or one of our errors; read by the real SDK."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from google_routes import CLIP, NAME, express, gemini
from google_routes import PLATFORM_NAME as LONG
from hypothesis import given
from hypothesis import strategies as st
from polling import poll

from veo.errors import GenerationError, ModeratedError, VeoError
from veo.update import Stage, Update
from veo_gemini import Gemini, Vertex


class Replying:
    """A provider whose HTTP client answers from memory, for thousands of bodies a second."""

    def __init__(self, make: Callable[[str], Gemini | Vertex]) -> None:
        self.provider = make("http://127.0.0.1:9")
        self.body = b""
        http = self.provider._sdk._client._api_client._async_httpx_client
        http._transport = httpx.MockTransport(lambda _: httpx.Response(200, content=self.body))

    def poll(self, body: Any, task_id: str = NAME) -> Update:
        """What the provider makes of a body."""
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return poll(self.provider, task_id)


@pytest.fixture(scope="module")
def developer() -> Replying:
    """The Developer API, from memory."""
    return Replying(gemini)


@pytest.fixture(scope="module")
def platform() -> Replying:
    """The Agent Platform, from memory."""
    return Replying(express)


def done(**response: Any) -> dict[str, Any]:
    """An operation that ended with a response."""
    return {"name": NAME, "done": True, "response": {"generateVideoResponse": response}}


def failed(code: int | None, message: str) -> dict[str, Any]:
    """An operation that ended with an error."""
    return {"name": NAME, "done": True, "error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    "body", [{"name": NAME}, {"name": NAME, "done": False, "metadata": {"progress": 40}}, {}]
)
def test_a_pending_operation_is_running(developer: Replying, body: Any) -> None:
    """Nothing about progress is known, whatever the metadata hold."""
    update = developer.poll(body)

    assert (update.stage, update.task_id, update.progress) == (Stage.RUNNING, NAME, None)


def test_a_finished_operation_tells_where_the_video_is(developer: Replying) -> None:
    """The address is kept as the API gave it: an extension needs exactly that one."""
    update = developer.poll(done(generatedSamples=[{"video": {"uri": CLIP}}]))

    assert (update.stage, update.video.uri, update.video.mime) == (Stage.READY, CLIP, "video/mp4")


def test_a_video_inside_the_answer_is_found_under_the_operation(developer: Replying) -> None:
    """Bytes that come with the answer are fetched by asking for the operation again."""
    sample = {"video": {"encodedVideo": "AAAA", "encoding": "video/mp4"}}

    update = developer.poll(done(generatedSamples=[sample]))

    assert (update.stage, update.video.uri) == (Stage.READY, NAME)


def test_the_platform_hands_out_objects_or_bytes(platform: Replying) -> None:
    """With storageUri the video is an object in a bucket, without it comes in the answer."""
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
def test_a_failed_operation_keeps_its_reason(
    developer: Replying, code: int | None, retryable: bool
) -> None:
    """The SDK raises for none; ours has the message, the code, and whether a new job may do."""
    update = developer.poll(failed(code, "Video generation failed."))

    assert (Stage.FAILED, GenerationError) == (update.stage, type(update.error))
    assert f"Video generation failed. (code {code})" == update.error.message
    assert (retryable, False) == (update.error.retryable, update.error.charged)


def test_an_operation_that_a_filter_failed_is_moderated(developer: Replying) -> None:
    """The same request would fail again, so nothing invites to try."""
    text = (
        "Veo could not generate videos because the input image violates Vertex AI's usage "
        "guidelines. If you think this was an error, send feedback. Support codes: 15236754"
    )

    update = developer.poll(failed(3, text))

    assert (ModeratedError, text, False) == (
        type(update.error),
        update.error.message,
        update.error.retryable,
    )


@pytest.mark.parametrize("samples", [{}, {"generatedSamples": []}])
def test_a_filtered_operation_tells_every_reason(
    developer: Replying, samples: dict[str, Any]
) -> None:
    """Counted and explained by the API, one error here."""
    reasons = ["Celebrity likeness.", "Audio."]
    body = done(raiMediaFilteredCount=2, raiMediaFilteredReasons=reasons, **samples)

    update = developer.poll(body)

    assert (Stage.FAILED, ModeratedError) == (update.stage, type(update.error))
    assert update.error.message.endswith("Celebrity likeness.; Audio.")


def test_a_filtered_operation_on_the_platform_has_its_counts_one_level_up(
    platform: Replying,
) -> None:
    """The Agent Platform puts them beside the videos."""
    response = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["Violence."]}

    update = platform.poll({"name": LONG, "done": True, "response": response}, LONG)

    assert isinstance(update.error, ModeratedError)
    assert "Violence." in update.error.message


def test_a_filter_that_gives_no_reason_is_still_a_filter(developer: Replying) -> None:
    """The count alone tells that something was held back."""
    update = developer.poll(done(raiMediaFilteredCount=1))

    assert isinstance(update.error, ModeratedError)


@pytest.mark.parametrize(
    "body",
    [
        {"name": NAME, "done": True},
        {"name": NAME, "done": True, "response": {}},
        {"name": NAME, "done": True, "response": {"generateVideoResponse": {}}},
        done(generatedSamples=[{}]),
        done(generatedSamples=[{"video": {}}]),
    ],
)
def test_an_empty_operation_is_a_failure_not_a_crash(developer: Replying, body: Any) -> None:
    """Done, no error, no video: what AttributeError is made of elsewhere."""
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
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=20
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


def settle(route: Replying, body: Any) -> None:
    """Poll; whatever comes must fit together."""
    try:
        update = route.poll(body)
    except VeoError as error:
        assert None is error.charged  # noqa: PT017 - either end is fine, this one too
        return
    assert update.stage in {Stage.RUNNING, Stage.READY, Stage.FAILED}
    assert (update.stage is Stage.READY) == (update.video is not None)
    assert (update.stage is Stage.FAILED) == (update.error is not None)
    assert update.video is None or update.video.uri


@given(body=OPERATIONS | BODIES)
def test_any_operation_of_the_developer_api_ends_in_an_update_or_our_error(
    developer: Replying, body: Any
) -> None:
    """No body, however odd, gets an exception of the SDK or of Python past us."""
    settle(developer, body)


@given(body=OPERATIONS | BODIES)
def test_any_operation_of_the_platform_ends_in_an_update_or_our_error(
    platform: Replying, body: Any
) -> None:
    """The same for the Agent Platform's shape."""
    settle(platform, body)


@given(body=st.binary())
def test_any_bytes_end_in_an_update_or_our_error(developer: Replying, body: Any) -> None:
    """Neither do bytes that are no JSON at all."""
    settle(developer, body)
