"""Interactions of the Agent Platform: credentials, buckets, and polls that do not help."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google_routes import express, fetch, project, submit, with_token
from interactions import (
    ID,
    INLINE_VIDEO,
    MP4,
    OMNI,
    make_completed,
    make_created,
    make_output,
    make_text,
)
from platform_server import service_account
from polling import poll
from recording_server import RecordedRequest, RecordingServer, Reply

from veo import errors
from veo.provider import Uploader
from veo.update import RemoteVideo, Stage, Update
from veo_gemini import Vertex
from veo_gemini.interactions.platform import find_streamed_video

PATH = "/v1beta1/projects/p/locations/global/interactions"
STORED = {"type": "video", "mime_type": "video/mp4", "uri": "gs://bucket/veo-1/sample_0.mp4"}
EMPTY = make_completed()


class Platform:
    """A fake platform with its bucket.

    Attributes:
        body: The response to a poll.
        stream: The events of a streamed poll.
        objects: Names of the objects in the bucket.
    """

    def __init__(self, body: Any, stream: str = "", objects: tuple[str, ...] = ()) -> None:
        self.body, self.stream, self.objects = body, stream, objects

    def __call__(self, request: RecordedRequest) -> Reply:
        path = urlsplit(request.path)
        if path.path == "/token":
            return Reply({"access_token": "sandbox-token", "expires_in": 3600})
        if path.path.startswith("/storage/"):
            return self._serve_bucket(parse_qs(path.query))
        if request.method == "POST":
            return Reply(make_created())
        if "stream=true" in path.query:
            return Reply(self.stream.encode()) if self.stream else Reply(b"", 500)
        return self.body if isinstance(self.body, Reply) else Reply(self.body)

    def _serve_bucket(self, query: dict[str, list[str]]) -> Reply:
        if "alt" in query:
            return Reply(MP4)
        (prefix,) = query["prefix"]
        names = [name for name in self.objects if name.startswith(prefix)]
        return Reply({"items": [{"name": name} for name in names]} if names else {})


def start_job(url: str, **options: Any) -> tuple[Vertex, str]:
    """Submit to Omni; return the provider and the task id."""
    vertex = with_token(url, storage_base_url=url, **options)
    return vertex, str(submit(vertex, model=OMNI).task_id)


def poll_once(platform: Platform, *, in_folder: tuple[str, ...] = ()) -> Update:
    """Submit with a bucket and poll once; the job's folder then holds the named objects."""
    with RecordingServer(platform) as google:
        vertex, task = start_job(google.url, storage_uri="gs://bucket/videos/")
        folder = task.partition("#gs://bucket/")[2]
        platform.objects += tuple(f"{folder}/{name}" for name in in_folder)
        return poll(vertex, task)


def make_event(**event: Any) -> str:
    return f"event: step\r\ndata: {json.dumps(event)}\r\n\r\n"


def test_api_key_is_refused() -> None:
    """Before anything is sent, with the reason and what to do: Google refuses it too."""
    with RecordingServer() as google, pytest.raises(errors.ConfigError) as caught:
        submit(express(google.url), model=OMNI)

    assert google.requests == []
    assert caught.value.charged is False
    assert "no API key" in caught.value.message
    assert "gcloud auth application-default login" in str(caught.value.hint)


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of the project's credentials, fetched once; location `global` whatever is set."""
    with RecordingServer(Platform(EMPTY)) as google:
        path = service_account(tmp_path, google.url)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        vertex = project(google.url, location="europe-west4")
        submit(vertex, model=OMNI)
        poll(vertex, ID)

    token, create, *polls = google.requests
    assert (token.path, create.path) == ("/token", PATH)
    assert {request.headers["authorization"] for request in (create, *polls)} == {
        "Bearer sandbox-token"
    }


def test_quota_project_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project that user credentials bill their quota to, to the own origin only."""
    from google.oauth2.credentials import Credentials

    found = Credentials("sandbox-token", quota_project_id="quota")
    monkeypatch.setattr("google.auth.default", lambda **_: (found, "p"))
    with RecordingServer(Platform(EMPTY)) as google:
        submit(project(google.url), model=OMNI)

    assert google.only_request.headers["x-goog-user-project"] == "quota"


def test_a_new_token_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is made for every token, and used as long as it is valid."""
    tokens = iter(["one", "one", "two"])
    monkeypatch.setattr("veo_gemini.credentials.get_access_token", lambda _: next(tokens))
    with RecordingServer(Platform(EMPTY)) as google:
        vertex = with_token(google.url)
        clients = [vertex.connect_api() for _ in range(3)]

    assert clients[0] is clients[1]
    assert clients[1] is not clients[2]


