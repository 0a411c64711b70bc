"""Interactions as JSON become updates; their usage becomes a charge."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interactions import (
    ASKED,
    CAPTURED_USAGE,
    DONE,
    EARLIER_OMNI,
    FILE_URI,
    ID,
    INLINE_VIDEO,
    REFUSED_USAGE,
    THOUGHT,
    make_completed,
    make_created,
    make_output,
    make_text,
    make_video,
)

from veo.errors import (
    BusyError,
    GenerationError,
    ModeratedError,
    ProtocolError,
    RefusedError,
    TaskNotFoundError,
    VeoError,
)
from veo.update import Stage, Update
from veo_gemini import Gemini
from veo_gemini.interactions.read import read_created, read_interaction
from veo_gemini.interactions.usage import read_usage

MODELS = Gemini.facts.models
WORDS = "I cannot make a video of a real person."


def read(body: Any) -> Update:
    return read_interaction(body, ID, MODELS)


def find_error(body: Any) -> VeoError:
    """Return the error of a failed task."""
    update = read(body)
    assert (update.stage, update.video) == (Stage.FAILED, None)
    assert update.error is not None
    return update.error


def test_accepted_request() -> None:
    """The captured response: the id is the task id."""
    update = read_created(make_created(), MODELS)

    assert (update.stage, update.task_id) == (Stage.SUBMITTED, ID)


@pytest.mark.parametrize(
    "body", [{"id": ID}, {"id": ID, "status": 7}, make_created(status="idle", steps=None)]
)
def test_id_is_never_lost(body: Any) -> None:
    """A response with an id is accepted, whatever else it lacks."""
    assert read_created(body, MODELS) == Update(stage=Stage.SUBMITTED, task_id=ID)


def test_request_that_is_done_at_once() -> None:
    """A service may ignore `background`."""
    assert read_created(DONE, MODELS).stage is Stage.READY


@pytest.mark.parametrize("body", [{}, [], None, {"id": ""}, {"id": 7}, {"error": {"code": "x"}}])
def test_response_without_an_id_may_have_been_charged(body: Any) -> None:
    """Nothing is known, and nothing can be polled."""
    with pytest.raises(ProtocolError) as caught:
        read_created(body, MODELS)
    assert caught.value.charged is None


@pytest.mark.parametrize(
    ("code", "kind"), [("invalid_request", RefusedError), ("content_blocked", ModeratedError)]
)
def test_refusal_with_status_200(code: str, kind: type[VeoError]) -> None:
    """An error of the request itself proves that nothing was made."""
    with pytest.raises(kind, match=r"No\.") as caught:
        read_created({"error": {"code": code, "message": "No."}}, MODELS)
    assert caught.value.charged is False


@pytest.mark.parametrize("status", ["in_progress", "queued", "requires_continuation", "thinking"])
def test_running(status: str) -> None:
    """Words of the types, and any other; a poll has the user's step and no progress."""
    update = read(make_created(status=status, steps=[ASKED]))

    assert (update.stage, update.task_id, update.progress) == (Stage.RUNNING, ID, None)


def test_completed() -> None:
    """The video, the handle to continue it, and the charge by the captured usage."""
    update = read(DONE | {"model": EARLIER_OMNI})

    assert update.stage is Stage.READY
    assert update.video is not None
    assert (update.video.uri, update.video.id, update.video.mime) == (FILE_URI, ID, "video/mp4")
    # 19 x 1.50 + (17,873 - 17,376 + 235) x 9 + 17,376 x 17.50, per million
    assert update.charge == Decimal("0.310696")


@pytest.mark.parametrize(
    "steps",
    [
        [make_output(make_video(uri=FILE_URI)), THOUGHT],
        [make_output(make_text("Here it is.")), make_output(make_video(uri=FILE_URI))],
        [make_output(make_video(uri="https://example.org/old"), make_video(uri=FILE_URI))],
        [{"type": "future_step", "content": make_video(uri=FILE_URI)}],
        [make_output({"mime_type": "video/mp4", "uri": FILE_URI})],
        [make_output(make_video(uri=FILE_URI), make_video()), "odd", {"content": 7}],
    ],
)
def test_steps_in_any_order(steps: list[Any]) -> None:
    """Several outputs, output before thought, unknown steps: the last video with an address."""
    update = read(make_completed(*steps))

    assert (update.stage, update.charge) == (Stage.READY, None)
    assert update.video is not None
    assert update.video.uri == FILE_URI


def test_video_without_its_tokens() -> None:
    """Usage that does not count the video is no charge: the quote stands."""
    usage = {"total_input_tokens": 19, "total_output_tokens": 17_873}
    update = read(make_completed(make_output(make_video(uri=FILE_URI)), usage=usage))

    assert (update.stage, update.charge) == (Stage.READY, None)


def test_inline_video() -> None:
    """The id of the interaction leads to a video that is part of it."""
    update = read(make_completed(make_output(INLINE_VIDEO)))

    assert update.video is not None
    assert (update.video.uri, update.video.id) == (f"interactions/{ID}", ID)


def test_video_of_the_user_is_not_the_result() -> None:
    """The user's step repeats what was sent, for example an uploaded video."""
    asked = {"type": "user_input", "content": [make_video(uri=FILE_URI)]}

    error = find_error(make_created(status="completed", steps=[asked]))

    assert isinstance(error, ModeratedError)


@pytest.mark.parametrize("status", ["finished", "cancelled", "failed"])
def test_video_outweighs_the_status(status: str) -> None:
    """It is paid for, whatever the word says."""
    assert read(DONE | {"status": status}).stage is Stage.READY


