"""The async provider over real sockets: the sandbox, and servers with faults."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from laozhang import FILE, KEY, connect_async, connect_sync, ignore_update, make_image, make_request
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


def wait_for_video(provider: LaoZhangAsync, task_id: str) -> RemoteVideo:
    """Poll a task until it has a video."""
    for _ in range(600):
        update = poll(provider, task_id)
        if update.video:
            return update.video
        time.sleep(0.02)
    pytest.fail("the task never ended")


def read_all(stream: ByteStream) -> bytes:
    """Return all bytes of a stream, and close it."""
    data = b"".join(stream.chunks)
    stream.close()
    return data


# ---- tasks, against the sandbox


@pytest.mark.parametrize("profile", ["capture-2025-11", "docs"])
def test_task_from_prompt_to_bytes(sandbox: Start, profile: str) -> None:
    """A captured and a documented task give the file, whole and from an offset, for one charge."""
    server = sandbox(profile=profile)
    provider = connect_async(server.url)
    update = provider.submit(make_request(), ignore_update)
    video = wait_for_video(provider, str(update.task_id))
    data = read_all(provider.open(video))
    rest = provider.open(video, 100)
    assert update.stage is Stage.SUBMITTED
    assert data[4:8] == b"ftyp"
    assert (rest.offset, rest.total, read_all(rest)) == (100, len(data), data[100:])
    assert [bill["amount"] for bill in server.bills()] == [0.15]
    assert server.leaks() == []


def test_frames_are_sent_in_order(sandbox: Start) -> None:
    """The start frame is first, and each frame has the type of its bytes."""
    server = sandbox()
    start, end = make_image("PNG", "red"), make_image("JPEG", "blue")
    frames_request = make_request(
        model="veo-3.1-landscape-fast-fl", start_frame=start, end_frame=end
    )
    connect_async(server.url).submit(frames_request, ignore_update)
    (task,) = server.tasks()
    assert [image["sha256"] for image in task["request"]["images"]] == [start.sha256, end.sha256]
    assert task["request"]["prompt"] == "a cat"


def test_options_of_the_official_route(sandbox: Start) -> None:
    """Duration and size are sent, and the file comes late from `/content`."""
    server = sandbox(profile="official", content_lag=3600)
    provider = connect_async(server.url)
    frames_request = make_request(
        model="veo-3.1-fast-generate-preview",
        duration=6,
        aspect_ratio="9:16",
        negative_prompt="rain",
        seed=7,
        start_frame=make_image("JPEG", "red"),
    )
    update = provider.submit(frames_request, ignore_update)
    (task,) = server.tasks()
    assert (task["request"]["size"], task["request"]["seconds"]) == ("720x1280", 6)
    assert len(task["request"]["images"]) == 1
    video = wait_for_video(provider, str(update.task_id))
    assert video.uri == f"videos/{update.task_id}/content"
    with pytest.raises(NotReadyError) as caught:
        provider.open(video)
    assert caught.value.retry_after == 4.0
    server.advance(7200)
    assert read_all(provider.open(video))[4:8] == b"ftyp"


def test_prompt_alone_is_a_form_on_the_official_route(sandbox: Start) -> None:
    """Options are sent in a form, as the gateway ignores them in JSON."""
    server = sandbox(profile="official")
    frames_request = make_request(model="veo-3.1-generate-preview", resolution="1080p", duration=8)
    connect_async(server.url).submit(frames_request, ignore_update)
    (task,) = server.tasks()
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
    "html_200": (ConfigError, False),  # a web page: base_url is not that of the API
}


@pytest.mark.parametrize("fault", CREATE)
def test_charge_of_a_failed_submit(sandbox: Start, fault: str) -> None:
    """A submit is not charged only if the service refused it."""
    kind, charged = CREATE[fault]
    server = sandbox()
    server.fault(fault, on="create")
    with pytest.raises(VeoError) as caught:
        connect_async(server.url).submit(make_request(), ignore_update)
    assert (type(caught.value), caught.value.charged) == (kind, charged)
    assert charged is None or server.tasks() == []


def test_submit_without_a_response(sandbox: Start) -> None:
    """A submit without a response ends after `read_s`, and its outcome is unknown."""
    server = sandbox()
    server.fault("stuck", on="create")
    with pytest.raises(ResponseLostError, match="silence") as caught:
        connect_async(server.url, read_s=0.2).submit(make_request(), ignore_update)
    assert caught.value.charged is None


def test_refused_connection() -> None:
    """Without a connection nothing is charged."""
    for provider in (connect_async("http://127.0.0.1:9"), connect_sync("http://127.0.0.1:9")):
        with pytest.raises(UnreachableError) as caught:
            provider.submit(make_request(), ignore_update)
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
def test_failed_poll(sandbox: Start, fault: str, count: int, kind: type[VeoError]) -> None:
    """After a failed poll the next poll of the task succeeds."""
    server = sandbox(latency="fixed:9999")
    provider = connect_async(server.url)
    task_id = str(provider.submit(make_request(), ignore_update).task_id)
    server.fault(fault, on="poll", first=count)
    with pytest.raises(kind):
        poll(provider, task_id)
    assert poll(provider, task_id).stage in {Stage.SUBMITTED, Stage.RUNNING}


@pytest.mark.parametrize(
    "fault",
    [
        *("failed", "failed_object", "failed_string", "failed_silent", "failed_message"),
        *("failed_reason", "get_task_failed", "moderated"),
    ],
)
def test_failed_task(sandbox: Start, fault: str) -> None:
    """A failed task in any format, also as a failed GET, is an update and not charged."""
    server = sandbox()
    server.fault(fault)
    provider = connect_async(server.url)
    update = provider.submit(make_request(), ignore_update)
    for _ in range(300):
        update = poll(provider, str(update.task_id))
        if update.stage is Stage.FAILED:
            break
        time.sleep(0.02)
    assert update.error is not None
    assert (update.error.charged, server.balance()) == (False, sandbox().balance())


@pytest.mark.parametrize("fault", ["mislabelled", "redirect", "no_length", "ignore_range"])
def test_unusual_downloads(sandbox: Start, fault: str) -> None:
    """The bytes are right despite wrong types, redirects, missing lengths, ignored offsets."""
    server = sandbox()
    provider = connect_async(server.url)
    video = wait_for_video(provider, str(provider.submit(make_request(), ignore_update).task_id))
    data = read_all(provider.open(video))
    server.fault(fault, on=["content", "file"])
    opened = provider.open(video, 50)
    assert read_all(opened) == data[opened.offset :]
    assert server.leaks() == []


@pytest.mark.parametrize("content", ["content", "file"])
def test_web_page_is_not_a_video(sandbox: Start, content: str) -> None:
    """A web page with HTTP 200, from the API or the storage host, is an error."""
    server = sandbox(profile="official" if content == "content" else "capture-2025-11")
    model = "veo-3.1-fast-generate-preview" if content == "content" else "veo-3.1-fast"
    provider = connect_async(server.url)
    video = wait_for_video(
        provider, str(provider.submit(make_request(model=model), ignore_update).task_id)
    )
    server.fault("html_200", on=content)
    with pytest.raises(ProtocolError, match="web page"):
        provider.open(video)


# ---- files, against two servers: the API and a storage host


@pytest.fixture
def api() -> Iterator[RecordingServer]:
    """Serve the API."""
    with RecordingServer() as server:
        yield server


@pytest.fixture
def storage() -> Iterator[RecordingServer]:
    """Serve another host."""
    with RecordingServer(Reply(MP4)) as server:
        yield server


CONTENT = RemoteVideo("videos/task_1/content")


@pytest.mark.parametrize("key", ["url", "video_url", "result_url"])
def test_content_as_json(api: RecordingServer, storage: RecordingServer, key: str) -> None:
    """The URL in JSON at `/content` is fetched, from another host without the key."""
    api.reply = Reply({"id": "task_1", "status": "completed", key: f"{storage.url}/v.mp4"})
    assert read_all(connect_async(api.url).open(CONTENT)) == MP4
    assert api.only_request.path == "/v1/videos/task_1/content"
    assert api.only_request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert "authorization" not in storage.only_request.headers


def test_content_as_json_with_a_wrong_type(api: RecordingServer) -> None:
    """JSON is recognized whatever its content type, and its URL may be relative."""
    mislabelled = Reply(
        b' {"url": "/files/7"}', headers={"Content-Type": "application/octet-stream"}
    )
    api.reply = lambda request: mislabelled if request.path.endswith("content") else Reply(MP4)
    assert read_all(connect_async(api.url).open(CONTENT)) == MP4
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
def test_content_without_a_url(api: RecordingServer, body: Any, kind: type[VeoError]) -> None:
    """JSON without a URL, or with a URL to itself, is a retryable error."""
    api.reply = Reply(body)
    with pytest.raises(VeoError) as caught:
        connect_async(api.url).open(CONTENT)
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
def test_missing_file_of_the_api(
    api: RecordingServer, status: int, body: Any, kind: type[VeoError]
) -> None:
    """A file that is missing on the API's own host may not be ready yet."""
    api.reply = Reply(body, status)
    with pytest.raises(VeoError) as caught:
        connect_async(api.url).open(CONTENT)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"), ELSEWHERE, ids=lambda value: repr(value)[:40]
)
def test_missing_file_of_a_storage_host(
    storage: RecordingServer, status: int, body: Any, kind: type[VeoError], *, retryable: bool
) -> None:
    """A file that a storage host does not have is gone; if it refuses the link, retryably."""
    storage.reply = Reply(body, status)
    with pytest.raises(VeoError) as caught:
        connect_async("http://127.0.0.1:9").open(RemoteVideo(f"{storage.url}/v.mp4"))
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable


