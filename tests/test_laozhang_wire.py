"""`/v1/videos`: what is sent, and what is read out of whatever comes back."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laozhang import CAPTURED, FILE, answer, request

from veo.errors import (
    ConfigError,
    GenerationError,
    ModeratedError,
    ProtocolError,
    RefusedError,
    TaskNotFoundError,
    VeoError,
)
from veo.image import Image
from veo.update import RemoteVideo, Stage
from veo.wire.values import parse_timestamp
from veo_laozhang import LaoZhangAsync, LaoZhangSync
from veo_laozhang.lenient_json import parse_progress
from veo_laozhang.request_bodies import (
    build_chat_body,
    build_form_fields,
    build_form_files,
    build_task_body,
    content_path,
    task_path,
    uses_form,
)
from veo_laozhang.responses import STAGES, read_poll, read_submit_response, read_task

PNG = Image.of(b"\x89PNG\r\n\x1a\n start")
JPEG = Image.of(b"\xff\xd8\xff end")
MODELS = LaoZhangAsync.facts.models
OFFICIAL = MODELS["veo-3.1-fast-generate-preview"]

# ---- what is sent


def test_text_to_video_says_model_and_prompt_only() -> None:
    """The legacy names decide length and orientation, so nothing else is sent."""
    assert build_task_body(request()) == {"model": "veo-3.1-fast", "prompt": "a cat"}
    assert not uses_form(request(), MODELS["veo-3.1-fast"])


def test_frames_are_uploaded_under_one_name_start_first() -> None:
    """The order of two parts of the same name is what tells start from end."""
    asked = request(model="veo-3.1-fast-fl", start_frame=PNG, end_frame=JPEG)
    assert uses_form(asked, MODELS["veo-3.1-fast-fl"])
    assert build_form_fields(asked, MODELS["veo-3.1-fast-fl"]) == build_task_body(asked)
    assert build_form_files(asked) == [
        ("input_reference", ("image.png", PNG.data, "image/png")),
        ("input_reference", ("image.jpg", JPEG.data, "image/jpeg")),
    ]


def test_official_models_get_every_option_as_form_text() -> None:
    """Seconds are text, sizes follow from resolution and aspect ratio, metadata says it again."""
    asked = request(
        model=OFFICIAL.name,
        aspect_ratio="9:16",
        resolution="1080p",
        duration=8,
        negative_prompt="rain",
        seed=0,
    )
    fields = build_form_fields(asked, OFFICIAL)
    metadata = json.loads(fields.pop("metadata"))
    assert fields == {
        "model": OFFICIAL.name,
        "prompt": "a cat",
        "seconds": "8",
        "size": "1080x1920",
        "resolution": "1080p",
        "aspectRatio": "9:16",
        "negativePrompt": "rain",
        "seed": "0",
    }
    assert metadata == {
        "durationSeconds": 8,
        "resolution": "1080p",
        "aspectRatio": "9:16",
        "negativePrompt": "rain",
        "seed": 0,
    }


def test_official_models_are_told_the_defaults_too() -> None:
    """Nothing is left to a default of the service; even text alone goes as a form."""
    asked = request(model=OFFICIAL.name)
    assert uses_form(asked, OFFICIAL)
    fields = build_form_fields(asked, OFFICIAL)
    assert (fields["seconds"], fields["size"]) == ("8", "1280x720")
    assert {"negativePrompt", "seed"}.isdisjoint(fields)


def test_chat_carries_a_list_and_data_uris() -> None:
    """The content is never a plain string, a picture never a URL, and one video is asked for."""
    body = build_chat_body(request(model="veo-3.1-fast-fl", start_frame=PNG, end_frame=JPEG))
    (message,) = body.pop("messages")
    assert body == {"model": "veo-3.1-fast-fl", "stream": True, "n": 1}
    assert message["role"] == "user"
    assert message["content"] == [
        {"type": "text", "text": "a cat"},
        {"type": "image_url", "image_url": {"url": PNG.data_uri()}},
        {"type": "image_url", "image_url": {"url": JPEG.data_uri()}},
    ]


def test_ids_are_encoded_in_paths() -> None:
    """An id is opaque: whatever it holds, it stays one part of the path."""
    assert task_path("a/b c?d") == "videos/a%2Fb%20c%3Fd"
    assert content_path("video_1") == "videos/video_1/content"


# ---- creating


@pytest.mark.parametrize(
    "body",
    [
        {"id": "video_1", "object": "video", "created": 1762181811, "status": "queued"},
        {"id": "video_1", "object": "task", "status": "submitted", "expires_at": 1762268211},
        {"id": "video_1", "created_at": "2026-01-31T12:00:00Z"},
        {"id": "video_1", "task_id": "video_1", "status": "unknown", "progress": 0},
        {"task_id": "video_1"},
        {"taskId": "video_1"},
        {"video_id": "video_1"},
        {"data": {"id": "video_1"}},
        {"data": {"task_id": "video_1"}},
        {"code": "success", "message": "", "data": "video_1"},
        {"code": 200, "data": {"taskId": "video_1"}},
        {"code": 0, "data": {"id": 17, "task_id": "video_1"}},
        {"success": True, "data": {"id": "", "taskId": " video_1 "}},
        {"success": True, "data": {"success": True, "data": {"id": "video_1"}}},
    ],
    ids=json.dumps,
)
def test_the_id_is_found_wherever_it_is(body: Any) -> None:
    """Every documented, captured and gateway shape of a create answer gives its id."""
    update = read_submit_response(answer(body))
    assert (update.stage, update.task_id) == (Stage.SUBMITTED, "video_1")


def test_a_number_will_do_as_id_if_there_is_nothing_better() -> None:
    """Ids are opaque, so a number is taken, as text."""
    assert read_submit_response(answer({"id": 42})).task_id == "42"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html><title>OK</title></html>",
        {},
        {"id": ""},
        {"id": None},
        {"id": True},
        [],
        {"data": "x"},
    ],
    ids=repr,
)
def test_200_without_an_id_may_have_been_accepted(body: Any) -> None:
    """Nobody can tell what became of the request, so nobody says that it was free."""
    with pytest.raises(ProtocolError) as caught:
        read_submit_response(answer(body))
    assert caught.value.charged is None


def test_200_with_a_listed_error_is_a_refusal() -> None:
    """An id beside an error is not believed; the table decides."""
    body = {"code": "invalid_request", "message": "prompt is required", "data": {"id": "x"}}
    with pytest.raises(RefusedError) as caught:
        read_submit_response(answer(body))
    assert caught.value.charged is False


# ---- polling


def test_the_captured_task_is_ready() -> None:
    """The one real completed body is read, its wrong model and seconds are not."""
    update = read_poll(answer(CAPTURED), CAPTURED["id"])
    assert update.stage is Stage.READY
    assert update.video == RemoteVideo(FILE)
    assert (update.progress, update.task_id, update.error) == (1.0, CAPTURED["id"], None)


@pytest.mark.parametrize(("word", "stage"), STAGES.items(), ids=STAGES)
def test_every_known_word_has_its_stage_in_any_spelling(word: str, stage: Stage) -> None:
    """Case, dashes and spaces do not matter."""
    for said in (word, word.upper(), word.replace("_", "-"), word.replace("_", " ").title()):
        assert read_poll(answer({"id": "x", "status": said}), "x").stage is stage


def test_the_table_of_words_is_the_documented_union() -> None:
    """No word of the vendor's pages, its captures, the gateway or the apps is missing."""
    pending = "queued submitted pending not_start notstarted created starting preparing unknown"
    running = "processing in_progress running generating image_downloading video_generating"
    ready = "completed complete succeeded success finished done"
    failed = "failed failure fail error cancelled canceled expired timeout rejected"
    words = (pending.split(), running.split(), ready.split(), failed.split())
    assert dict.fromkeys(STAGES) == dict.fromkeys(word for group in words for word in group)
    assert read_poll(answer({"id": "x", "status": ""}), "x").stage is Stage.SUBMITTED
    assert read_poll(answer({"id": "x", "status": None}), "x").stage is Stage.SUBMITTED


