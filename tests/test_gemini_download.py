"""The bytes of a finished video from the Developer API: whose key goes where, and what is gone."""

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


def ranged(asked: RecordedRequest) -> Reply:
    """A file server that honours Range."""
    start = int(asked.headers.get("range", "bytes=0-")[6:-1])
    if start >= len(DATA):
        return Reply(b"", 416)
    if "range" not in asked.headers:
        return Reply(DATA, headers={"ETag": '"1"'})
    span = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}", "ETag": '"1"'}
    return Reply(DATA[start:], 206, span)


def refused(reply: Reply) -> VeoError:
    """What a download raises."""
    with RecordingServer(reply) as google, pytest.raises(VeoError) as caught:
        fetch(gemini(google.url).open(VIDEO))
    assert "sandbox-key" not in str(caught.value)
    return caught.value


def test_googles_address_is_fetched_from_the_configured_place() -> None:
    """Operations name Google's host whatever base_url is; the key goes along in its header."""
    with RecordingServer(ranged) as google:
        stream = gemini(f"{google.url}/gem/").open(VIDEO)
        data = fetch(stream)

    assert data == DATA
    assert (0, len(DATA), '"1"') == (stream.offset, stream.total, stream.etag)
    assert ("GET", f"/gem{PATH}") == (google.only_request.method, google.only_request.path)
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"


def test_a_download_carries_on_from_an_offset() -> None:
    """The second half of a file is asked for with Range, and nothing twice."""
    with RecordingServer(ranged) as google:
        stream = gemini(google.url).open(VIDEO, offset=5000)
        data = fetch(stream)

    assert DATA[5000:] == data
    assert (5000, len(DATA)) == (stream.offset, stream.total)
    assert google.only_request.headers["range"] == "bytes=5000-"


def test_a_server_that_ignores_the_offset_is_believed() -> None:
    """The stream says that it starts at the beginning after all."""
    with RecordingServer(Reply(DATA)) as google:
        stream = gemini(google.url).open(VIDEO, offset=5000)

        assert (stream.offset, fetch(stream)) == (0, DATA)


def test_no_bytes_at_the_offset_is_told() -> None:
    """A part file as long as the video is not a video that is gone for good."""
    with RecordingServer(ranged) as google, pytest.raises(GoneError) as caught:
        gemini(google.url).open(VIDEO, offset=len(DATA))

    assert caught.value.retryable


def test_a_redirect_is_followed_without_the_key() -> None:
    """A storage host gets the request, never the key."""
    with RecordingServer(ranged) as storage:
        away = Reply(b"", 302, {"Location": f"{storage.url}/signed?x=1"})
        with RecordingServer(away) as google:
            data = fetch(gemini(google.url).open(VIDEO, offset=9))

    assert DATA[9:] == data
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"
    assert storage.only_request.path == "/signed?x=1"
    assert storage.only_request.headers["range"] == "bytes=9-"
    assert "sandbox-key" not in str(storage.only_request)


def test_a_video_on_another_host_is_fetched_without_the_key() -> None:
    """An address that is neither Google's nor the API's gets no key at all."""
    with RecordingServer(ranged) as other, RecordingServer() as google:
        data = fetch(gemini(google.url).open(RemoteVideo(f"{other.url}/a.mp4")))

    assert data == DATA
    assert google.requests == []
    assert "sandbox-key" not in str(other.only_request)


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_google_denies_is_gone(status: int) -> None:
    """Expired files answer 403 as well as 404; the hint says how long they are kept."""
    body = {"error": {"code": status, "message": "You do not have permission to access the File"}}

    error = refused(Reply(body, status))

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
def test_other_refusals_of_a_download_are_not_its_end(status: int, kind: type[VeoError]) -> None:
    """None of them says that the file is gone, and none that the video was free."""
    error = refused(Reply({"error": {"message": "No."}}, status))

    assert (kind, None) == (type(error), error.charged)


def test_a_broken_download_is_told() -> None:
    """Fewer bytes than announced are no whole file."""
    assert isinstance(refused(Reply(DATA, missing=10)), ResponseLostError)


def test_a_video_inside_an_operation_is_asked_for_again() -> None:
    """Bytes that came with the answer are served from a second answer, from the offset."""
    name = "models/veo/operations/abc"
    sample = {"video": {"encodedVideo": "AAECAwQF", "encoding": "video/mp4"}}
    body = {"done": True, "response": {"generateVideoResponse": {"generatedSamples": [sample]}}}
    with RecordingServer(Reply(body)) as google:
        stream = gemini(google.url).open(RemoteVideo(name), offset=2)

    assert (stream.offset, stream.total, fetch(stream)) == (2, 6, b"\x02\x03\x04\x05")
    assert f"/v1beta/{name}" == google.only_request.path


def test_without_a_key_nothing_is_fetched() -> None:
    """The missing key is told before a connection is made."""
    provider = gemini("http://127.0.0.1:9", key=None)

    with pytest.raises(KeyMissingError):
        provider.open(VIDEO)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        (HOME + PATH, f"http://gate/p{PATH}"),
        ("files/abc", "http://gate/p/v1beta/files/abc:download?alt=media"),
        ("files/abc:download?alt=media", "http://gate/p/v1beta/files/abc:download?alt=media"),
        ("http://gate/other", "http://gate/other"),
        (f"{HOME}.example/x", f"{HOME}.example/x"),
        (f"{HOME}@example.org/x", f"{HOME}@example.org/x"),
        ("https://storage.example/x", "https://storage.example/x"),
    ],
)
def test_only_googles_own_addresses_are_mapped(uri: str, url: str) -> None:
    """Addresses that merely begin like Google's are somebody else's."""
    assert url == resolve_file_url(uri, HOME, "http://gate/p/")


@pytest.mark.parametrize("uri", ["gs://bucket/a.mp4", "file:///etc/passwd", "", "a b"])
def test_an_address_of_no_known_kind_is_refused(uri: str) -> None:
    """What cannot be fetched is not tried."""
    with pytest.raises(ProtocolError):
        resolve_file_url(uri, HOME, "http://gate")
