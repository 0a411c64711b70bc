"""`/v1/videos`: the request bodies, and the parsing of responses."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laozhang import CAPTURED, FILE, make_request, make_response

from veo.errors import (
    AuthError,
    BalanceError,
    BusyError,
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
OMNI = MODELS["gemini-omni-1.2-flash"]

# ---- request bodies


def test_text_to_video_sends_model_and_prompt_only() -> None:
    """The legacy names fix duration and orientation, so nothing else is sent."""
    body = build_task_body(make_request(), MODELS["veo-3.1-fast"])
    assert body == {"model": "veo-3.1-fast", "prompt": "a cat"}
    assert not uses_form(make_request(), MODELS["veo-3.1-fast"])


def test_frames_share_one_field_name() -> None:
    """The order of the two parts distinguishes the start frame from the end frame."""
    video_request = make_request(model="veo-3.1-fast-fl", start_frame=PNG, end_frame=JPEG)
    assert uses_form(video_request, MODELS["veo-3.1-fast-fl"])
    assert build_form_fields(video_request, MODELS["veo-3.1-fast-fl"]) == {
        "model": "veo-3.1-fast-fl",
        "prompt": "a cat",
    }
    assert build_form_files(video_request, MODELS["veo-3.1-fast-fl"]) == [
        ("input_reference", ("image.png", PNG.data, "image/png")),
        ("input_reference", ("image.jpg", JPEG.data, "image/jpeg")),
    ]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"seconds": "8", "resolution": "720p", "aspect_ratio": "16:9"}),
        (
            {"duration": 3, "resolution": "360p", "aspect_ratio": "9:16"},
            {"seconds": "3", "resolution": "360p", "aspect_ratio": "9:16"},
        ),
        (
            {"reference": (PNG, JPEG), "duration": 10, "resolution": "1080p"},
            {
                "seconds": "10",
                "resolution": "1080p",
                "aspect_ratio": "16:9",
                "reference_images": [PNG.data_uri(), JPEG.data_uri()],
            },
        ),
    ],
)
def test_omni_is_sent_as_json(options: dict[str, Any], sent: dict[str, Any]) -> None:
    """The documented fields and no others; defaults are sent, too."""
    video_request = make_request(model=OMNI.name, **options)
    assert not uses_form(video_request, OMNI)
    assert build_task_body(video_request, OMNI) == {
        "model": "gemini-omni-1.2-flash",
        "prompt": "a cat",
        **sent,
    }


def test_a_start_frame_of_omni_is_a_part_of_a_form() -> None:
    """All options are text fields beside it."""
    video_request = make_request(model=OMNI.name, start_frame=PNG)
    assert uses_form(video_request, OMNI)
    assert build_form_fields(video_request, OMNI) == build_task_body(video_request, OMNI)
    assert build_form_files(video_request, OMNI) == [
        ("input_reference", ("image.png", PNG.data, "image/png"))
    ]


@pytest.mark.parametrize("name", ["muse-video", "muse-video-60s"])
def test_frames_of_muse_have_keys_of_their_own(name: str) -> None:
    """Its size is fixed, so only length and ratio are sent."""
    muse = MODELS[name]
    video_request = make_request(model=name, start_frame=PNG, end_frame=JPEG, aspect_ratio="9:16")
    assert build_form_fields(video_request, muse) == {
        "model": name,
        "prompt": "a cat",
        "seconds": str(muse.durations[0]),
        "aspect_ratio": "9:16",
    }
    assert build_form_files(video_request, muse) == [
        ("input_reference", ("image.png", PNG.data, "image/png")),
        ("last_frame", ("image.jpg", JPEG.data, "image/jpeg")),
    ]


def test_six_references_of_omni_fit_one_request() -> None:
    """In base64 they are below the 8 MB from which on uploads were seen refused."""
    assert OMNI.max_references * OMNI.image.max_bytes * 4 / 3 <= 8_000_000


def test_official_models_receive_every_option() -> None:
    """All options are form fields, the size is derived, and metadata repeats the options."""
    video_request = make_request(
        model=OFFICIAL.name,
        aspect_ratio="9:16",
        resolution="1080p",
        duration=8,
        negative_prompt="rain",
        seed=0,
    )
    fields = build_form_fields(video_request, OFFICIAL)
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


def test_official_models_receive_the_defaults() -> None:
    """Defaults are sent too, and a prompt alone is sent as a form."""
    video_request = make_request(model=OFFICIAL.name)
    assert uses_form(video_request, OFFICIAL)
    fields = build_form_fields(video_request, OFFICIAL)
    assert (fields["seconds"], fields["size"]) == ("8", "1280x720")
    assert {"negativePrompt", "seed"}.isdisjoint(fields)


def test_chat_body() -> None:
    """The content is a list, images are data URIs, and one video is requested."""
    body = build_chat_body(make_request(model="veo-3.1-fast-fl", start_frame=PNG, end_frame=JPEG))
    (message,) = body.pop("messages")
    assert body == {"model": "veo-3.1-fast-fl", "stream": True, "n": 1}
    assert message["role"] == "user"
    assert message["content"] == [
        {"type": "text", "text": "a cat"},
        {"type": "image_url", "image_url": {"url": PNG.data_uri()}},
        {"type": "image_url", "image_url": {"url": JPEG.data_uri()}},
    ]


def test_ids_are_encoded_in_paths() -> None:
    """An id with any characters remains one segment of the path."""
    assert task_path("a/b c?d") == "videos/a%2Fb%20c%3Fd"
    assert content_path("video_1") == "videos/video_1/content"


# ---- responses to the paid POST


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
def test_places_of_the_task_id(body: Any) -> None:
    """The id is found in every documented, captured and gateway format."""
    update = read_submit_response(make_response(body))
    assert (update.stage, update.task_id) == (Stage.SUBMITTED, "video_1")


def test_numeric_id() -> None:
    """A number is accepted as an id, as text."""
    assert read_submit_response(make_response({"id": 42})).task_id == "42"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
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
    """A response without an id does not tell whether the request was accepted."""
    with pytest.raises(ProtocolError) as caught:
        read_submit_response(make_response(body))
    assert caught.value.charged is None


REFUSALS = [
    (b"<html><title>OK</title></html>", ConfigError),
    (b"\n <!DOCTYPE html><body>please log in", ConfigError),
    ({"code": 402, "msg": "no"}, BalanceError),
    ({"code": 402, "message": "no", "data": {"id": None}}, BalanceError),
    ({"code": "401", "message": "no"}, AuthError),
    ({"error": {"code": 403, "message": "no"}}, AuthError),
    ({"status_code": 429, "detail": "no"}, BusyError),
    ({"code": 400, "errors": [{"message": "no"}]}, RefusedError),
    ({"success": False, "message": "no", "error_code": "X"}, RefusedError),
]


@pytest.mark.parametrize(("body", "kind"), REFUSALS, ids=repr)
def test_200_that_clearly_says_no(body: Any, kind: type[VeoError]) -> None:
    """A web page and the code of a refusal are never a charge, whatever their status."""
    with pytest.raises(VeoError) as caught:
        read_submit_response(make_response(body))
    assert (type(caught.value), caught.value.charged) == (kind, False)
    if kind is ConfigError:
        assert "/v1" in str(caught.value.hint)


@pytest.mark.parametrize("code", [500, "502", 504, 5000, 402.5, True])
def test_200_with_the_code_of_a_failure(code: Any) -> None:
    """A failure of a server proves as little as its HTTP status would."""
    with pytest.raises(VeoError) as caught:
        read_submit_response(make_response({"code": code, "msg": "no"}))
    assert caught.value.charged is None


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"task_id": "t-1"}]},
        {"data": [{"id": "t-1", "status": "queued"}]},
        {"code": 200, "data": [{"task_id": "t-1"}]},
        {"code": "success", "data": [{"task_id": "t-1", "id": 7}]},
    ],
)
def test_a_task_in_a_list(body: Any) -> None:
    """An acceptance that is a list of one."""
    assert read_submit_response(make_response(body)).task_id == "t-1"


def test_a_poll_that_says_402() -> None:
    """The code counts in the response to a GET as well."""
    with pytest.raises(BalanceError):
        read_poll(make_response({"code": 402, "msg": "no"}), "t-1")
    with pytest.raises(TaskNotFoundError):
        read_poll(make_response({"code": 404, "msg": "no"}), "t-1")


def test_200_with_a_listed_error_is_a_refusal() -> None:
    """An id in an error envelope is ignored; the error table decides."""
    body = {"code": "invalid_request", "message": "prompt is required", "data": {"id": "x"}}
    with pytest.raises(RefusedError) as caught:
        read_submit_response(make_response(body))
    assert caught.value.charged is False


# ---- polling


def test_captured_task() -> None:
    """The captured body is read; its wrong model and seconds are ignored."""
    update = read_poll(make_response(CAPTURED), CAPTURED["id"])
    assert update.stage is Stage.READY
    assert update.video == RemoteVideo(FILE)
    assert (update.progress, update.task_id, update.error) == (1.0, CAPTURED["id"], None)


@pytest.mark.parametrize(("word", "stage"), STAGES.items(), ids=STAGES)
def test_stage_of_every_status(word: str, stage: Stage) -> None:
    """Case, dashes and spaces in a status do not matter."""
    for status in (word, word.upper(), word.replace("_", "-"), word.replace("_", " ").title()):
        assert read_poll(make_response({"id": "x", "status": status}), "x").stage is stage


def test_table_of_statuses_is_complete() -> None:
    """The table contains every status of the vendor's pages, captures, gateway and apps."""
    pending = "queued submitted pending not_start notstarted created starting preparing"
    running = "processing in_progress running generating image_downloading video_generating"
    ready = "completed complete succeeded succeed success finished done ready processed"
    failed = "failed failure fail error cancelled canceled expired timeout rejected aborted"
    failed += " blocked moderation_blocked nsfw"
    words = (pending.split(), running.split(), ready.split(), failed.split())
    assert dict.fromkeys(STAGES) == dict.fromkeys(word for group in words for word in group)
    assert read_poll(make_response({"id": "x", "status": ""}), "x").stage is Stage.SUBMITTED
    assert read_poll(make_response({"id": "x", "status": None}), "x").stage is Stage.SUBMITTED