def test_an_unknown_word_ends_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A word that nobody knows is a task that still runs."""
    with caplog.at_level(logging.WARNING, logger="veo_laozhang.responses"):
        updates = [read_poll(answer({"status": "marinating"}), "x") for _ in range(3)]
    assert {update.stage for update in updates} == {Stage.RUNNING}
    assert [record.getMessage() for record in caplog.records] == [
        "unknown task status 'marinating': treated as running"
    ]


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        ({"url": FILE}, Stage.READY),
        ({"id": "x"}, Stage.SUBMITTED),
        ({"id": "x", "progress": 0}, Stage.SUBMITTED),
        ({"progress": 0}, Stage.SUBMITTED),
        ({"id": "x", "error": {"message": "no"}}, Stage.FAILED),
    ],
    ids=repr,
)
def test_without_a_status_the_rest_tells(body: Any, stage: Stage) -> None:
    """A URL means done, an error beside an id failed, an id alone waiting."""
    assert read_poll(answer(body), "x").stage is stage


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"<html></html>", {}, [1], 7], ids=repr)
def test_an_unreadable_poll_may_be_repeated(body: Any) -> None:
    """Garbage says nothing about the task."""
    with pytest.raises(ProtocolError) as caught:
        read_poll(answer(body), "x")
    assert caught.value.retryable


PLACES: dict[str, Any] = {
    "video_url": {"video_url": FILE, "url": "https://other/"},
    "result_url": {"result_url": FILE, "url": "https://other/"},
    "url": {"url": FILE, "metadata": {"url": "https://other/"}},
    "videoUrl": {"videoUrl": FILE},
    "output.url": {"output": {"url": FILE, "duration": 8, "resolution": "1080p"}},
    "output": {"output": FILE},
    "output list": {"output": [FILE]},
    "output list of objects": {"output": [{"url": FILE}]},
    "result.video_url": {"result": {"video_url": FILE}},
    "result.url": {"result": {"url": FILE}},
    "metadata.url": {"metadata": {"url": FILE}},
    "data[0].url": {"data": [{"url": FILE}]},
    "data.url": {"data": {"url": FILE}},
    "content.video_url": {"content": {"video_url": FILE}},
    "fail_reason": {"fail_reason": FILE},
    "others empty": {"video_url": "", "result_url": None, "url": 0, "output": {"url": FILE}},
}


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_the_url_is_found_in_every_known_place(places: Any) -> None:
    """The places are asked in order; empty and null count as absent."""
    update = read_poll(answer({"id": "x", "status": "completed", **places}), "x")
    assert update.video == RemoteVideo(FILE)


def test_a_gateway_envelope_is_read_through() -> None:
    """The compatibility route wraps the task, and says its progress as text."""
    task = {"id": 12, "task_id": "task_x", "status": "IN_PROGRESS", "progress": "30%"}
    update = read_poll(answer({"code": "success", "message": "", "data": task}), "task_x")
    assert (update.stage, update.progress) == (Stage.RUNNING, 0.3)


@pytest.mark.parametrize(
    "body",
    [
        {"status": "completed"},
        {"status": "completed", "url": None},
        {"status": "completed", "url": ""},
        {"status": "completed", "fail_reason": "none"},
        {"status": "completed", "url": "/v1/videos/task_1/content"},
        {"status": "completed", "url": "https://api2.example.com/v1/videos/task_1/content?x=1"},
        {"status": "completed", "url": "http://localhost:3000/v1/videos/task_1/content"},
    ],
    ids=repr,
)
def test_no_url_of_its_own_means_content(body: Any) -> None:
    """The content of the task is asked at our own host, whatever name a gateway has for itself."""
    video = read_poll(answer(body), "task_1").video
    assert video == RemoteVideo("videos/task_1/content")


def test_a_relative_path_is_kept_for_the_apis_own_host() -> None:
    """One family of models answers with a path."""
    video = read_poll(answer({"status": "completed", "url": "/files/7"}), "x").video
    assert video == RemoteVideo("/files/7")


PROGRESS = [
    (45, 0.45),
    (45.0, 0.45),
    ("45%", 0.45),
    (" 45.5 % ", 0.455),
    ("45", 0.45),
    (0.45, 0.45),
    (1.0, 1.0),
    (1, 0.01),
    (0, 0.0),
    (0.0, 0.0),
    (100, 1.0),
    (250, 1.0),
    (10**400, 1.0),
    (-3, 0.0),
    ("-3%", 0.0),
    ("999999999%", 1.0),
    ("soon", None),
    ("", None),
    (None, None),
    (True, None),
    (float("nan"), None),
    (float("inf"), 1.0),
    ({"upstreamStatus": "x", "retryCount": 0}, None),
    ([], None),
]


@pytest.mark.parametrize(("said", "share"), PROGRESS, ids=lambda value: repr(value)[:30])
def test_progress_is_a_share_or_unknown(said: Any, share: float | None) -> None:
    """Percent in any notation, clamped; a fraction only as a float, and only while running."""
    assert parse_progress(said, running=True) == share


def test_a_fraction_counts_only_while_running() -> None:
    """A queued task at 0.5 is at half a percent."""
    assert parse_progress(0.5, running=False) == 0.005
    assert read_task({"id": "x", "status": "queued", "progress": 0.5}).progress == 0.005


def test_progress_never_decides_the_stage() -> None:
    """Failed tasks say 100 too, and a running one may."""
    assert read_poll(answer({"status": "running", "progress": 100}), "x").stage is Stage.RUNNING
    failed = read_poll(answer({"status": "failed", "progress": 100}), "x")
    assert (failed.stage, failed.progress) == (Stage.FAILED, 1.0)


@pytest.mark.parametrize(
    ("said", "when"),
    [
        (1764173113, 1764173113.0),
        (1764173113000, 1764173113.0),
        ("1764173113", 1764173113.0),
        ("1764173113000", 1764173113.0),
        (1764173113.5, 1764173113.5),
        ("2025-11-26T16:05:13Z", 1764173113.0),
        ("2025-11-27T00:05:13+08:00", 1764173113.0),
        ("2025-11-26T16:05:13", 1764173113.0),
        (0, None),
        (-1, None),
        (10**400, None),
        (True, None),
        (float("nan"), None),
        ("tomorrow", None),
        (None, None),
        ({}, None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_times_come_in_many_notations(said: Any, when: float | None) -> None:
    """Seconds, milliseconds, either as text, ISO 8601; everything else is no time."""
    assert parse_timestamp(said) == when


def test_the_end_of_a_file_is_told() -> None:
    """`expires_at` reaches the video."""
    body = CAPTURED | {"expires_at": 1764259341}
    assert read_poll(answer(body), "x").video == RemoteVideo(FILE, expires_at=1764259341.0)


def test_a_server_may_say_when_to_ask_again() -> None:
    """The header that the OpenAI clients heed is taken, in milliseconds; nonsense is not."""
    later = read_poll(answer({"status": "queued"}, openai_poll_after_ms="2500"), "x")
    never = read_poll(answer({"status": "queued"}, openai_poll_after_ms="soon"), "x")
    assert (later.poll_after, never.poll_after) == (2.5, None)


# ---- failed tasks


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "upstream broke", "code": "task_failed"}}, "upstream broke"),
        ({"error": {"message": "upstream broke"}}, "upstream broke"),
        ({"error": "upstream broke"}, "upstream broke"),
        ({"error": ["upstream broke"]}, "upstream broke"),
        ({"message": "upstream broke"}, "upstream broke"),
        ({"msg": "upstream broke"}, "upstream broke"),
        ({"detail": [{"loc": ["x"], "msg": "upstream broke"}]}, "upstream broke"),
        ({"fail_reason": "upstream broke"}, "upstream broke"),
        ({"description": "upstream broke"}, "upstream broke"),
        ({"error": {"message": '{"error":{"message":"upstream broke"}}'}}, "upstream broke"),
        ({"error": {"code": "upstream_broke"}}, "the task is failed: upstream_broke"),
        ({"error": None}, "the task is failed"),
        ({}, "the task is failed"),
    ],
    ids=repr,
)
def test_a_failed_task_says_why_in_many_places(body: Any, message: str) -> None:
    """Whatever shape the reason has, it is told; a failed task costs nothing on this route."""
    update = read_poll(answer({"id": "x", "status": "failed", **body}), "x")
    assert update.stage is Stage.FAILED
    assert isinstance(update.error, GenerationError)
    assert (update.error.message, update.error.charged) == (message, False)


@pytest.mark.parametrize(
    ("message", "kind", "retryable"),
    [
        ("The prompt violates our content policy", ModeratedError, False),
        ("输入内容违规", ModeratedError, False),
        ("AUDIO_FILTERED", GenerationError, True),
        ("服务内部异常", GenerationError, True),
        ("We're under heavy load, please try again later", GenerationError, True),
        ("帧转视频模式的至少上传一帧", GenerationError, False),
    ],
)
def test_reasons_differ_in_what_helps(
    message: str, kind: type[VeoError], *, retryable: bool
) -> None:
    """A filter says no for good; trouble at the service may pass."""
    update = read_poll(answer({"status": "failed", "error": {"message": message}}), "x")
    assert type(update.error) is kind
    assert update.error.retryable is retryable


def test_a_failed_task_may_come_as_a_failed_get() -> None:
    """`get_task_failed` with a reason is the task's failure, whatever its status."""
    body = {"code": "get_task_failed", "message": "帧转视频模式的至少上传一帧", "data": None}
    for status in (200, 400, 500):
        update = read_poll(answer(body, status), "x")
        assert update.stage is Stage.FAILED
        assert update.error is not None
        assert update.error.message == "帧转视频模式的至少上传一帧"
        assert update.error.hint is not None


