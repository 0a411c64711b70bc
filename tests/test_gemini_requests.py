"""Requests to the Developer API, compared with those captured from google-genai 2.34."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from google_routes import CLIP, FAST, NAME, asset, gemini, picture, submit
from polling import poll
from recording_server import RecordingServer, Reply

from veo.errors import AuthError, ConfigError, KeyMissingError, ProtocolError
from veo.image import Image
from veo.provider import Pingable
from veo.update import RemoteVideo, Stage, Update
from veo_gemini import sdk_client as sdk

JPEG = Image.of(b"\xff\xd8\xff frame")
PNG = Image.of(b"\x89PNG\r\n\x1a\n frame")


@pytest.fixture
def google() -> Iterator[RecordingServer]:
    """Serve an API that accepts every request."""
    with RecordingServer(Reply({"name": NAME})) as server:
        yield server


BODIES = {
    "text": ({}, {"instances": [{"prompt": "lion"}]}),
    "options": (
        {
            "duration": 8,
            "aspect_ratio": "16:9",
            "resolution": "1080p",
            "person_generation": "allow_all",
            "negative_prompt": "cartoon, low quality",
        },
        {
            "instances": [{"prompt": "lion"}],
            "parameters": {
                "durationSeconds": 8,
                "aspectRatio": "16:9",
                "resolution": "1080p",
                "personGeneration": "allow_all",
                "negativePrompt": "cartoon, low quality",
            },
        },
    ),
    "start frame": (
        {"start_frame": JPEG},
        {"instances": [{"prompt": "lion", "image": picture(JPEG)}]},
    ),
    "both frames": (
        {"start_frame": JPEG, "end_frame": PNG},
        {"instances": [{"prompt": "lion", "image": picture(JPEG), "lastFrame": picture(PNG)}]},
    ),
    "references": (
        {"reference": (PNG, JPEG, PNG)},
        {
            "instances": [
                {"prompt": "lion", "referenceImages": [asset(PNG), asset(JPEG), asset(PNG)]}
            ]
        },
    ),
    "extension": (
        {"extend": RemoteVideo(CLIP)},
        {
            "instances": [{"prompt": "lion", "video": {"uri": CLIP}}],
            "parameters": {"sampleCount": 1, "resolution": "720p"},
        },
    ),
    "seed alone": (
        {"seed": 0},
        {"instances": [{"prompt": "lion"}], "parameters": {"seed": 0}},
    ),
    "seed with others": (
        {"seed": 7, "duration": 4},
        {"instances": [{"prompt": "lion"}], "parameters": {"durationSeconds": 4, "seed": 7}},
    ),
    "any text": (
        {"prompt": 'Лев 🦁 "roars"\n'},
        {"instances": [{"prompt": 'Лев 🦁 "roars"\n'}]},
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_request_body(google: RecordingServer, case: str) -> None:
    """A submit is one POST with the captured body; options that are not set are not sent."""
    options, body = BODIES[case]

    update = submit(gemini(google.url), **options)

    assert (update.stage, update.task_id) == (Stage.SUBMITTED, NAME)
    assert ("POST", f"/v1beta/models/{FAST}:predictLongRunning") == (
        google.only_request.method,
        google.only_request.path,
    )
    assert body == google.only_request.json


def test_poll_is_one_get(google: RecordingServer) -> None:
    """A poll is one GET, for which the task id is enough, as after a restart."""
    update = poll(gemini(google.url), NAME)

    assert (update.stage, update.task_id, update.progress) == (Stage.RUNNING, NAME, None)
    assert ("GET", f"/v1beta/{NAME}", b"") == (
        google.only_request.method,
        google.only_request.path,
        google.only_request.body,
    )


def test_key_is_sent_in_its_header_only(google: RecordingServer) -> None:
    """The key is in x-goog-api-key, not in the path or the body."""
    provider = gemini(google.url)
    submit(provider)
    poll(provider, NAME)

    for request in google.requests:
        assert request.headers["x-goog-api-key"] == "sandbox-key"
        assert "sandbox-key" not in request.path + request.body.decode()


def test_every_request_has_a_time_limit(google: RecordingServer) -> None:
    """Each request has a time limit, which the SDK repeats in a header, in seconds."""
    provider = gemini(google.url)
    submit(provider)
    poll(provider, NAME)

    assert [each.headers["x-server-timeout"] for each in google.requests] == ["180", "60"]


def test_base_url_with_a_path(google: RecordingServer) -> None:
    """The path of the base URL is kept."""
    poll(gemini(f"{google.url}/proxy/gem"), NAME)

    assert f"/proxy/gem/v1beta/{NAME}" == google.only_request.path


@pytest.mark.parametrize(
    "environment",
    [
        {"GOOGLE_GENAI_USE_VERTEXAI": "true"},
        {"GOOGLE_GENAI_USE_ENTERPRISE": "true", "GOOGLE_CLOUD_PROJECT": "elsewhere"},
        {"GOOGLE_API_KEY": "other-key", "GEMINI_API_KEY": "third-key"},
        {"GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9"},
    ],
    ids=["vertexai", "enterprise", "keys", "base url"],
)
def test_environment_variables_are_ignored(
    google: RecordingServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    environment: dict[str, str],
) -> None:
    """The SDK's environment variables change neither the host, the API nor the key."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    submit(gemini(google.url))

    assert f"/v1beta/models/{FAST}:predictLongRunning" == google.only_request.path
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"
    assert caplog.messages == []


