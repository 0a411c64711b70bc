"""How finished videos come from the Agent Platform, and how they are extended there."""

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
    """The Agent Platform on loopback."""
    with RecordingServer(platform) as server:
        yield server


@pytest.fixture
def credentials(google: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Application-default credentials of a service account, whose tokens `google` hands out."""
    path = service_account(tmp_path, google.url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


def test_an_inline_video_is_served_from_a_second_answer(google: RecordingServer) -> None:
    """The bytes are whole, start at the offset, and have a tag that tells a change."""
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
def test_an_operation_without_its_video_is_gone(reply: Reply, kind: type[VeoError]) -> None:
    """What the platform has forgotten cannot be fetched any more."""
    with RecordingServer(reply) as google, pytest.raises(kind):
        express(google.url).open(RemoteVideo(NAME))


@pytest.mark.usefixtures("credentials")
def test_an_object_in_a_bucket_is_fetched_with_a_token(google: RecordingServer) -> None:
    """Cloud Storage gets a bearer token; the name of the object is escaped; Range is used."""

    def storage(asked: RecordedRequest) -> Reply:
        return Reply(DATA[9:], 206, {"Content-Range": f"bytes 9-{len(DATA) - 1}/{len(DATA)}"})

    with RecordingServer(storage) as bucket:
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
def test_a_bucket_that_refuses_is_told_apart(
    google: RecordingServer, status: int, kind: type[VeoError]
) -> None:
    """Forbidden is a matter of rights, not found is gone."""
    with RecordingServer(Reply({"error": {"message": "No."}}, status)) as bucket:
        vertex = project(google.url, storage_base_url=bucket.url)
        with pytest.raises(kind):
            vertex.open(RemoteVideo("gs://bucket/a.mp4"))


def test_an_express_key_opens_no_bucket() -> None:
    """The error names the object and the command that fetches it."""
    with pytest.raises(AuthError) as caught:
        express("http://127.0.0.1:9").open(RemoteVideo("gs://bucket/a.mp4"))

    assert "gs://bucket/a.mp4" in caught.value.message
    assert "gcloud storage cp gs://bucket/a.mp4" in caught.value.hint


def test_an_inline_video_is_extended_by_its_bytes(google: RecordingServer) -> None:
    """A video without an address is fetched first and sent along."""
    submit(express(google.url), extend=RemoteVideo(NAME))

    fetch, create = google.requests
    assert fetch.path.endswith(":fetchPredictOperation")
    assert create.json["instances"][0]["video"] == INLINE


def test_an_extension_whose_video_is_gone_has_cost_nothing() -> None:
    """The paid request was not even sent."""
    reply = Reply({"error": {"message": "not found"}}, 404)
    with RecordingServer(reply) as google, pytest.raises(GoneError) as caught:
        submit(express(google.url), extend=RemoteVideo(NAME))

    assert False is caught.value.charged
    assert len(google.requests) == 1


def test_a_video_of_another_provider_is_not_extended() -> None:
    """Its address would mean nothing here; refused before anything is sent."""
    clip = RemoteVideo("https://generativelanguage.googleapis.com/v1beta/files/abc")

    with pytest.raises(RefusedError):
        submit(express("http://127.0.0.1:9"), extend=clip)