def test_the_gateways_own_trouble_fails_no_task() -> None:
    """The same code with a reason of the gateway's database is only a bad moment."""
    body = {"code": "get_task_failed", "message": "dial tcp 10.0.0.3:3306: timeout", "data": None}
    with pytest.raises(ProtocolError) as caught:
        read_poll(answer(body, 500), "x")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"code": "task_not_exist", "message": "task_not_exist"}, TaskNotFoundError),
        (200, {"code": "task_not_exist", "message": "task_not_exist"}, TaskNotFoundError),
        (404, {"error": {"message": "Task not found", "type": "x"}}, TaskNotFoundError),
        (404, b"", TaskNotFoundError),
        (404, {"error": {"message": "Invalid URL (GET /videos/x)"}}, ConfigError),
        (404, b"<html><title>404</title></html>", ProtocolError),
        (404, b"404 page not found", ProtocolError),
        (400, {"error": {"message": "odd"}}, ProtocolError),
        (502, b"<html>bad gateway</html>", ProtocolError),
    ],
)
def test_only_the_api_itself_can_miss_a_task(status: int, body: Any, kind: type[VeoError]) -> None:
    """A 404 of a proxy, or of a wrong base URL, says nothing about the task."""
    with pytest.raises(VeoError) as caught:
        read_poll(answer(body, status), "x")
    assert type(caught.value) is kind


