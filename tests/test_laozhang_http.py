"""The asynchronous route over real sockets: the sandbox, and servers that misbehave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from laozhang import FILE, KEY, chat_at, ignore, picture, request, tasks_at
from polling import poll
from recording_server import RecordingServer, Reply

from veo.errors import (
    AuthError,
    BalanceError,
    BusyError,
    ConfigError,
    GoneError,
    KeyMissingError,
    ModelUnavailableError,
    NotReadyError,
    ProtocolError,
    RefusedError,
    ResponseLostError,
    TaskNotFoundError,
    TooLargeError,
    UnreachableError,
    VeoError,
)
from veo.key import Key
from veo.provider import Connection, Pingable
from veo.update import RemoteVideo, Stage
from veo_laozhang import LaoZhangAsync, LaoZhangSync

if TYPE_CHECKING:
    from veo.provider import ByteStream
    from veo_sandbox import Sandbox

MP4 = b"\0\0\0\x18ftypisom" + bytes(range(256)) * 8
Start = Callable[..., "Sandbox"]


def finished(route: LaoZhangAsync, task_id: str) -> RemoteVideo:
    """The video of a task, once there is one."""
    for _ in range(600):
        update = poll(route, task_id)
        if update.video:
            return update.video
        time.sleep(0.02)
    pytest.fail("the task never ended")


def whole(stream: ByteStream) -> bytes:
    """All bytes of a stream."""
    data = b"".join(stream.chunks)
    stream.close()
    return data


# ---- tasks, against the sandbox


@pytest.mark.parametrize("profile", ["capture-2025-11", "docs"])
def test_a_task_goes_from_prompt_to_bytes(sandbox: Start, profile: str) -> None:
    """As captured, and as documented: the bytes come, whole and from an offset; one bill."""
    box = sandbox(profile=profile)
    route = tasks_at(box.url)
    update = route.submit(request(), ignore)
    video = finished(route, str(update.task_id))
    data = whole(route.open(video))
    rest = route.open(video, 100)
    assert update.stage is Stage.SUBMITTED
    assert data[4:8] == b"ftyp"
    assert (rest.offset, rest.total, whole(rest)) == (100, len(data), data[100:])
    assert [bill["amount"] for bill in box.bills()] == [0.15]
    assert box.leaks() == []


def test_frames_arrive_in_order_with_their_real_types(sandbox: Start) -> None:
    """The start frame first, each labelled by what its bytes are."""
    box = sandbox()
    start, end = picture("PNG", "red"), picture("JPEG", "blue")
    asked = request(model="veo-3.1-landscape-fast-fl", start_frame=start, end_frame=end)
    tasks_at(box.url).submit(asked, ignore)
    (task,) = box.tasks()
    assert [image["sha256"] for image in task["request"]["images"]] == [start.sha256, end.sha256]
    assert task["request"]["prompt"] == "a cat"


def test_the_official_route_makes_what_was_asked_for(sandbox: Start) -> None:
    """Length and size arrive, the file comes from `/content`, after the seconds it needs."""
    box = sandbox(profile="official", content_lag=3600)
    route = tasks_at(box.url)
    asked = request(
        model="veo-3.1-fast-generate-preview",
        duration=6,
        aspect_ratio="9:16",
        negative_prompt="rain",
        seed=7,
        start_frame=picture("JPEG", "red"),
    )
    update = route.submit(asked, ignore)
    (task,) = box.tasks()
    assert (task["request"]["size"], task["request"]["seconds"]) == ("720x1280", 6)
    assert len(task["request"]["images"]) == 1
    video = finished(route, str(update.task_id))
    assert video.uri == f"videos/{update.task_id}/content"
    with pytest.raises(NotReadyError) as caught:
        route.open(video)
    assert caught.value.retry_after == 4.0
    box.advance(7200)
    assert whole(route.open(video))[4:8] == b"ftyp"


def test_a_prompt_alone_is_a_form_on_the_official_route(sandbox: Start) -> None:
    """In JSON the options would be ignored; 1080p is made at 1080p."""
    box = sandbox(profile="official")
    asked = request(model="veo-3.1-generate-preview", resolution="1080p", duration=8)
    tasks_at(box.url).submit(asked, ignore)
    (task,) = box.tasks()
    assert (task["request"]["size"], task["request"]["seconds"]) == ("1920x1080", 8)


CREATE = {
    "http_400": (RefusedError, False),
    "http_401": (AuthError, False),
    "http_402": (BalanceError, False),
    "http_403": (BalanceError, False),
    "http_403_model": (ModelUnavailableError, False),
    "http_413_html": (TooLargeError, False),
    "http_429": (BusyError, False),
    "http_429_quota": (BalanceError, False),
    "http_503_overload": (BusyError, False),
    "http_503_model": (ModelUnavailableError, False),
    "http_408": (ResponseLostError, None),
    "http_500": (ResponseLostError, None),
    "http_500_task": (ResponseLostError, None),
    "http_502_html": (ResponseLostError, None),
    "http_504_html": (ResponseLostError, None),
    "reset": (ResponseLostError, None),
    "drop_answer": (ResponseLostError, None),
    "garbage_json": (ProtocolError, None),
    "garbage_bytes": (ProtocolError, None),
    "html_200": (ProtocolError, None),
}


@pytest.mark.parametrize("fault", CREATE)
def test_a_create_that_fails_says_what_it_cost(sandbox: Start, fault: str) -> None:
    """Free only where the service said no; whatever was accepted behind it is never called free."""
    kind, charged = CREATE[fault]
    box = sandbox()
    box.fault(fault, on="create")
    with pytest.raises(VeoError) as caught:
        tasks_at(box.url).submit(request(), ignore)
    assert (type(caught.value), caught.value.charged) == (kind, charged)
    assert charged is None or box.tasks() == []


def test_a_create_without_an_answer_is_left_in_time(sandbox: Start) -> None:
    """A server that never answers is left after `read_s`, the outcome unknown."""
    box = sandbox()
    box.fault("stuck", on="create")
    with pytest.raises(ResponseLostError, match="silence") as caught:
        tasks_at(box.url, read_s=0.2).submit(request(), ignore)
    assert caught.value.charged is None


def test_no_connection_means_nothing_was_sent() -> None:
    """A refused connection is certainly free."""
    for route in (tasks_at("http://127.0.0.1:9"), chat_at("http://127.0.0.1:9")):
        with pytest.raises(UnreachableError) as caught:
            route.submit(request(), ignore)
        assert caught.value.charged is False


@pytest.mark.parametrize(
    ("fault", "count", "kind"),
    [
        ("task_not_exist", 1, TaskNotFoundError),
        ("garbage_json", 1, ProtocolError),
        ("garbage_bytes", 1, ProtocolError),
        ("html_200", 1, ProtocolError),
        ("http_429", 1, BusyError),
        ("http_502_html", 1, ProtocolError),
        ("reset", 2, ResponseLostError),  # aiohttp repeats a GET once
    ],
)
def test_a_poll_that_fails_says_nothing_about_the_task(
    sandbox: Start, fault: str, count: int, kind: type[VeoError]
) -> None:
    """The next poll of the same task is answered as if nothing had been."""
    box = sandbox(latency="fixed:9999")
    route = tasks_at(box.url)
    task_id = str(route.submit(request(), ignore).task_id)
    box.fault(fault, on="poll", first=count)
    with pytest.raises(kind):
        poll(route, task_id)
    assert poll(route, task_id).stage in {Stage.SUBMITTED, Stage.RUNNING}


@pytest.mark.parametrize(
    "fault",
    [
        *("failed", "failed_object", "failed_string", "failed_silent", "failed_message"),
        *("failed_reason", "get_task_failed", "moderated"),
    ],
)
def test_a_task_that_fails_is_an_update(sandbox: Start, fault: str) -> None:
    """Whatever shape the failure has, also that of a failed GET; nothing is charged."""
    box = sandbox()
    box.fault(fault)
    route = tasks_at(box.url)
    update = route.submit(request(), ignore)
    for _ in range(300):
        update = poll(route, str(update.task_id))
        if update.stage is Stage.FAILED:
            break
        time.sleep(0.02)
    assert update.error is not None
    assert (update.error.charged, box.balance()) == (False, sandbox().balance())


@pytest.mark.parametrize("fault", ["mislabelled", "redirect", "no_length", "ignore_range"])
def test_odd_downloads_bring_the_file(sandbox: Start, fault: str) -> None:
    """Labels lie, places move, lengths are missing, offsets are ignored: the bytes are right."""
    box = sandbox()
    route = tasks_at(box.url)
    video = finished(route, str(route.submit(request(), ignore).task_id))
    data = whole(route.open(video))
    box.fault(fault, on=["content", "file"])
    opened = route.open(video, 50)
    assert whole(opened) == data[opened.offset :]
    assert box.leaks() == []


@pytest.mark.parametrize("content", ["content", "file"])
def test_a_web_page_is_never_a_video(sandbox: Start, content: str) -> None:
    """A maintenance page under status 200, from the API or from the storage host."""
    box = sandbox(profile="official" if content == "content" else "capture-2025-11")
    model = "veo-3.1-fast-generate-preview" if content == "content" else "veo-3.1-fast"
    route = tasks_at(box.url)
    video = finished(route, str(route.submit(request(model=model), ignore).task_id))
    box.fault("html_200", on=content)
    with pytest.raises(ProtocolError, match="web page"):
        route.open(video)


# ---- files, against two servers: the API and a storage host


@pytest.fixture
def api() -> Iterator[RecordingServer]:
    """The API's host."""
    with RecordingServer() as server:
        yield server