def test_unknown_status_counts_as_running(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task with an unknown status is treated as running."""
    with caplog.at_level(logging.WARNING, logger="veo_laozhang.responses"):
        updates = [read_poll(make_response({"status": "marinating"}), "x") for _ in range(3)]
    assert {update.stage for update in updates} == {Stage.RUNNING}
    assert [record.getMessage() for record in caplog.records] == [
        "unknown task status 'marinating': treated as running"
    ]


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        ({"status": "succeed", "progress": 100, "video_url": FILE}, Stage.READY),
        ({"status": "Ready", "video_url": FILE}, Stage.READY),
        ({"status": "processed", "video_url": FILE}, Stage.READY),
        ({"status": "TASK_STATUS_SUCCEED", "video_url": FILE}, Stage.READY),
        ({"status": "hooray", "video_url": FILE}, Stage.READY),
        ({"status": "unknown", "video_url": FILE}, Stage.READY),
        ({"status": "hooray", "progress": 100, "url": FILE}, Stage.READY),
        ({"status": "rendering", "progress": 40, "url": FILE}, Stage.RUNNING),
        ({"status": "processing", "url": FILE}, Stage.RUNNING),
        ({"status": "oops", "error": {"code": "", "message": "no"}}, Stage.FAILED),
        ({"status": "oops", "error": "no"}, Stage.FAILED),
        ({"status": "oops", "error": {"code": 0, "message": ""}}, Stage.RUNNING),
        ({"status": "unknown"}, Stage.SUBMITTED),
        ({"state": "succeed", "video_url": FILE}, Stage.READY),
        ({"state": "aborted"}, Stage.FAILED),
        ({"output": {"task_status": "SUCCEEDED", "video_url": FILE}}, Stage.READY),
        ({"output": {"task_status": "RUNNING"}}, Stage.RUNNING),
        ({"detail": {"status": "completed", "video_url": FILE}}, Stage.READY),
        ({"status": "ok", "state": "processing"}, Stage.RUNNING),
        ({"code": 200, "data": {"taskId": "x", "successFlag": 0}}, Stage.RUNNING),
        (
            {"code": 200, "data": {"successFlag": 1, "response": {"resultUrls": [FILE]}}},
            Stage.READY,
        ),
        ({"code": 200, "data": {"successFlag": 3, "errorMessage": "no"}}, Stage.FAILED),
    ],
    ids=repr,
)
def test_evidence_outweighs_an_unknown_status(body: Any, stage: Stage) -> None:
    """Words of relays are known, wherever they stand; a video or an error decides for the rest."""
    update = read_poll(make_response(body), "x")
    assert update.stage is stage
    assert update.video == (RemoteVideo(FILE) if stage is Stage.READY else None)


@pytest.mark.parametrize("status", ["moderation_blocked", "blocked", "nsfw"])
@pytest.mark.parametrize("error", [{}, {"error": {"message": "the prompt was not accepted"}}])
def test_blocked_by_moderation(status: str, error: dict[str, Any]) -> None:
    """The status says that the task has failed, and why."""
    update = read_poll(make_response({"id": "x", "status": status} | error), "x")
    assert update.stage is Stage.FAILED
    is_clear = status != "blocked" or not error
    assert type(update.error) is (ModeratedError if is_clear else GenerationError)


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
def test_stage_without_a_status(body: Any, stage: Stage) -> None:
    """A URL means ready, an id with an error failed, an id alone submitted."""
    assert read_poll(make_response(body), "x").stage is stage


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"<html></html>", {}, [1], 7], ids=repr)
def test_unreadable_poll_is_retryable(body: Any) -> None:
    """An unreadable response does not tell anything about the task."""
    with pytest.raises(ProtocolError) as caught:
        read_poll(make_response(body), "x")
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
def test_places_of_the_url(places: Any) -> None:
    """The places are searched in order; empty and null fields are skipped."""
    update = read_poll(make_response({"id": "x", "status": "completed", **places}), "x")
    assert update.video == RemoteVideo(FILE)


def test_gateway_envelope() -> None:
    """The compatibility route wraps the task, and sends progress as text."""
    task = {"id": 12, "task_id": "task_x", "status": "IN_PROGRESS", "progress": "30%"}
    update = read_poll(make_response({"code": "success", "message": "", "data": task}), "task_x")
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
def test_task_without_a_url_uses_its_content(body: Any) -> None:
    """The content is fetched from the base URL, whatever host name the gateway sends."""
    video = read_poll(make_response(body), "task_1").video
    assert video == RemoteVideo("videos/task_1/content")


def test_relative_path() -> None:
    """A path without a host is kept; one family of models sends such."""
    video = read_poll(make_response({"status": "completed", "url": "/files/7"}), "x").video
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


@pytest.mark.parametrize(("value", "share"), PROGRESS, ids=lambda value: repr(value)[:30])
def test_progress_formats(value: Any, share: float | None) -> None:
    """Progress is a percentage in any notation; a float up to 1 is a fraction while running."""
    assert parse_progress(value, running=True) == share


def test_a_fraction_counts_only_while_running() -> None:
    """0.5 of a queued task is half a percent."""
    assert parse_progress(0.5, running=False) == 0.005
    assert read_task({"id": "x", "status": "queued", "progress": 0.5}).progress == 0.005


def test_progress_does_not_decide_the_stage() -> None:
    """A failed or running task may have a progress of 100."""
    assert (
        read_poll(make_response({"status": "running", "progress": 100}), "x").stage is Stage.RUNNING
    )
    failed = read_poll(make_response({"status": "failed", "progress": 100}), "x")
    assert (failed.stage, failed.progress) == (Stage.FAILED, 1.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
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
def test_timestamp_formats(value: Any, seconds: float | None) -> None:
    """A time is seconds, milliseconds, either as text, or ISO 8601."""
    assert parse_timestamp(value) == seconds


def test_expiry_of_a_file() -> None:
    """`expires_at` becomes the expiry of the video."""
    body = CAPTURED | {"expires_at": 1764259341}
    assert read_poll(make_response(body), "x").video == RemoteVideo(FILE, expires_at=1764259341.0)


def test_poll_delay_header() -> None:
    """The header that the OpenAI clients observe, in milliseconds, sets the next poll."""
    later = read_poll(make_response({"status": "queued"}, openai_poll_after_ms="2500"), "x")
    unset = read_poll(make_response({"status": "queued"}, openai_poll_after_ms="soon"), "x")
    assert (later.poll_after, unset.poll_after) == (2.5, None)


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
def test_places_of_a_failure_reason(body: Any, message: str) -> None:
    """The reason is found in every format; a failed task is not charged on this route."""
    update = read_poll(make_response({"id": "x", "status": "failed", **body}), "x")
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
def test_transient_failures_are_retryable(
    message: str, kind: type[VeoError], *, retryable: bool
) -> None:
    """Moderation is final; a failure of the service is transient."""
    update = read_poll(make_response({"status": "failed", "error": {"message": message}}), "x")
    assert type(update.error) is kind
    assert update.error.retryable is retryable


def test_failed_task_as_a_failed_get() -> None:
    """`get_task_failed` with a reason is a failed task, whatever the HTTP status."""
    body = {"code": "get_task_failed", "message": "帧转视频模式的至少上传一帧", "data": None}
    for status in (200, 400, 500):
        update = read_poll(make_response(body, status), "x")
        assert update.stage is Stage.FAILED
        assert update.error is not None
        assert update.error.message == "帧转视频模式的至少上传一帧"
        assert update.error.hint is not None


def test_database_error_of_the_gateway_is_not_a_failed_task() -> None:
    """The same code with a reason of the gateway's database is retryable."""
    body = {"code": "get_task_failed", "message": "dial tcp 10.0.0.3:3306: timeout", "data": None}
    with pytest.raises(ProtocolError) as caught:
        read_poll(make_response(body, 500), "x")
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
def test_task_not_found_only_from_the_api(status: int, body: Any, kind: type[VeoError]) -> None:
    """A 404 of a proxy, or for a wrong base URL, does not tell anything about the task."""
    with pytest.raises(VeoError) as caught:
        read_poll(make_response(body, status), "x")
    assert type(caught.value) is kind


# ---- arbitrary input


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
def test_any_json(body: Any, status: int) -> None:
    """Any JSON gives an update or a VeoError."""
    for read in (read_submit_response, lambda response: read_poll(response, "x")):
        _check_outcome(read, make_response(body, status))


@given(st.binary(max_size=200), statuses, st.text(max_size=20))
def test_any_bytes(body: bytes, status: int, wait: str) -> None:
    """Any bytes and headers give an update or a VeoError."""
    response = make_response(body, status, Retry_After=wait, openai_poll_after_ms=wait)
    for read in (read_submit_response, lambda response: read_poll(response, "x")):
        _check_outcome(read, response)


def test_deep_nesting() -> None:
    """JSON nested deeper than Python's recursion limit is handled."""
    for depth in (50, 900, 200_000):
        body = b'{"status":"failed","error":' + b"[" * depth + b"]" * depth + b"}"
        _check_outcome(lambda response: read_poll(response, "x"), make_response(body))


def test_half_a_surrogate_pair() -> None:
    """Ids, statuses and reasons with half a surrogate pair become encodable."""
    half = rb'{"id":"a\ud83d","status":"odd\udc00","url":"/\ud83d"}'
    name = str(read_submit_response(make_response(half)).task_id)
    failed = read_poll(
        make_response(half.replace(b"odd", b"failed").replace(rb"\udc00", b"")), name
    )
    reason = read_poll(
        make_response(rb'{"status":"failed","error":"no \ud83d\ude00 \ud83d"}'), name
    )
    assert name.encode() == b"a?"
    assert failed.stage is Stage.FAILED
    assert reason.error is not None
    assert reason.error.message == "no \U0001f600 ?"
    assert content_path(name) == "videos/a%3F/content"


def _check_outcome(read: Any, response: Any) -> None:
    try:
        update = read(response)
    except VeoError as error:
        assert error.message  # noqa: PT017 - raising is one of two right answers
    else:
        assert (update.video is not None) == (update.stage is Stage.READY)
        assert (update.error is not None) == (update.stage is Stage.FAILED)


# ---- facts


def test_models_and_charges_of_the_routes() -> None:
    """The chat has the eight legacy names only, and charges on acceptance."""
    tasks, chat = LaoZhangAsync.facts.models, LaoZhangSync.facts.models
    assert (len(tasks), len(chat)) == (17, 8)
    assert chat.keys() < tasks.keys()
    assert next(iter(tasks)) == "gemini-omni-1.2-flash"
    assert {model.price.charged for model in tasks.values()} == {"on_success"}
    assert {model.price.charged for model in chat.values()} == {"on_accept"}