# ---- whatever comes


KEYS = [
    *("id", "task_id", "taskId", "video_id", "data", "status", "progress", "error", "message"),
    *("url", "video_url", "output", "result", "metadata", "content", "fail_reason", "code"),
    *("success", "expires_at", "type", "detail", "msg", "choices", "delta"),
]
WORDS = [*STAGES, "success", "get_task_failed", "https://a/b.mp4", "/x", '{"error": "x"}', "45%"]
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=25,
)
statuses = st.sampled_from([200, 201, 204, 400, 401, 402, 403, 404, 413, 429, 500, 502, 503, 599])


@given(anything, statuses)
def test_any_json_gives_an_update_or_an_error_of_ours(body: Any, status: int) -> None:
    """No shape of JSON breaks a reader."""
    for read in (read_submit_response, lambda whole: read_poll(whole, "x")):
        _only_ours(read, answer(body, status))


@given(st.binary(max_size=200), statuses, st.text(max_size=20))
def test_any_bytes_give_an_update_or_an_error_of_ours(body: bytes, status: int, wait: str) -> None:
    """No bytes and no header break a reader."""
    whole = answer(body, status, Retry_After=wait, openai_poll_after_ms=wait)
    for read in (read_submit_response, lambda whole: read_poll(whole, "x")):
        _only_ours(read, whole)