def test_offset_behind_the_end(storage: RecordingServer) -> None:
    """416 means that the bytes on disk are not part of this file."""
    storage.reply = Reply(b"", 416)
    with pytest.raises(GoneError) as caught:
        connect_async("http://127.0.0.1:9").open(RemoteVideo(f"{storage.url}/v.mp4"), 10**6)
    assert caught.value.retryable


def test_download_without_a_byte(storage: RecordingServer) -> None:
    """A download that breaks before its first byte is a lost response."""
    storage.reply = Reply(b"", missing=100)
    with pytest.raises(ResponseLostError):
        connect_async("http://127.0.0.1:9").open(RemoteVideo(f"{storage.url}/v.mp4"))


# ---- the connection


def test_task_id_is_encoded_in_the_path(api: RecordingServer) -> None:
    """A task id with any characters is one segment of the path."""
    api.reply = Reply({"id": "a/b?c", "status": "queued"})
    assert poll(connect_async(api.url), "a/b?c").task_id == "a/b?c"
    assert api.only_request.path == "/v1/videos/a%2Fb%3Fc"


def test_ping(sandbox: Start) -> None:
    """A ping lists models, is free, and fails with a wrong key."""
    server = sandbox()
    provider = connect_async(server.url)
    assert isinstance(provider, Pingable)
    assert "veo-3.1-fast" in provider.ping()
    assert server.bills() == []
    with pytest.raises(AuthError):
        LaoZhangSync(Connection(f"{server.url}/v1", Key("other-key"), {})).ping()


