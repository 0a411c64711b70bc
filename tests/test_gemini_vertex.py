"""Requests to the Agent Platform, with a key or with credentials."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from google_routes import PLACE, asset, express, picture, project, submit
from google_routes import PLATFORM_FAST as FAST
from google_routes import PLATFORM_NAME as NAME
from platform_server import platform, service_account
from polling import poll
from recording_server import RecordingServer, Reply

from veo.errors import (
    AuthError,
    ConfigError,
    KeyMissingError,
    ModelUnavailableError,
    TaskNotFoundError,
)
from veo.image import Image
from veo.provider import Pingable
from veo.update import RemoteVideo, Stage
from veo_gemini import Vertex
from veo_gemini.vertex import regional_url

MODEL = f"publishers/google/models/{FAST}"
IMAGE = Image.of(b"\xff\xd8\xff frame")


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


BODIES = {
    "text": ({}, {"prompt": "lion"}, {}),
    "options": (
        {
            "duration": 4,
            "aspect_ratio": "9:16",
            "resolution": "720p",
            "person_generation": "allow_adult",
            "negative_prompt": "fog",
            "seed": 7,
        },
        {"prompt": "lion"},
        {
            "durationSeconds": 4,
            "aspectRatio": "9:16",
            "resolution": "720p",
            "personGeneration": "allow_adult",
            "negativePrompt": "fog",
            "seed": 7,
        },
    ),
    "frames": (
        {"start_frame": IMAGE, "end_frame": IMAGE},
        {"prompt": "lion", "image": picture(IMAGE), "lastFrame": picture(IMAGE)},
        {},
    ),
    "references": (
        {"reference": (IMAGE,)},
        {
            "prompt": "lion",
            "referenceImages": [asset(IMAGE)],
        },
        {},
    ),
    "extension": (
        {"extend": RemoteVideo("gs://bucket/a.mp4")},
        {"prompt": "lion", "video": {"gcsUri": "gs://bucket/a.mp4", "mimeType": "video/mp4"}},
        {},
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_request_body(google: RecordingServer, case: str) -> None:
    """One video with audio is requested explicitly; other options only if they are set."""
    options, instance, parameters = BODIES[case]

    update = submit(express(google.url), **options)

    always = {"sampleCount": 1, "generateAudio": True}
    assert {"instances": [instance], "parameters": always | parameters} == google.only_request.json
    assert (update.stage, update.task_id) == (Stage.SUBMITTED, NAME)


def test_express_key_needs_no_project(google: RecordingServer) -> None:
    """Create without a project, ask by the operation's full name; the key in its header."""
    vertex = express(google.url)
    submit(vertex)
    update = poll(vertex, NAME)

    create, ask = google.requests
    assert f"/v1beta1/{MODEL}:predictLongRunning" == create.path
    assert f"/v1beta1/{PLACE}/{MODEL}:fetchPredictOperation" == ask.path
    assert ask.json == {"operationName": NAME}
    assert [asked.headers["x-goog-api-key"] for asked in google.requests] == ["sandbox-key"] * 2
    assert (update.stage, update.video.uri) == (Stage.READY, NAME)


@pytest.mark.usefixtures("credentials")
def test_credentials_name_the_project(google: RecordingServer) -> None:
    """Application-default credentials name the project; a token is fetched once."""
    vertex = project(google.url)
    submit(vertex)
    poll(vertex, NAME)

    token, create, ask = google.requests
    assert token.path == "/token"
    assert f"/v1beta1/{PLACE}/{MODEL}:predictLongRunning" == create.path
    assert [a.headers["authorization"] for a in (create, ask)] == ["Bearer sandbox-token"] * 2
    assert "x-goog-api-key" not in create.headers


