"""Downloads from the Agent Platform, and extensions there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from google_routes import PLATFORM_NAME as NAME
from google_routes import express, project, submit
from platform_server import DATA, INLINE, platform, service_account
from recording_server import RecordedRequest, RecordingServer, Reply

from veo.errors import AuthError, GoneError, RefusedError, VeoError
from veo.update import RemoteVideo


@pytest.fixture
def google() -> Iterator[RecordingServer]:
    """Serve the Agent Platform."""
    with RecordingServer(platform) as server:
        yield server


@pytest.fixture
def credentials(google: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set application-default credentials of a service account; `google` issues its tokens."""
    path = service_account(tmp_path, google.url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


def test_inline_video(google: RecordingServer) -> None:
    """An inline video is read from a second response, from the offset, with a validator."""
    vertex = express(google.url)
    whole, rest = vertex.open(RemoteVideo(NAME)), vertex.open(RemoteVideo(NAME), offset=100)

    assert (DATA, DATA[100:]) == (b"".join(whole.chunks), b"".join(rest.chunks))
    assert (0, 100, len(DATA)) == (whole.offset, rest.offset, rest.total)
    assert whole.etag is not None
    assert whole.etag == rest.etag
    with pytest.raises(GoneError):
        vertex.open(RemoteVideo(NAME), offset=len(DATA))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply({"error": {"message": "not found"}}, 404), GoneError),
        (Reply({"name": NAME, "done": True, "response": {}}), GoneError),
    ],
)
def test_operation_without_its_video(reply: Reply, kind: type[VeoError]) -> None:
    """A video that the operation no longer contains is gone."""
    with RecordingServer(reply) as google, pytest.raises(kind):
        express(google.url).open(RemoteVideo(NAME))


@pytest.mark.usefixtures("credentials")
def test_object_in_a_bucket(google: RecordingServer) -> None:
    """An object is fetched with a token and Range; its name is escaped."""

    def serve_object(request: RecordedRequest) -> Reply:
        return Reply(DATA[9:], 206, {"Content-Range": f"bytes 9-{len(DATA) - 1}/{len(DATA)}"})

    with RecordingServer(serve_object) as bucket:
        vertex = project(google.url, storage_base_url=bucket.url)
        stream = vertex.open(RemoteVideo("gs://bucket/a folder/clip 1.mp4"), offset=9)

        assert DATA[9:] == b"".join(stream.chunks)
    assert bucket.only_request.path == "/storage/v1/b/bucket/o/a%20folder%2Fclip%201.mp4?alt=media"
    assert (
        bucket.only_request.headers["authorization"],
        bucket.only_request.headers["range"],
    ) == ("Bearer sandbox-token", "bytes=9-")


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(("status", "kind"), [(403, AuthError), (404, GoneError)])
def test_errors_of_a_bucket(google: RecordingServer, status: int, kind: type[VeoError]) -> None:
    """403 is an error of the credentials, 404 means that the object is gone."""
    with RecordingServer(Reply({"error": {"message": "No."}}, status)) as bucket:
        vertex = project(google.url, storage_base_url=bucket.url)
        with pytest.raises(kind):
            vertex.open(RemoteVideo("gs://bucket/a.mp4"))


def test_express_key_cannot_open_a_bucket() -> None:
    """The hint has the command that fetches the object."""
    with pytest.raises(AuthError) as caught:
        express("http://127.0.0.1:9").open(RemoteVideo("gs://bucket/a.mp4"))

    assert "gs://bucket/a.mp4" in caught.value.message
    assert "gcloud storage cp gs://bucket/a.mp4" in caught.value.hint


def test_inline_video_is_extended_by_its_bytes(google: RecordingServer) -> None:
    """An inline video is fetched first and sent with the extension."""
    submit(express(google.url), extend=RemoteVideo(NAME))

    fetch, create = google.requests
    assert fetch.path.endswith(":fetchPredictOperation")
    assert create.json["instances"][0]["video"] == INLINE


def test_extension_of_a_missing_video_is_not_charged() -> None:
    """If the video to extend is gone, the paid request is not sent."""
    reply = Reply({"error": {"message": "not found"}}, 404)
    with RecordingServer(reply) as google, pytest.raises(GoneError) as caught:
        submit(express(google.url), extend=RemoteVideo(NAME))

    assert False is caught.value.charged
    assert len(google.requests) == 1


def test_video_of_another_provider_is_not_extended() -> None:
    """A video of another provider is refused before anything is sent."""
    clip = RemoteVideo("https://generativelanguage.googleapis.com/v1beta/files/abc")

    with pytest.raises(RefusedError):
        submit(express("http://127.0.0.1:9"), extend=clip)
