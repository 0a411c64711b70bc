"""Uploads to the Files API: resumable, free of charge, the key to its own origin only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google_routes import gemini, submit
from interactions import OMNI, make_created
from recording_server import RecordedRequest, RecordingServer, Reply

from veo import errors
from veo.provider import Uploader
from veo.update import RemoteVideo
from veo_gemini.interactions import developer

URI = "https://generativelanguage.googleapis.com/v1beta/files/up1load2"
FILE = {
    "name": "files/up1load2",
    "uri": URI,
    "mimeType": "video/mp4",
    "state": "PROCESSING",
    "expirationTime": "2026-11-29T12:00:00Z",
}
DATA = bytes(range(256)) * 40


class UploadServer:
    """Imitates the resumable protocol; `troubles` are the responses to the next chunks."""

    def __init__(self, *troubles: Reply) -> None:
        self.received = b""
        self.troubles = list(troubles)
        self.url = ""  # where the bytes are to be sent

    def __call__(self, request: RecordedRequest) -> Reply:
        command = request.headers["x-goog-upload-command"]
        if command == "start":
            return Reply(b"", headers={"X-Goog-Upload-Url": f"{self.url}/upload?upload_id=1"})
        if command == "query":
            size = str(len(self.received))
            headers = {"X-Goog-Upload-Status": "active", "X-Goog-Upload-Size-Received": size}
            return Reply(b"", headers=headers)
        assert request.headers["x-goog-upload-offset"] == str(len(self.received))
        if self.troubles:
            return self.troubles.pop(0)
        self.received += request.body
        return Reply({"file": FILE} if "finalize" in command else {})


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of three chunks."""
    monkeypatch.setattr(developer, "CHUNK_BYTES", 4096)
    path = tmp_path / "clip.mp4"
    path.write_bytes(DATA)
    return path


def upload(
    server: UploadServer, clip: Path, report: Callable[[int, int], None] = lambda *_: None
) -> tuple[RemoteVideo, RecordingServer]:
    with RecordingServer(server) as google:
        server.url = server.url or google.url
        return gemini(google.url).upload(clip, report), google


def test_upload(clip: Path) -> None:
    """Start, the chunks, the last one finalizes: the file, until when it is kept, and progress."""
    server, sent = UploadServer(), []
    video, google = upload(server, clip, lambda *each: sent.append(each))

    first = google.requests[0]
    assert (first.method, first.path) == ("POST", "/upload/v1beta/files")
    assert first.headers["x-goog-upload-protocol"] == "resumable"
    assert first.headers["x-goog-upload-header-content-length"] == str(len(DATA))
    assert first.headers["x-goog-upload-header-content-type"] == "video/mp4"
    commands = [request.headers["x-goog-upload-command"] for request in google.requests]
    assert commands == ["start", "upload", "upload", "upload, finalize"]
    assert server.received == DATA
    assert video == RemoteVideo(URI, "video/mp4", 1_795_953_600.0)
    assert sent == [(0, len(DATA)), *((end, len(DATA)) for end in (4096, 8192, len(DATA)))]


@pytest.mark.parametrize(
    "trouble", [Reply(silent=True), Reply(b"", 503), Reply(b"", 500), Reply({}, missing=9)]
)
def test_interrupted_upload_continues(clip: Path, trouble: Reply) -> None:
    """The server says what it has, and the rest is sent."""
    server = UploadServer(trouble, trouble)
    video, google = upload(server, clip)

    assert (server.received, video.uri) == (DATA, URI)
    commands = [request.headers["x-goog-upload-command"] for request in google.requests]
    assert commands.count("query") == 2


def test_upload_that_keeps_breaking(clip: Path) -> None:
    """The engine decides when to try again: the error is retryable, and nothing is charged."""
    with pytest.raises(errors.ResponseLostError) as caught:
        upload(UploadServer(*[Reply(silent=True)] * 9), clip)

    assert (caught.value.retryable, caught.value.charged) == (True, False)