@pytest.fixture
def storage() -> Iterator[RecordingServer]:
    """Another host."""
    with RecordingServer(Reply(MP4)) as server:
        yield server


CONTENT = RemoteVideo("videos/task_1/content")


@pytest.mark.parametrize("key", ["url", "video_url", "result_url"])
def test_content_may_be_json(api: RecordingServer, storage: RecordingServer, key: str) -> None:
    """The URL in it is followed, to another host without the key."""
    api.reply = Reply({"id": "task_1", "status": "completed", key: f"{storage.url}/v.mp4"})
    assert whole(tasks_at(api.url).open(CONTENT)) == MP4
    assert api.only_request.path == "/v1/videos/task_1/content"
    assert api.only_request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert "authorization" not in storage.only_request.headers


def test_json_may_be_mislabelled_and_its_url_relative(api: RecordingServer) -> None:
    """What begins like JSON is no video, whatever it is called."""
    mislabelled = Reply(
        b' {"url": "/files/7"}', headers={"Content-Type": "application/octet-stream"}
    )
    api.reply = lambda asked: mislabelled if asked.path.endswith("content") else Reply(MP4)
    assert whole(tasks_at(api.url).open(CONTENT)) == MP4
    assert api.requests[1].path == "/files/7"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"id": "task_1", "status": "processing"}, NotReadyError),
        ({"id": "task_1", "status": "processing", "url": FILE}, NotReadyError),
        ({"error": {"message": "current status: IN_PROGRESS"}}, NotReadyError),
        ({"status": "completed"}, ProtocolError),
        ({"url": "/v1/videos/task_1/content"}, ProtocolError),
        ({}, ProtocolError),
    ],
    ids=repr,
)
def test_json_without_a_url_is_no_video(
    api: RecordingServer, body: Any, kind: type[VeoError]
) -> None:
    """Still being made, or nothing of use; a URL that leads back is not followed for ever."""
    api.reply = Reply(body)
    with pytest.raises(VeoError) as caught:
        tasks_at(api.url).open(CONTENT)
    assert type(caught.value) is kind
    assert caught.value.retryable
    assert len(api.requests) <= 2