def test_folder_of_a_job() -> None:
    """Each job has a folder of its own, which is part of its task id."""
    with RecordingServer(Platform(EMPTY)) as google:
        tasks = [start_job(google.url, storage_uri="gs://bucket/videos/")[1] for _ in range(2)]
        bodies = [request.json for request in google.requests]

    folders = [body["response_format"][0]["gcs_uri"] for body in bodies]
    assert tasks == [f"{ID}#{folder}" for folder in folders]
    assert all(folder.startswith("gs://bucket/videos/veo-") for folder in folders)
    assert len(set(folders)) == 2


def test_stored_video() -> None:
    """A poll that names the object; the handle to continue it is the id alone."""
    update = poll_once(Platform(make_completed(make_output(STORED))))

    assert update.stage is Stage.READY
    assert update.video == RemoteVideo(STORED["uri"], id=ID)


def test_stored_video_is_downloaded_with_the_token() -> None:
    """From Cloud Storage, by its JSON API."""
    with RecordingServer(Platform(EMPTY)) as google:
        vertex = with_token(google.url, storage_base_url=google.url)
        assert fetch(vertex.open(RemoteVideo(STORED["uri"], id=ID))) == MP4

    assert google.only_request.headers["authorization"] == "Bearer sandbox-key"


@pytest.mark.parametrize(
    "body",
    [
        EMPTY,
        Reply({"error": {"code": 400, "message": "Invalid argument."}}, 400),
        Reply({"error": {"code": 404, "message": "Not found."}}, 404),
        Reply(b"<html></html>"),
        Reply(silent=True),
    ],
)
def test_video_is_found_in_the_folder(body: Any) -> None:
    """A poll that does not help: the object in the job's own folder is the video."""
    update = poll_once(Platform(body), in_folder=("log.txt", "sample_0.mp4"))

    assert update.stage is Stage.READY
    assert update.video is not None
    assert update.video.uri.startswith("gs://bucket/videos/veo-")
    assert update.video.uri.endswith("/sample_0.mp4")


def test_video_that_is_not_in_the_folder_yet() -> None:
    """Completed a moment ago without any output: the task still runs."""
    now = datetime.now(UTC).isoformat()

    assert poll_once(Platform(EMPTY | {"updated": now})).stage is Stage.RUNNING
    late = datetime.now(UTC) - timedelta(minutes=3)
    update = poll_once(Platform(EMPTY | {"updated": late.isoformat()}))
    assert isinstance(update.error, errors.ModeratedError)


def test_video_of_another_job_is_not_taken() -> None:
    """Only the folder of the job counts."""
    platform = Platform(EMPTY, objects=("videos/other/sample_0.mp4",))

    assert isinstance(poll_once(platform).error, errors.ModeratedError)


@pytest.mark.parametrize(
    "stream",
    [
        make_event(index=1, delta=STORED),
        make_event(interaction=make_completed(make_output(STORED))) + "data: [DONE]\r\n\r\n",
        "odd\r\n\r\n" + make_event(delta=7) + make_event(delta=STORED) + make_event(delta={}),
    ],
)
def test_video_is_found_in_the_stream(stream: str) -> None:
    """A streamed poll had the video where a plain one was empty."""
    update = poll_once(Platform(EMPTY, stream))

    assert update.video is not None
    assert update.video.uri == STORED["uri"]


def test_stream_of_an_inline_video() -> None:
    """It is read from the stream again when it is opened."""
    platform = Platform(EMPTY, make_event(delta=INLINE_VIDEO))
    with RecordingServer(platform) as google:
        vertex, task = start_job(google.url)
        update = poll(vertex, task)
        assert update.video == RemoteVideo(f"interactions/{ID}", id=ID)
        assert fetch(vertex.open(update.video)) == MP4


def test_inline_although_an_address_was_asked_for() -> None:
    """Some polls return the bytes all the same."""
    update = poll_once(Platform(make_completed(make_output(INLINE_VIDEO))))

    assert update.video is not None
    assert update.video.uri == f"interactions/{ID}"


