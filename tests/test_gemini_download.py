"""Downloads from the Developer API: which hosts receive the key, and which errors there are."""

import pytest
from google_routes import CLIP, HOME, fetch, gemini
from recording_server import RecordedRequest, RecordingServer, Reply

from veo.errors import (
    AuthError,
    BusyError,
    GoneError,
    KeyMissingError,
    ProtocolError,
    ResponseLostError,
    VeoError,
)
from veo.update import RemoteVideo
from veo_gemini.files import resolve_file_url

PATH = CLIP.removeprefix(HOME)
VIDEO = RemoteVideo(CLIP)
DATA = bytes(range(256)) * 40


def serve_range(request: RecordedRequest) -> Reply:
    """Return the response of a file server that supports Range."""
    start = int(request.headers.get("range", "bytes=0-")[6:-1])
    if start >= len(DATA):
        return Reply(b"", 416)
    if "range" not in request.headers:
        return Reply(DATA, headers={"ETag": '"1"'})
    span = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}", "ETag": '"1"'}
    return Reply(DATA[start:], 206, span)


def catch_error(reply: Reply) -> VeoError:
    """Return the error of a download."""
    with RecordingServer(reply) as google, pytest.raises(VeoError) as caught:
        fetch(gemini(google.url).open(VIDEO))
    assert "sandbox-key" not in str(caught.value)
    return caught.value


def test_googles_url_is_fetched_from_the_base_url() -> None:
    """Operations name Google's host whatever the base_url; the key is sent in its header."""
    with RecordingServer(serve_range) as google:
        stream = gemini(f"{google.url}/gem/").open(VIDEO)
        data = fetch(stream)

    assert data == DATA
    assert (0, len(DATA), '"1"') == (stream.offset, stream.total, stream.etag)
    assert ("GET", f"/gem{PATH}") == (google.only_request.method, google.only_request.path)
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"


def test_download_continues_from_an_offset() -> None:
    """The rest of a file is requested with Range."""
    with RecordingServer(serve_range) as google:
        stream = gemini(google.url).open(VIDEO, offset=5000)
        data = fetch(stream)

    assert DATA[5000:] == data
    assert (5000, len(DATA)) == (stream.offset, stream.total)
    assert google.only_request.headers["range"] == "bytes=5000-"


def test_server_that_ignores_the_offset() -> None:
    """The stream says that it starts at the beginning."""
    with RecordingServer(Reply(DATA)) as google:
        stream = gemini(google.url).open(VIDEO, offset=5000)

        assert (stream.offset, fetch(stream)) == (0, DATA)


def test_offset_behind_the_end() -> None:
    """An offset behind the end is retryable: the video still exists."""
    with RecordingServer(serve_range) as google, pytest.raises(GoneError) as caught:
        gemini(google.url).open(VIDEO, offset=len(DATA))

    assert caught.value.retryable


def test_redirect_is_followed_without_the_key() -> None:
    """A storage host receives the request without the key."""
    with RecordingServer(serve_range) as storage:
        away = Reply(b"", 302, {"Location": f"{storage.url}/signed?x=1"})
        with RecordingServer(away) as google:
            data = fetch(gemini(google.url).open(VIDEO, offset=9))

    assert DATA[9:] == data
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"
    assert storage.only_request.path == "/signed?x=1"
    assert storage.only_request.headers["range"] == "bytes=9-"
    assert "sandbox-key" not in str(storage.only_request)


@pytest.mark.parametrize("host", ["", "https://generativelanguage.googleapis.com"])
def test_redirect_within_google_keeps_the_key(host: str) -> None:
    """Google moves a file to ``/download/``, and a gateway passes on Google's own host name."""

    def reply(asked: RecordedRequest) -> Reply:
        if asked.path.startswith("/download/"):
            return serve_range(asked)
        return Reply(b"", 302, {"Location": f"{host}/download{asked.path}"})

    with RecordingServer(reply) as google:
        data = fetch(gemini(google.url).open(VIDEO))

    assert data == DATA
    keys = [asked.headers.get("x-goog-api-key") for asked in google.requests]
    assert keys == ["sandbox-key"] * 2


def test_another_host_does_not_receive_the_key() -> None:
    """A URL that is neither Google's nor the API's is fetched without the key."""
    with RecordingServer(serve_range) as other, RecordingServer() as google:
        data = fetch(gemini(google.url).open(RemoteVideo(f"{other.url}/a.mp4")))

    assert data == DATA
    assert google.requests == []
    assert "sandbox-key" not in str(other.only_request)


@pytest.mark.parametrize("status", [403, 404])
def test_denied_file_is_gone(status: int) -> None:
    """Expired files give 403 or 404; the hint tells how long Google keeps them."""
    body = {"error": {"code": status, "message": "You do not have permission to access the File"}}

    error = catch_error(Reply(body, status))

    assert (GoneError, None) == (type(error), error.charged)
    assert "2 days" in error.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthError),
        (429, BusyError),
        (503, BusyError),
        (500, ResponseLostError),
        (418, ProtocolError),
    ],
)
def test_other_download_errors(status: int, kind: type[VeoError]) -> None:
    """Other errors mean neither that the file is gone nor that the video was free."""
    error = catch_error(Reply({"error": {"message": "No."}}, status))

    assert (kind, None) == (type(error), error.charged)


def test_broken_download() -> None:
    """Fewer bytes than announced are an error."""
    assert isinstance(catch_error(Reply(DATA, missing=10)), ResponseLostError)


def test_video_in_an_operation() -> None:
    """A video within an operation is read from a second response, from the offset."""
    name = "models/veo/operations/abc"
    sample = {"video": {"encodedVideo": "AAECAwQF", "encoding": "video/mp4"}}
    body = {"done": True, "response": {"generateVideoResponse": {"generatedSamples": [sample]}}}
    with RecordingServer(Reply(body)) as google:
        stream = gemini(google.url).open(RemoteVideo(name), offset=2)

    assert (stream.offset, stream.total, fetch(stream)) == (2, 6, b"\x02\x03\x04\x05")
    assert f"/v1beta/{name}" == google.only_request.path


def test_missing_key() -> None:
    """A missing key is an error before a connection is made."""
    provider = gemini("http://127.0.0.1:9", key=None)

    with pytest.raises(KeyMissingError):
        provider.open(VIDEO)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        (HOME + PATH, f"http://gate/p{PATH}"),
        ("files/abc", "http://gate/p/v1beta/files/abc:download?alt=media"),
        ("files/abc:download?alt=media", "http://gate/p/v1beta/files/abc:download?alt=media"),
        (HOME + PATH.partition("?")[0], f"http://gate/p{PATH}"),
        ("http://gate/other", "http://gate/other"),
        (f"{HOME}.example/x", f"{HOME}.example/x"),
        (f"{HOME}@example.org/x", f"{HOME}@example.org/x"),
        ("https://storage.example/x", "https://storage.example/x"),
    ],
)
def test_file_urls(uri: str, url: str) -> None:
    """Google's own URLs are mapped to the base URL; others that begin alike are not."""
    assert url == resolve_file_url(uri, HOME, "http://gate/p/")


@pytest.mark.parametrize("uri", ["gs://bucket/a.mp4", "file:///etc/passwd", "", "a b"])
def test_unknown_address(uri: str) -> None:
    """An address of an unknown kind is an error."""
    with pytest.raises(ProtocolError):
        resolve_file_url(uri, HOME, "http://gate")