def test_ping_of_another_server(api: RecordingServer) -> None:
    """A ping of a server that is not the API is an error, also with HTTP 200."""
    with pytest.raises(ProtocolError):
        connect_async(api.url).ping()


def test_facts_need_no_key() -> None:
    """Models can be listed without a key."""
    assert LaoZhangAsync.facts.name == "laozhang-async"
    assert LaoZhangSync.facts.name == "laozhang-sync"
    assert next(iter(LaoZhangAsync.facts.models)) == "gemini-omni-1.2-flash"


def test_unusable_key() -> None:
    """A missing key, or one that a header cannot hold, is an error with a hint."""
    models = LaoZhangAsync.facts.models
    with pytest.raises(KeyMissingError, match="VEO_API_KEY") as caught:
        LaoZhangAsync(Connection("http://127.0.0.1:9/v1", None, models))
    assert caught.value.hint is not None
    for bad in ("two words", "line\nfeed", "ключ", ""):
        with pytest.raises(ConfigError):
            LaoZhangAsync(Connection("http://127.0.0.1:9/v1", Key(bad), models))


@pytest.mark.parametrize("value", [0, -1, "60", True, None, float("nan")])
def test_invalid_times(value: Any) -> None:
    """An invalid time is a configuration error that names the option."""
    for option, connect in (
        ("read_s", connect_async),
        ("deadline_s", connect_sync),
        ("silence_s", connect_sync),
    ):
        with pytest.raises(ConfigError, match=option):
            connect("http://127.0.0.1:9", **{option: value})


@pytest.mark.parametrize("status", ["completed", "hooray"])
def test_a_video_within_the_response(status: str) -> None:
    """Some relays inline the video, 6 MB here: it is downloaded from there, from any offset."""
    data = b"\x00\x00\x00\x10ftypisom" + bytes(6_000_000)
    url = "data:video/mp4;base64," + base64.b64encode(data).decode()
    with RecordingServer(Reply({"id": "x", "status": status, "video_url": url})) as server:
        provider = connect_async(f"{server.url}/v1")
        update = asyncio.run(provider.poll("x"))
        assert update.stage is Stage.READY
        assert update.video == RemoteVideo("inline:x")
        stream = provider.open(update.video, offset=1000)

    assert b"".join(stream.chunks) == data[1000:]
    assert (stream.offset, stream.total) == (1000, len(data))