OWN = [
    (400, {"error": {"message": "Task is not completed yet, current status: X"}}, NotReadyError),
    (400, {"error": {"message": "something"}}, NotReadyError),
    (404, {"error": {"message": "Task not found"}}, NotReadyError),
    (409, b"", NotReadyError),
    (425, b"", NotReadyError),
    (500, {"error": {"message": "IN_PROGRESS"}}, NotReadyError),
    (410, b"", GoneError),
    (401, {"error": {"message": "no", "code": "invalid_api_key"}}, AuthError),
    (429, b"", BusyError),
    (502, b"<html></html>", ProtocolError),
]
ELSEWHERE = [
    (404, b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", GoneError, False),
    (410, b"", GoneError, False),
    (403, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", GoneError, True),
    (401, b"", GoneError, True),
    (429, b"", BusyError, True),
    (400, b"", ProtocolError, True),
    (500, b"", ProtocolError, True),
]


@pytest.mark.parametrize(("status", "body", "kind"), OWN, ids=lambda value: repr(value)[:40])
def test_a_file_that_the_api_does_not_have_may_still_come(
    api: RecordingServer, status: int, body: Any, kind: type[VeoError]
) -> None:
    """On the API's own host a missing file is only too new; who asks decides when to give up."""
    api.reply = Reply(body, status)
    with pytest.raises(VeoError) as caught:
        tasks_at(api.url).open(CONTENT)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"), ELSEWHERE, ids=lambda value: repr(value)[:40]
)
def test_a_file_that_the_storage_host_does_not_have_is_gone(
    storage: RecordingServer, status: int, body: Any, kind: type[VeoError], *, retryable: bool
) -> None:
    """Unless it only refuses the link: then another link may do."""
    storage.reply = Reply(body, status)
    with pytest.raises(VeoError) as caught:
        tasks_at("http://127.0.0.1:9").open(RemoteVideo(f"{storage.url}/v.mp4"))
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable


def test_an_offset_behind_the_end_starts_over(storage: RecordingServer) -> None:
    """416 says that the bytes on disk are not of this file."""
    storage.reply = Reply(b"", 416)
    with pytest.raises(GoneError) as caught:
        tasks_at("http://127.0.0.1:9").open(RemoteVideo(f"{storage.url}/v.mp4"), 10**6)
    assert caught.value.retryable


def test_a_file_cut_before_its_first_byte_is_a_lost_answer(storage: RecordingServer) -> None:
    """Nothing came, so nothing can be told of it."""
    storage.reply = Reply(b"", missing=100)
    with pytest.raises(ResponseLostError):
        tasks_at("http://127.0.0.1:9").open(RemoteVideo(f"{storage.url}/v.mp4"))


# ---- the connection


def test_odd_ids_stay_one_part_of_the_path(api: RecordingServer) -> None:
    """The id goes out encoded, and comes back as it was."""
    api.reply = Reply({"id": "a/b?c", "status": "queued"})
    assert poll(tasks_at(api.url), "a/b?c").task_id == "a/b?c"
    assert api.only_request.path == "/v1/videos/a%2Fb%3Fc"


def test_a_ping_is_free_and_says_what_is_offered(sandbox: Start) -> None:
    """One line for a person, from the list of models."""
    box = sandbox()
    route = tasks_at(box.url)
    assert isinstance(route, Pingable)
    assert "veo-3.1-fast" in route.ping()
    assert box.bills() == []
    with pytest.raises(AuthError):
        LaoZhangSync(Connection(f"{box.url}/v1", Key("other-key"), {})).ping()


def test_a_ping_of_something_else_is_no_success(api: RecordingServer) -> None:
    """Any server can answer 200."""
    with pytest.raises(ProtocolError):
        tasks_at(api.url).ping()


def test_facts_need_no_key() -> None:
    """What is offered can be listed before anything is set up."""
    assert LaoZhangAsync.facts.name == "laozhang-async"
    assert LaoZhangSync.facts.name == "laozhang-sync"
    assert next(iter(LaoZhangAsync.facts.models)) == "veo-3.1-fast"


def test_without_a_usable_key_nothing_is_sent() -> None:
    """No key, or one that no header can carry: said at once, with where keys come from."""
    models = LaoZhangAsync.facts.models
    with pytest.raises(KeyMissingError, match="VEO_API_KEY") as caught:
        LaoZhangAsync(Connection("http://127.0.0.1:9/v1", None, models))
    assert caught.value.hint is not None
    for bad in ("two words", "line\nfeed", "ключ", ""):
        with pytest.raises(ConfigError):
            LaoZhangAsync(Connection("http://127.0.0.1:9/v1", Key(bad), models))


@pytest.mark.parametrize("value", [0, -1, "60", True, None, float("nan")])
def test_times_have_to_be_times(value: Any) -> None:
    """A broken time is told by its name, before anything is sent."""
    for option, connect in (("read_s", tasks_at), ("deadline_s", chat_at), ("silence_s", chat_at)):
        with pytest.raises(ConfigError, match=option):
            connect("http://127.0.0.1:9", **{option: value})
