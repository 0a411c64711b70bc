"""OpenAI's own client on the sandbox's `openai` profile: an independent check of that wire."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from PIL import Image
from sandbox_api import StartSandbox, make_image

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")

if TYPE_CHECKING:
    import openai  # takes a second: imported by the tests, which all run on one worker

    from veo_sandbox import Sandbox

    Connect = Callable[[Sandbox], openai.OpenAI]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients without retries; all are closed with the test."""
    import openai

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
    import openai

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
        ("http_429", "RateLimitError"),
        ("http_500", "InternalServerError"),
        ("http_502_html", "InternalServerError"),
        ("http_503_overload", "InternalServerError"),
        ("reset", "APIConnectionError"),
    ],
)
def test_faults_arrive_as_errors(
    sandbox: StartSandbox, connect: Connect, fault: str, error: str
) -> None:
    """The client raises what a real outage would make it raise."""
    import openai

    box = sandbox(profile="openai")
    box.fault(fault, on="create")

    with pytest.raises(getattr(openai, error)):
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
    import openai

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


class TestRest:
    """What the endpoint has beyond create, poll and download."""

    @pytest.fixture
    def box(self, sandbox: StartSandbox) -> Sandbox:
        return sandbox(profile="openai")

    @pytest.fixture
    def client(self, box: Sandbox, connect: Connect) -> openai.OpenAI:
        return connect(box)

    def make(self, client: openai.OpenAI, prompt: str = "a lion", **options: Any) -> Any:
        return client.videos.create_and_poll(prompt=prompt, poll_interval_ms=20, **options)

    def change(self, client: openai.OpenAI, path: str, video: str, **options: str) -> Any:
        """Name a video by its id; the client's own method refuses its documented dict."""
        import openai

        body = {"prompt": "on", "video": {"id": video}} | options
        return client.post(f"/videos/{path}", body=body, cast_to=openai.types.Video)

    def test_list(self, client: openai.OpenAI) -> None:
        """The newest first, or the oldest; the client asks for one page after the other."""
        import openai

        ids = [client.videos.create(prompt=str(number)).id for number in range(3)]
        newest = [video.id for video in client.videos.list(limit=2)]
        oldest = [video.id for video in client.videos.list(order="asc", after=ids[0])]

        assert newest == ids[::-1]
        assert oldest == ids[1:]
        with pytest.raises(openai.BadRequestError, match="1 to 100"):
            client.videos.list(limit=0)

    def test_delete(self, box: Sandbox, client: openai.OpenAI) -> None:
        """A deleted video is unknown and not listed; one that runs cannot be deleted."""
        import openai

        video = self.make(client)
        deleted = client.videos.delete(video.id)
        box.change(latency=100)
        running = client.videos.create(prompt="x")

        assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
        assert [each.id for each in client.videos.list()] == [running.id]
        for call in (client.videos.retrieve, client.videos.download_content, client.videos.delete):
            with pytest.raises(openai.NotFoundError):
                call(video.id)
        with pytest.raises(openai.BadRequestError):
            client.videos.delete(running.id)

    def test_remix_and_edit(self, box: Sandbox, client: openai.OpenAI) -> None:
        """A changed version, as long as the source; a remix names it. Each is paid."""
        video = self.make(client)
        remix = client.videos.remix(video.id, prompt="at night")
        edit = self.change(client, "edits", video.id)

        assert (remix.remixed_from_video_id, edit.remixed_from_video_id) == (video.id, None)
        assert {each.seconds for each in (remix, edit)} == {video.seconds}
        assert (remix.model, remix.size) == (video.model, video.size)
        assert [task["amount"] for task in box.tasks()] == [0.4, 0.4, 0.4]

    def test_extend(self, box: Sandbox, client: openai.OpenAI) -> None:
        """The seconds of the result are those of the whole file; the new ones are paid."""
        import openai

        video = self.make(client)
        longer = self.change(client, "extensions", video.id, seconds="8")
        done = client.videos.poll(longer.id, poll_interval_ms=20)

        assert done.seconds == "12"
        with av.open(io.BytesIO(client.videos.download_content(done.id).read())) as clip:
            assert clip.duration == 12_000_000
        assert [task["amount"] for task in box.tasks()] == [0.4, 0.8]
        with pytest.raises(openai.BadRequestError):
            self.change(client, "extensions", video.id, seconds="5")

    def test_an_uploaded_video(self, client: openai.OpenAI) -> None:
        """A file in the place of an id; what is no video is refused."""
        import openai

        data = client.videos.download_content(self.make(client).id).read()
        edit = client.videos.edit(prompt="at night", video=("a.mp4", data, "video/mp4"))
        longer = client.videos.extend(prompt="on", seconds="4", video=("a.mp4", data, "video/mp4"))

        assert (edit.seconds, longer.seconds) == ("4", "8")
        with pytest.raises(openai.BadRequestError, match="not a video"):
            client.videos.edit(prompt="x", video=("a.mp4", b"text", "video/mp4"))

    def test_characters(self, client: openai.OpenAI) -> None:
        """Made from a video and found again."""
        import openai

        data = client.videos.download_content(self.make(client).id).read()
        made = client.videos.create_character(name="Leo", video=("a.mp4", data, "video/mp4"))
        found = client.videos.get_character(str(made.id))

        assert (made.name, found.id, found.name) == ("Leo", made.id, "Leo")
        with pytest.raises(openai.NotFoundError):
            client.videos.get_character("char_x")

    def test_other_forms_of_the_content(self, client: openai.OpenAI) -> None:
        """A thumbnail and a sheet of frames."""
        video = self.make(client)
        kinds = {}
        for variant in ("thumbnail", "spritesheet"):
            data = client.videos.download_content(video.id, variant=variant).read()
            kinds[variant] = Image.open(io.BytesIO(data)).format

        assert kinds == {"thumbnail": "WEBP", "spritesheet": "JPEG"}

    def test_unfinished_and_unknown_sources(self, box: Sandbox, client: openai.OpenAI) -> None:
        """Nothing is made from them."""
        import openai

        box.change(latency=100)
        running = client.videos.create(prompt="x")

        with pytest.raises(openai.BadRequestError, match="not completed"):
            client.videos.remix(running.id, prompt="y")
        with pytest.raises(openai.NotFoundError):
            client.videos.remix("video_x", prompt="y")
        box.advance(100)
        client.videos.poll(running.id, poll_interval_ms=20)
        with pytest.raises(openai.BadRequestError, match="prompt is required"):
            self.change(client, "edits", running.id, prompt=" ")
        assert len(box.tasks()) == 1

    def test_a_failure_is_told_in_english(self, box: Sandbox, client: openai.OpenAI) -> None:
        """Its error, in a list too."""
        box.fault("failed")
        video = self.make(client)
        [listed] = client.videos.list()

        assert video.error is not None
        assert video.error.message.isascii()
        assert listed.error == video.error

    def test_other_profiles_do_not_have_them(self, sandbox: StartSandbox, connect: Connect) -> None:
        """To a gateway these are unknown addresses."""
        import openai

        client = connect(sandbox())
        for call in (client.videos.list, lambda: client.videos.delete("x")):
            with pytest.raises(openai.NotFoundError, match="Invalid URL"):
                call()