@pytest.mark.usefixtures("credentials")
def test_configured_project_comes_before_the_key(
    google: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a configured project its credentials are used, not a key."""
    monkeypatch.setenv("GOOGLE_API_KEY", "other-key")
    options = {"project": "mine", "location": "europe-west4"}
    submit(express(google.url, **options))

    create = google.requests[-1]
    parent = "projects/mine/locations/europe-west4"
    assert f"/v1beta1/{parent}/{MODEL}:predictLongRunning" == create.path
    assert "x-goog-api-key" not in create.headers


def test_the_environment_does_not_replace_an_express_key(
    google: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project in the environment does not change how an express key is used."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "elsewhere")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "false")
    submit(express(google.url))

    assert f"/v1beta1/{MODEL}:predictLongRunning" == google.only_request.path


def test_options_are_sent(google: RecordingServer) -> None:
    """Audio can be switched off, and videos can be stored in a bucket."""
    submit(express(google.url, generate_audio=False, storage_uri="gs://bucket/folder"))

    parameters = google.only_request.json["parameters"]
    assert (parameters["generateAudio"], parameters["storageUri"]) == (False, "gs://bucket/folder")


@pytest.mark.parametrize(
    "options",
    [
        {"location": "evil.example/"},
        {"storage_uri": "/tmp/videos"},
        {"generate_audio": "perhaps"},
        {"projekt": "p"},
    ],
)
def test_invalid_option(options: dict[str, Any]) -> None:
    """An invalid option is a configuration error that names it."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        express("http://127.0.0.1:9", **options)


def test_every_option_is_described() -> None:
    """The facts describe exactly the options that exist."""
    from veo_gemini.vertex import VertexSettings

    assert {each.name for each in fields(VertexSettings)} == set(Vertex.facts.options)


def test_host_of_a_region() -> None:
    """The location determines the host."""
    home = Vertex.facts.base_url

    assert regional_url(home, "us-central1") == "https://us-central1-aiplatform.googleapis.com"
    assert home == regional_url(home, "global")


@pytest.mark.usefixtures("credentials")
def test_region_applies_to_the_default_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With credentials Google's base_url becomes the region's; a configured one stays."""
    urls = []
    monkeypatch.setattr("veo_gemini.sdk_client.Sdk", lambda url, **_: urls.append(url))
    project(Vertex.facts.base_url)._connect()
    project("http://127.0.0.1:9")._connect()
    express(Vertex.facts.base_url)._connect()

    assert urls == [
        "https://us-central1-aiplatform.googleapis.com",
        "http://127.0.0.1:9",
        "https://aiplatform.googleapis.com",
    ]


def test_error_table_is_shared() -> None:
    """The error table is that of the Developer API."""
    with RecordingServer(Reply({"error": {"message": "not found"}}, 404)) as google:
        vertex = express(google.url)
        with pytest.raises(ModelUnavailableError) as caught:
            submit(vertex)
        with pytest.raises(TaskNotFoundError):
            poll(vertex, NAME)

    assert "2027-05-04" in caught.value.hint


def test_missing_key_and_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a key and credentials the hint says how to create them."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    with pytest.raises(KeyMissingError) as caught:
        poll(project("http://127.0.0.1:9"), NAME)

    assert "gcloud auth application-default login" in caught.value.hint


@pytest.mark.usefixtures("credentials")
def test_refused_credentials(google: RecordingServer) -> None:
    """If no token is issued, nothing is sent to the API and nothing is charged."""
    google.reply = Reply({"error": "invalid_grant", "error_description": "Account deleted"}, 400)

    with pytest.raises(AuthError) as caught:
        submit(project(google.url))

    assert False is caught.value.charged
    assert {"/token"} == {asked.path for asked in google.requests}


@pytest.mark.usefixtures("credentials")
def test_ping(google: RecordingServer) -> None:
    """A ping is one free GET of the preferred model, with the credentials."""
    google.reply = lambda asked: (
        platform(asked) if asked.method == "POST" else Reply({"name": MODEL})
    )
    vertex = project(google.url)

    line = vertex.ping()

    assert isinstance(vertex, Pingable)
    assert f"{FAST} is available to project p" == line
    assert ("GET", f"/v1beta1/{MODEL}") == (google.requests[-1].method, google.requests[-1].path)