def test_refusal_in_words() -> None:
    """The captured refusal: completed, a text before the thought, a few tokens charged."""
    update = read(make_completed(make_output(make_text(WORDS)), THOUGHT, usage=REFUSED_USAGE))

    assert isinstance(update.error, ModeratedError)
    assert WORDS in update.error.message
    assert update.error.charged is True
    assert update.charge == Decimal("0.000840")


@pytest.mark.parametrize("usage", [None, {"total_output_tokens": 0}])
def test_refusal_without_words(usage: dict[str, Any] | None) -> None:
    """Completed without any output, as for an uploaded video in a closed region."""
    assert isinstance(find_error(make_completed(usage=usage)), ModeratedError)


@pytest.mark.parametrize(
    "more",
    [
        {"errors": [{"code": "safety", "message": "Blocked."}]},
        {"error": {"code": 3, "message": "The prompt violates our usage guidelines."}},
        {"steps": [{"type": "model_output", "error": {"code": 400, "message": "unsafe: safety"}}]},
    ],
)
def test_failure_with_a_safety_word(more: dict[str, Any]) -> None:
    """Three places for errors are in the types; no capture shows one."""
    assert isinstance(find_error(make_created(status="failed", **more)), ModeratedError)


@pytest.mark.parametrize(
    ("status", "more", "text", "retryable"),
    [
        ("failed", {"errors": [{"code": "internal", "message": "Oops."}]}, "Oops.", True),
        ("failed", {"error": "Oops."}, "Oops.", False),
        ("cancelled", {}, "no reason given", False),
        ("budget_exceeded", {}, "budget_exceeded", False),
        ("generation_failed", {}, "generation_failed", False),
        ("odd", {"error": {"code": "x", "message": "Oops."}}, "Oops.", False),
    ],
)
def test_failure(status: str, more: dict[str, Any], text: str, *, retryable: bool) -> None:
    """Known words, words that sound like a failure, and an error beside any word."""
    error = find_error(make_created(status=status, **more))

    assert type(error) is GenerationError
    assert text in error.message
    assert error.retryable is retryable


@pytest.mark.parametrize("steps", [[], [make_output(make_video())], [make_output(make_text("?"))]])
def test_charged_video_that_is_not_there(steps: list[Any]) -> None:
    """Tokens of video without a video: no refusal, and it is said to be charged."""
    update = read(make_completed(*steps, usage=CAPTURED_USAGE))

    assert type(update.error) is GenerationError
    assert update.error.charged
    assert update.charge is not None
    assert ID in str(update.error.hint)


def test_rate_limit_after_the_acceptance() -> None:
    """Status 200 with an error instead of an interaction ends the task; the charge is unknown."""
    error = find_error({"error": {"code": "too_many_requests", "message": "Please retry in 23s"}})

    assert isinstance(error, BusyError)
    assert error.charged is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": "permission_denied", "message": "There was a problem"}}, ProtocolError),
        ({"error": {"code": "not_found", "message": "No."}}, TaskNotFoundError),
        ({"error": {"message": "Invalid interaction name: interactions/x"}}, TaskNotFoundError),
        ({}, ProtocolError),
        ([], ProtocolError),
        ({"status": None}, ProtocolError),
    ],
)
def test_poll_that_says_nothing(body: Any, kind: type[VeoError]) -> None:
    """A later poll may tell more; nothing is said about money."""
    with pytest.raises(kind) as caught:
        read(body)
    assert caught.value.charged is None


def test_unknown_model_has_no_prices() -> None:
    """Without token prices the quote is charged."""
    assert read(DONE | {"model": "gemini-omni-9"}).charge is None


@pytest.mark.parametrize(
    "usage",
    [
        7,
        {},
        {"total_output_tokens": "9"},
        {"output_tokens_by_modality": 7},
        {"total_input_tokens": -1, "total_output_tokens": 10**90},
        {"output_tokens_by_modality": [{"modality": "video", "tokens": 10**90}]},
    ],
)
def test_odd_usage(usage: Any) -> None:
    """What is not a number of tokens counts as none."""
    found = read_usage({"usage": usage})

    assert found is None or (found.input, found.text, found.video) == (0, 0, 0)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.sampled_from(
    [
        "id",
        "status",
        "steps",
        "type",
        "content",
        "uri",
        "data",
        "mime_type",
        "text",
        "error",
        "errors",
        "code",
        "message",
        "usage",
        "model",
        "total_output_tokens",
        "total_input_tokens",
        "output_tokens_by_modality",
        "modality",
        "tokens",
    ]
)
BODIES = st.recursive(
    SCALARS | st.sampled_from(["completed", "failed", "video", "model_output", "user_input"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=25,
)


@given(BODIES | st.fixed_dictionaries({"status": st.just("completed"), "steps": BODIES}))
def test_any_body(body: Any) -> None:
    """Any JSON gives a consistent update or a VeoError."""
    for act in (read, lambda each: read_created(each, MODELS)):
        try:
            update = act(body)
        except VeoError:
            continue
        assert (update.stage is Stage.READY) == (update.video is not None)
        assert (update.stage is Stage.FAILED) == (update.error is not None)
        assert update.task_id


def test_an_end_without_anything_may_have_been_charged() -> None:
    """A refusal reports its usage; without it the status may be wrong: nothing is paid again."""
    silent = read_interaction({"status": "completed", "model": "gemini-omni-1.2-flash"}, ID, MODELS)
    usage = {"total_tokens": 9, "total_input_tokens": 9, "total_output_tokens": 0}
    reported = read_interaction({"status": "completed", "usage": usage}, ID, MODELS)

    assert (silent.stage, reported.stage) == (Stage.FAILED, Stage.FAILED)
    assert silent.error
    assert reported.error
    assert (silent.error.charged, reported.error.charged) == (None, False)
