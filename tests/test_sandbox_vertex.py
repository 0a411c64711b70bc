"""The Agent Platform wire of the sandbox, through Google's own SDK and plain HTTP."""

import base64
import io
import re
from typing import Any

import av
import pytest
import requests
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from google_sdk import (
    FAST,
    PLATFORM_FAST,
    list_requests,
    make_video,
    reference_images,
    small_image,
    start_video,
    wait_done,
)
from sandbox_api import StartSandbox, make_image

from veo_sandbox import Sandbox

PLATFORM_LITE = "veo-3.1-lite-generate-001"
MODEL = f"publishers/google/models/{PLATFORM_FAST}"
PLACE = f"projects/p/locations/us-central1/{MODEL}"
CREATE = f"/v1beta1/{MODEL}:predictLongRunning"


@pytest.fixture
def box(sandbox: StartSandbox) -> Sandbox:
    """A sandbox."""
    return sandbox()


@pytest.fixture
def express(box: Sandbox) -> genai.Client:
    """Return a client with an express key."""
    http = types.HttpOptions(base_url=box.url)
    return genai.Client(vertexai=True, api_key=box.key, http_options=http)


@pytest.fixture
def project(box: Sandbox) -> genai.Client:
    """Return a client with a project's credentials."""
    return genai.Client(
        vertexai=True,
        project="p",
        location="us-central1",
        credentials=Credentials(token=box.key),
        http_options=types.HttpOptions(base_url=box.url),
    )


def post(box: Sandbox, path: str, body: Any, **headers: str) -> requests.Response:
    """POST with a key, or with other headers."""
    who = headers or {"x-goog-api-key": box.key}
    return requests.post(f"{box.url}{path}", json=body, headers=who, timeout=20)


def stored(box: Sandbox, uri: str, query: str = "alt=media", **headers: str) -> requests.Response:
    """GET an object from Cloud Storage."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    name = name.replace("/", "%2F")
    url = f"{box.files_url}/storage/v1/b/{bucket}/o/{name}?{query}"
    return requests.get(url, headers=headers, timeout=20)


def bearer(box: Sandbox) -> dict[str, str]:
    """Return the header of an access token."""
    return {"Authorization": f"Bearer {box.key}"}


def seconds(data: bytes) -> float:
    """Return the length of a file."""
    with av.open(io.BytesIO(data)) as film:
        stream = film.streams.video[0]
        return round(float(stream.duration * stream.time_base), 1)


class TestSdk:
    """The sandbox understands what google-genai 2.34 sends, and the SDK reads its responses."""

    def test_an_express_key(self, box: Sandbox, express: genai.Client) -> None:
        """Each poll response has the bytes; paths as captured."""
        begun = start_video(express, PLATFORM_FAST, seed=7, generate_audio=True, duration_seconds=4)
        ended = wait_done(express, begun)
        made = ended.response.generated_videos[0].video
        again = express.operations.get(ended).response.generated_videos[0].video
        paths = [path for path, _ in list_requests(box)]

        assert (made.video_bytes[4:8], made.mime_type, made.uri) == (b"ftyp", "video/mp4", None)
        assert again.video_bytes == made.video_bytes
        assert paths[0] == CREATE
        assert set(paths[1:]) == {f"/v1beta1/{begun.name.partition('/operations/')[0]}:{FETCH}"}
        assert dict(list_requests(box))[CREATE] == {
            "instances": [{"prompt": "lion"}],
            "parameters": {"seed": 7, "generateAudio": True, "durationSeconds": 4},
        }
        assert {entry["status"] for entry in box.requests()} == {200}

    def test_credentials(self, box: Sandbox, project: genai.Client) -> None:
        """A project's token works too."""
        assert make_video(project, PLATFORM_FAST).video_bytes[4:8] == b"ftyp"
        assert {entry["status"] for entry in box.requests()} == {200}

    def test_images(self, box: Sandbox, express: genai.Client) -> None:
        """Frames, and in another request references."""
        make_video(express, PLATFORM_FAST, image=small_image("red"), last_frame=small_image("blue"))
        make_video(express, PLATFORM_FAST, reference_images=reference_images("red", "lime"))
        bodies = [body for path, body in list_requests(box) if path == CREATE]

        assert list(bodies[0]["instances"][0]) == ["prompt", "image", "lastFrame"]
        assert len(bodies[1]["instances"][0]["referenceImages"]) == 2

    def test_bills(self, box: Sandbox, express: genai.Client) -> None:
        """Priced per second, under the operation's name."""
        name = wait_done(express, start_video(express, PLATFORM_FAST, resolution="1080p")).name

        assert [(b["task"], b["route"], b["amount"], b["state"]) for b in box.bills()] == [
            (name, "vertex", 0.96, "charged")
        ]

    def test_a_failure(self, box: Sandbox, express: genai.Client) -> None:
        """Reported in `error`, without an exception."""
        box.fault("refused_late")
        ended = wait_done(express, start_video(express, PLATFORM_FAST))

        assert ended.error["code"] == 3
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    def test_a_filtered_video(self, box: Sandbox, express: genai.Client) -> None:
        """A count and a reason as members of the response."""
        box.fault("filtered", message="no likeness")
        response = wait_done(express, start_video(express, PLATFORM_FAST)).response

        assert response.generated_videos is None
        assert response.rai_media_filtered_count == 1
        assert response.rai_media_filtered_reasons == ["no likeness"]

    def test_an_empty_response(self, box: Sandbox, express: genai.Client) -> None:
        """Done, without a video."""
        box.fault("empty")

        assert (
            wait_done(express, start_video(express, PLATFORM_FAST)).response.generated_videos
            is None
        )

    def test_storage(self, box: Sandbox, project: genai.Client) -> None:
        """The address is in the requested folder."""
        made = make_video(project, PLATFORM_FAST, output_gcs_uri="gs://films/lions/")
        data = stored(box, made.uri, **bearer(box))

        assert re.fullmatch(r"gs://films/lions/[0-9a-f-]{36}/sample_0\.mp4", made.uri)
        assert made.video_bytes is None
        assert data.content[4:8] == b"ftyp"

    def test_extension_of_bytes(self, box: Sandbox, express: genai.Client) -> None:
        """The SDK sends the bytes that it received."""
        first = make_video(express, PLATFORM_FAST)
        longer = make_video(express, PLATFORM_FAST, video=first)

        assert seconds(longer.video_bytes) == 15.0
        assert [bill["amount"] for bill in box.bills()] == [0.8, 0.7]

    def test_extension_of_an_object(self, box: Sandbox, project: genai.Client) -> None:
        """The SDK sends the address that it received."""
        first = make_video(project, PLATFORM_FAST, output_gcs_uri="gs://films")
        first.mime_type = "video/mp4"
        longer = make_video(project, PLATFORM_FAST, video=first)

        assert seconds(longer.video_bytes) == 15.0

    def test_a_model(self, express: genai.Client) -> None:
        """One model; the request is not billed."""
        assert express.models.get(model=PLATFORM_FAST).name == MODEL

    def test_unknown_models(self, express: genai.Client) -> None:
        """The Developer API's names are unknown here."""
        with pytest.raises(errors.ClientError, match="was not found or your project") as caught:
            start_video(express, FAST)

        assert caught.value.code == 404