def test_other_host_receives_no_key(clip: Path) -> None:
    """The address for the bytes may be at another host, which gets the bytes alone."""
    server = UploadServer()
    with RecordingServer(server) as storage:
        server.url = storage.url
        video, google = upload(server, clip)

    assert video.uri == URI
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"
    assert len(storage.requests) == 3
    assert "sandbox-key" not in str(storage.requests)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(b""), errors.ProtocolError),
        (Reply(b"", headers={"X-Goog-Upload-Url": "file:///etc/passwd"}), errors.ProtocolError),
        (Reply({"error": {"code": 403, "message": "No."}}, 403), errors.AuthError),
        (Reply({"error": {"code": 400, "message": "Too long."}}, 400), errors.RefusedError),
        (Reply(b"", 307, {"Location": "https://storage.example/x"}), errors.RefusedError),
    ],
)
def test_refused_upload(clip: Path, reply: Reply, kind: type[errors.VeoError]) -> None:
    """Nothing is charged, whatever the error is."""
    with RecordingServer(reply) as google, pytest.raises(kind) as caught:
        gemini(google.url).upload(clip, lambda *_: None)

    assert caught.value.charged is False
    assert len(google.requests) == 1


@pytest.mark.parametrize("file", [None, {}, {"uri": 7}, {"uri": "x"}, {"uri": "gs://a/b"}])
def test_response_without_a_file(clip: Path, file: Any) -> None:
    """The bytes are sent, but nothing leads to them."""
    clip.write_bytes(DATA[:9])
    server = UploadServer(Reply({"file": file}))

    with pytest.raises(errors.ProtocolError):
        upload(server, clip)


def test_file_that_is_too_large(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before anything is sent."""
    monkeypatch.setattr(developer, "MAX_FILE_BYTES", 99)
    with RecordingServer() as google, pytest.raises(errors.TooLargeError):
        gemini(google.url).upload(clip, lambda *_: None)

    assert google.requests == []


def serve(state: str, status: int = 200) -> Callable[[RecordedRequest], Reply]:
    def respond(request: RecordedRequest) -> Reply:
        if request.method == "POST":
            return Reply(make_created())
        return Reply({**FILE, "state": state}, status)

    return respond


@pytest.mark.parametrize("field", ["edit", "extend"])
def test_paid_request_names_an_active_file(field: str) -> None:
    """The state of the file is read first; then the request is sent once."""
    with RecordingServer(serve("ACTIVE")) as google:
        submit(gemini(google.url), model=OMNI, **{field: RemoteVideo(URI)})

    state, paid = google.requests
    assert (state.method, state.path) == ("GET", "/v1beta/files/up1load2")
    assert paid.json["input"][0]["uri"] == URI


@pytest.mark.parametrize(
    ("state", "status", "kind", "retryable"),
    [
        ("PROCESSING", 200, errors.NotReadyError, True),
        ("FAILED", 200, errors.RefusedError, False),
        ("", 403, errors.GoneError, False),
        ("", 404, errors.GoneError, False),
    ],
)
def test_file_that_cannot_be_used(
    state: str, status: int, kind: type[errors.VeoError], retryable: bool
) -> None:
    """The paid request is not sent; while a file is processed the engine tries again."""
    with RecordingServer(serve(state, status)) as google, pytest.raises(kind) as caught:
        submit(gemini(google.url), model=OMNI, edit=RemoteVideo(URI))

    assert (caught.value.retryable, caught.value.charged) == (retryable, False)
    assert [request.method for request in google.requests] == ["GET"]


def test_video_of_another_provider() -> None:
    """It is refused before anything is sent."""
    with RecordingServer() as google, pytest.raises(errors.RefusedError):
        submit(gemini(google.url), model=OMNI, edit=RemoteVideo("gs://bucket/a.mp4"))

    assert google.requests == []


def test_region_lock() -> None:
    """It has the code of blocked content; the engine adds the row's note about uploads."""

    def respond(request: RecordedRequest) -> Reply:
        blocked = {"error": {"code": "content_blocked", "message": "sensitive words"}}
        return (
            Reply(blocked, 400) if request.method == "POST" else Reply(FILE | {"state": "ACTIVE"})
        )

    with RecordingServer(respond) as google:
        provider = gemini(google.url)
        with pytest.raises(errors.ModeratedError):
            submit(provider, model=OMNI, edit=RemoteVideo(URI))

    assert "EEA" in provider.models[OMNI].upload_note


def test_only_this_provider_uploads() -> None:
    """The protocol of the core finds the verb."""
    assert isinstance(gemini("http://127.0.0.1:9"), Uploader)
