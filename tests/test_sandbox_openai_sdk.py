"""OpenAI's own client on the sandbox's `openai` profile: an independent check of that wire."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import openai
import pytest
from sandbox_api import StartSandbox, make_image

from veo_sandbox import Sandbox

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

Connect = Callable[[Sandbox], openai.OpenAI]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients without retries; all are closed with the test."""
    clients: list[openai.OpenAI] = []

    def client(box: Sandbox, key: str | None = None) -> openai.OpenAI:
        new_client = openai.OpenAI(base_url=f"{box.url}/v1", api_key=key or box.key, max_retries=0)
        clients.append(new_client)
        return new_client

    yield client
    for new_client in clients:
        new_client.close()


def test_create_poll_download(sandbox: StartSandbox, connect: Connect, tmp_path: Path) -> None:
    """From prompt to file with the client's own methods."""
    box = sandbox(profile="openai", latency=0.3)
    client = connect(box)
    queued = client.videos.create(prompt="a lion", model="sora-2", seconds="8", size="1280x720")
    done = client.videos.poll(queued.id, poll_interval_ms=50)
    client.videos.download_content(done.id).write_to_file(tmp_path / "lion.mp4")

    assert queued.status == "queued"
    assert (done.status, done.progress, done.seconds, done.size, done.prompt, done.model) == (
        "completed",
        100,
        "8",
        "1280x720",
        "a lion",
        "sora-2",
    )
    assert done.completed_at is not None
    assert done.expires_at == done.created_at + 86_400
    with av.open(str(tmp_path / "lion.mp4")) as video:
        assert video.duration == 8_000_000
    assert [(bill["amount"], bill["state"]) for bill in box.bills()] == [(0.8, "charged")]


def test_defaults_are_openais(sandbox: StartSandbox, connect: Connect) -> None:
    """A prompt alone: sora-2, 4 s, 720x1280."""
    video = connect(sandbox(profile="openai")).videos.create(prompt="a lion")

    assert (video.model, video.seconds, video.size) == ("sora-2", "4", "720x1280")


def test_create_and_poll(sandbox: StartSandbox, connect: Connect) -> None:
    """One blocking method."""
    client = connect(sandbox(profile="openai"))
    video = client.videos.create_and_poll(prompt="a lion", poll_interval_ms=20)

    assert video.status == "completed"


def test_a_reference_as_file(sandbox: StartSandbox, connect: Connect) -> None:
    """One file is one image."""
    box = sandbox(profile="openai")
    connect(box).videos.create(
        prompt="x", model="veo-3.1-fl", input_reference=("a.png", make_image(), "image/png")
    )
    [task] = box.tasks()

    assert [image["name"] for image in task["request"]["images"]] == ["input_reference"]
    assert task["request"]["size"] == "720x1280"


def test_a_reference_as_object(sandbox: StartSandbox, connect: Connect) -> None:
    """A data URI as form fields; the client's own argument refuses its documented dict."""
    box = sandbox(profile="openai")
    uri = f"data:image/png;base64,{base64.b64encode(make_image()).decode()}"
    reference = {"input_reference": {"image_url": uri}}
    connect(box).videos.create(prompt="x", extra_body=reference)
    [task] = box.tasks()

    assert [image["content_type"] for image in task["request"]["images"]] == ["image/png"]


def test_two_references(sandbox: StartSandbox, connect: Connect) -> None:
    """The client names them `input_reference[]`."""
    box = sandbox(profile="openai")
    files = [("a.png", make_image(), "image/png"), ("b.jpg", make_image("JPEG"), "image/jpeg")]
    connect(box).videos.create(prompt="x", model="veo-3.1-fl", input_reference=files)  # type: ignore[arg-type]
    [task] = box.tasks()
    [sent] = box.requests()

    assert len(task["request"]["images"]) == 2
    assert {file["name"] for file in sent["files"]} == {"input_reference[]"}


def test_a_failed_task_has_an_error(sandbox: StartSandbox, connect: Connect) -> None:
    """No exception: a video with status failed, code and message."""
    box = sandbox(profile="openai")
    box.fault("moderated")
    video = connect(box).videos.create_and_poll(prompt="x", poll_interval_ms=20)

    assert video.status == "failed"
    assert video.error is not None
    assert video.error.code == "content_policy_violation"


def test_typed_errors(sandbox: StartSandbox, connect: Connect) -> None:
    """Each refusal is raised as the client's own class, with code and parameter."""
    box = sandbox(profile="openai", balance=0)
    client = connect(box)

    with pytest.raises(openai.AuthenticationError) as wrong:
        connect(box, "wrong-key").videos.retrieve("video_x")  # type: ignore[call-arg]
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve("video_x")
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content("video_x")
    with pytest.raises(openai.BadRequestError) as size:
        client.videos.create(prompt="x", size="1x1")  # type: ignore[arg-type]
    assert (size.value.param, size.value.code) == ("size", "invalid_value")
    with pytest.raises(openai.BadRequestError) as model:
        client.videos.create(prompt="x", model="veo-9")
    assert model.value.param == "model"
    with pytest.raises(openai.RateLimitError) as broke:
        client.videos.create(prompt="x")
    assert broke.value.code == "insufficient_quota"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("http_429", openai.RateLimitError),
        ("http_500", openai.InternalServerError),
        ("http_502_html", openai.InternalServerError),
        ("http_503_overload", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ],
)
def test_faults_arrive_as_errors(
    sandbox: StartSandbox, connect: Connect, fault: str, error: type[openai.APIError]
) -> None:
    """The client raises what a real outage would make it raise."""
    box = sandbox(profile="openai")
    box.fault(fault, on="create")

    with pytest.raises(error):
        connect(box).videos.create(prompt="x")


def test_a_client_that_retries_is_billed_twice(sandbox: StartSandbox, connect: Connect) -> None:
    """The task of the dropped response is orphaned: the bills show it."""
    box = sandbox(profile="openai")
    box.fault("drop_answer", first=1)
    client = connect(box).with_options(max_retries=2)
    video = client.videos.create(prompt="x")

    assert [task["answered"] for task in box.tasks()] == [False, True]
    assert video.id == box.tasks()[1]["task"]
    assert [bill["state"] for bill in box.bills()] == ["charged", "charged"]


def test_content_that_is_not_ready(sandbox: StartSandbox, connect: Connect) -> None:
    """Content of a running task is a 404 with a hint."""
    box = sandbox(profile="openai", latency=100)
    client = connect(box)
    video = client.videos.create(prompt="x")

    with pytest.raises(openai.NotFoundError, match="not ready"):
        client.videos.download_content(video.id)


def test_the_bytes_are_a_video(sandbox: StartSandbox, connect: Connect) -> None:
    """Read into memory."""
    client = connect(sandbox(profile="openai"))
    video = client.videos.create_and_poll(prompt="x", poll_interval_ms=20)

    with av.open(io.BytesIO(client.videos.download_content(video.id).read())) as clip:
        assert {stream.type for stream in clip.streams} == {"video", "audio"}