FETCH = "fetchPredictOperation"


class TestWire:
    """Plain HTTP."""

    def test_a_named_project(self, box: Sandbox) -> None:
        """Its operations contain its name; while one runs, `done` is absent."""
        box.change(latency=1000)
        begun = post(box, f"/v1/{PLACE}:predictLongRunning", {"instances": [{"prompt": "x"}]})
        name = begun.json()["name"]
        running = post(box, f"/v1/{PLACE}:{FETCH}", {"operationName": name}).json()
        short = post(box, f"/v1beta1/{MODEL}:{FETCH}", {"operationName": name}).json()

        assert name.startswith(f"{PLACE}/operations/")
        assert running == short == {"name": name}

    def test_unknown_operations(self, box: Sandbox) -> None:
        """404, with a name or without."""
        for body in ({"operationName": "x"}, {}):
            assert post(box, f"/v1/{PLACE}:{FETCH}", body).status_code == 404

    @pytest.mark.parametrize(
        ("headers", "status", "expected_text"),
        [
            ({"x": "y"}, 401, "invalid authentication credentials"),
            ({"Authorization": "Bearer other"}, 401, "UNAUTHENTICATED"),
            ({"x-goog-api-key": "other"}, 400, "API key not valid."),
        ],
    )
    def test_missing_and_wrong_keys(
        self, box: Sandbox, headers: dict[str, str], status: int, expected_text: str
    ) -> None:
        """Each kind of wrong key has its own text."""
        responses = [post(box, path, {}, **headers) for path in (CREATE, f"/v1/{PLACE}:{FETCH}")]

        assert {response.status_code for response in responses} == {status}
        assert all(expected_text in response.text for response in responses)

    @pytest.mark.parametrize(
        ("instance", "parameters", "expected_text"),
        [
            ({"video": {"uri": "x"}}, {}, "`uri` isn't supported"),
            ({"video": {"gcsUri": "gs://a/b/sample_0.mp4"}}, {}, "that has been processed."),
            ({"video": {"bytesBase64Encoded": "eA=="}}, {}, "that has been processed."),
            ({}, {"storageUri": "lions"}, "`storageUri` needs to be a Cloud Storage URI"),
            ({}, {"durationSeconds": "8"}, "needs to be a number"),
            ({"lastFrame": None}, {}, "`lastFrame` needs to be an object."),
            ({}, {"enhancePrompt": False}, "`enhancePrompt` cannot be disabled"),
        ],
    )
    def test_a_wrong_request(
        self, box: Sandbox, instance: Any, parameters: Any, expected_text: str
    ) -> None:
        """400, and nothing is started."""
        body = {"instances": [{"prompt": "x"} | instance], "parameters": parameters}
        response = post(box, CREATE, body)

        assert (response.status_code, expected_text in response.text) == (400, True)
        assert box.tasks() == []

    @pytest.mark.parametrize("persons", ["allow_all", "allow_adult", "dont_allow"])
    def test_parameters_of_this_api_only(self, box: Sandbox, persons: str) -> None:
        """Every documented parameter, and labels."""
        picture_ = base64.b64encode(make_image()).decode()
        body = {
            "instances": [
                {"prompt": "x", "image": {"bytesBase64Encoded": picture_, "mimeType": "image/png"}}
            ],
            "parameters": {
                "sampleCount": 1,
                "fps": 24,
                "seed": 1,
                "personGeneration": persons,
                "negativePrompt": "y",
                "enhancePrompt": True,
                "generateAudio": False,
                "compressionQuality": "optimized",
                "resizeMode": "pad",
            },
            "labels": {"team": "lions"},
        }

        assert post(box, CREATE, body).status_code == 200

    def test_stored_images(self, box: Sandbox, project: genai.Client) -> None:
        """A frame may be an object in a bucket."""
        image = types.Image(gcs_uri="gs://films/a.png", mime_type="image/png")
        with pytest.raises(errors.ClientError, match="No such object"):
            start_video(project, PLATFORM_FAST, image=image)
        url = f"{box.files_url}/upload/storage/v1/b/films/o?uploadType=media&name=a.png"
        requests.post(url, data=make_image(), headers=bearer(box), timeout=10)

        assert make_video(project, PLATFORM_FAST, image=image).video_bytes[4:8] == b"ftyp"

    def test_several_videos(self, box: Sandbox, project: genai.Client) -> None:
        """Up to four of one request, each paid, each with an object of its own."""
        begun = start_video(
            project,
            PLATFORM_FAST,
            number_of_videos=3,
            output_gcs_uri="gs://films",
            duration_seconds=4,
        )
        videos = wait_done(project, begun).response.generated_videos
        uris = [made.video.uri for made in videos]
        many = {"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 5}}

        assert [uri.rpartition("/")[2] for uri in uris] == [f"sample_{n}.mp4" for n in range(3)]
        assert {stored(box, uri, **bearer(box)).status_code for uri in uris} == {200}
        assert stored(box, f"{uris[0][:-5]}3.mp4", **bearer(box)).status_code == 404
        assert [bill["amount"] for bill in box.bills()] == [1.2]
        assert post(box, CREATE, many).status_code == 400

    def test_a_lite_model_extends(self, box: Sandbox, express: genai.Client) -> None:
        """Unlike at the Developer API."""
        first = make_video(express, PLATFORM_LITE)

        assert seconds(make_video(express, PLATFORM_LITE, video=first).video_bytes) == 15.0

    def test_insufficient_balance(self, sandbox: StartSandbox) -> None:
        """The error says that billing is off."""
        response = post(sandbox(balance=0.1), CREATE, {"instances": [{"prompt": "x"}]})

        assert (response.status_code, response.json()["error"]["status"]) == (
            403,
            "PERMISSION_DENIED",
        )

    def test_storage_needs_a_token(self, box: Sandbox, project: genai.Client) -> None:
        """Only a token; an API key is refused."""
        uri = make_video(project, PLATFORM_FAST, output_gcs_uri="gs://films/lions").uri
        nobody, stranger = stored(box, uri), stored(box, uri, Authorization="Bearer other")
        known = stored(box, uri, "", **bearer(box)).json()
        other = stored(box, "gs://films/lions/x/sample_0.mp4", **bearer(box))
        before = box.leaks()
        leaking = stored(box, uri, **{"x-goog-api-key": box.key})

        assert (nobody.status_code, stranger.status_code, other.status_code) == (401, 401, 404)
        assert (known["bucket"], known["contentType"]) == ("films", "video/mp4")
        assert (before, leaking.status_code, len(box.leaks())) == ([], 401, 1)

    def test_a_part_of_an_object(self, box: Sandbox, project: genai.Client) -> None:
        """Range works."""
        uri = make_video(project, PLATFORM_FAST, output_gcs_uri="gs://films").uri
        whole = stored(box, uri, **bearer(box)).content
        part = stored(box, uri, **bearer(box), Range="bytes=100-")

        assert (part.status_code, part.content) == (206, whole[100:])

    def test_a_restart(self, sandbox: StartSandbox, tmp_path: Any) -> None:
        """A later sandbox of the same home still has the video."""
        home = tmp_path / "home"
        box = sandbox(home)
        name = post(box, CREATE, {"instances": [{"prompt": "x"}]}).json()["name"]
        box.close()
        later = sandbox(home)
        client = genai.Client(
            vertexai=True, api_key=later.key, http_options=types.HttpOptions(base_url=later.url)
        )
        ended = wait_done(client, types.GenerateVideosOperation(name=name))

        assert ended.response.generated_videos[0].video.video_bytes[4:8] == b"ftyp"