def test_inline_video_that_is_gone() -> None:
    """Neither the poll nor the stream has it."""
    with RecordingServer(Platform(EMPTY)) as google, pytest.raises(errors.GoneError):
        with_token(google.url).open(RemoteVideo(f"interactions/{ID}", id=ID))


TEXT_USAGE = {"total_input_tokens": 9, "total_output_tokens": 0}
VIDEO_ROW = {"modality": "video", "tokens": 17376}


@pytest.mark.parametrize(
    ("end", "stage"),
    [
        ({"usage": TEXT_USAGE}, Stage.FAILED),
        ({"usage": TEXT_USAGE | {"output_tokens_by_modality": [VIDEO_ROW]}}, Stage.RUNNING),
        ({}, Stage.RUNNING),
        (None, Stage.RUNNING),
    ],
    ids=["no video", "video tokens", "no usage", "no end"],
)
def test_an_empty_end_of_the_stream(end: dict[str, Any] | None, stage: Stage) -> None:
    """It is waited for a video unless the stream, too, has ended, with tokens of none."""
    name = "interaction.completed"
    event = make_event(event_type=name, interaction=end) if end is not None else ""
    now = datetime.now(UTC).isoformat()
    update = poll_once(Platform(make_completed(updated=now), make_event(x=1) + event))

    assert update.stage is stage


def test_refusal_in_words_is_final() -> None:
    """The model's words are an answer: nothing else is asked."""
    platform = Platform(make_completed(make_output(make_text("No."))))
    with RecordingServer(platform) as google:
        vertex, task = start_job(google.url, storage_uri="gs://bucket/videos")
        update = poll(vertex, task)

    assert isinstance(update.error, errors.ModeratedError)
    assert len(google.requests) == 2


def test_poll_that_never_helps() -> None:
    """Without a video anywhere the refusal of the poll counts, and a later one may tell more."""
    with pytest.raises(errors.ProtocolError) as caught:
        poll_once(Platform(Reply({"error": {"code": 400, "message": "No."}}, 400)))

    assert (caught.value.retryable, caught.value.charged) == (True, None)


def test_lost_response_names_the_folder() -> None:
    """Without an id only the folder leads to the video."""
    with (
        RecordingServer(Reply(silent=True)) as google,
        pytest.raises(
            errors.ResponseLostError, match="would be in gs://bucket/videos/veo-"
        ) as caught,
    ):
        start_job(google.url, storage_uri="gs://bucket/videos")

    assert caught.value.charged is None


def test_folder_alone_is_a_task_id() -> None:
    """A job whose response was lost continues with the folder that its error names."""
    with RecordingServer(Reply(silent=True)) as google:
        vertex = with_token(google.url, storage_uri="gs://bucket/videos")
        with pytest.raises(errors.ResponseLostError) as caught:
            submit(vertex, model=OMNI)
    task = caught.value.message.rpartition("as task ")[2].strip("'")
    name = f"{task.removeprefix('#gs://bucket/')}/sample_0.mp4"

    with RecordingServer(Platform(EMPTY, objects=(name,))) as google:
        update = poll(with_token(google.url, storage_base_url=google.url), task)
    assert update.video == RemoteVideo(f"gs://bucket/{name}")


def test_extension_by_object() -> None:
    """An object in a bucket is a part of the input; other addresses are refused."""
    with RecordingServer(Platform(EMPTY)) as google:
        submit(with_token(google.url), model=OMNI, extend=RemoteVideo("gs://bucket/a.mp4"))
        with pytest.raises(errors.RefusedError):
            submit(with_token(google.url), model=OMNI, extend=RemoteVideo("files/abc"))

    video, _ = google.only_request.json["input"]
    assert video == {"type": "video", "uri": "gs://bucket/a.mp4", "mime_type": "video/mp4"}


def test_no_uploads() -> None:
    """The platform has no Files API."""
    assert not isinstance(express("http://127.0.0.1:9"), Uploader)
    assert not any(row.uploads for row in Vertex.facts.models.values())


@pytest.mark.parametrize("text", ["", "data:", "data: {", "event: x\n\n", "data: [1]\n\n"])
def test_odd_streams(text: str) -> None:
    """They hold no video."""
    assert find_streamed_video(text) is None