def test_deep_nesting_breaks_nothing() -> None:
    """JSON that nests deeper than Python recurses is an unreadable answer, or a task without."""
    for depth in (50, 900, 200_000):
        body = b'{"status":"failed","error":' + b"[" * depth + b"]" * depth + b"}"
        _only_ours(lambda whole: read_poll(whole, "x"), answer(body))


def test_half_a_surrogate_pair_breaks_nothing() -> None:
    """JSON may hold what no database takes: ids, words and reasons come out encodable."""
    half = rb'{"id":"a\ud83d","status":"odd\udc00","url":"/\ud83d"}'
    name = str(read_submit_response(answer(half)).task_id)
    failed = read_poll(answer(half.replace(b"odd", b"failed").replace(rb"\udc00", b"")), name)
    reason = read_poll(answer(rb'{"status":"failed","error":"no \ud83d\ude00 \ud83d"}'), name)
    assert name.encode() == b"a?"
    assert failed.stage is Stage.FAILED
    assert reason.error is not None
    assert reason.error.message == "no \U0001f600 ?"
    assert content_path(name) == "videos/a%3F/content"


def _only_ours(read: Any, whole: Any) -> None:
    try:
        update = read(whole)
    except VeoError as error:
        assert error.message  # noqa: PT017 - raising is one of two right answers
    else:
        assert (update.video is not None) == (update.stage is Stage.READY)
        assert (update.error is not None) == (update.stage is Stage.FAILED)


# ---- facts


def test_the_two_routes_differ_in_models_and_in_when_they_charge() -> None:
    """Official models are tasks only; a stream is charged once accepted."""
    tasks, chat = LaoZhangAsync.facts.models, LaoZhangSync.facts.models
    assert len(tasks) == 10
    assert [name for name in tasks if name not in chat] == [
        "veo-3.1-fast-generate-preview",
        "veo-3.1-generate-preview",
    ]
    assert {model.price.charged for model in tasks.values()} == {"on_success"}
    assert {model.price.charged for model in chat.values()} == {"on_accept"}