def test_many_threads_share_one_client(
    google: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submits of many threads at once use one SDK client."""
    clients = []
    build = sdk._build_client
    monkeypatch.setattr(sdk, "_build_client", lambda *args: clients.append(1) or build(*args))
    provider = gemini(google.url)
    ready = threading.Barrier(8)

    def submit_one(number: int) -> Update:
        ready.wait()
        return submit(provider, prompt=str(number))

    with ThreadPoolExecutor(8) as pool:
        updates = list(pool.map(submit_one, range(8)))

    assert [update.task_id for update in updates] == [NAME] * 8
    assert {str(number) for number in range(8)} == {
        each.json["instances"][0]["prompt"] for each in google.requests
    }
    assert clients == [1]


def test_paid_request_keeps_no_connection(google: RecordingServer) -> None:
    """No connection is kept, as one that the server closes would look like a lost response."""
    provider = gemini(google.url)
    for _ in range(3):
        submit(provider)

    assert len(google.connections) == 3


def test_response_without_an_operation() -> None:
    """A response without the name of an operation may have been charged."""
    with RecordingServer(Reply({})) as google, pytest.raises(ProtocolError) as caught:
        submit(gemini(google.url))

    assert None is caught.value.charged


def test_missing_key() -> None:
    """A missing key is an error with a hint, before anything is sent."""
    with pytest.raises(KeyMissingError) as caught:
        poll(gemini("http://127.0.0.1:9", key=None), NAME)

    assert "aistudio" in caught.value.hint


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:9", "http://[::1", "nonsense"])
def test_invalid_base_url(url: str) -> None:
    """An invalid base URL is a configuration error; nothing is charged."""
    with pytest.raises(ConfigError) as caught:
        submit(gemini(url))

    assert False is caught.value.charged


def test_key_that_a_header_cannot_hold(google: RecordingServer) -> None:
    """Nothing is sent, and the message does not contain the key."""
    with pytest.raises(ConfigError) as caught:
        submit(gemini(google.url, key="sandbox-kéy"))

    assert google.requests == []
    assert "kéy" not in str(caught.value)


def test_ping() -> None:
    """A ping is one free GET that lists the offered models."""
    models = {"models": [{"name": f"models/{FAST}"}, {"name": "models/gemini-x"}]}
    with RecordingServer(Reply(models)) as google:
        provider = gemini(google.url)
        line = provider.ping()

    assert isinstance(provider, Pingable)
    assert (google.only_request.method, google.only_request.path) == (
        "GET",
        "/v1beta/models?pageSize=1000",
    )
    assert google.only_request.headers["x-goog-api-key"] == "sandbox-key"
    assert line.startswith(f"the key is valid; offered: {FAST}; not offered: gemini-omni-1.2")


def test_ping_with_an_invalid_key() -> None:
    """A ping with an invalid key is an authentication error."""
    refusal = {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}
    with RecordingServer(Reply(refusal, 400)) as google, pytest.raises(AuthError):
        gemini(google.url).ping()
