"""The Gemini Developer wire of the sandbox, through Google's own SDK and plain HTTP."""

import base64
import io
import re
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import av
import pytest
import requests
from google.genai import errors, types
from google_sdk import (
    FAST,
    LITE,
    developer_client,
    list_requests,
    make_video,
    reference_images,
    small_image,
    start_video,
    wait_done,
)
from PIL import ImageChops, ImageStat
from sandbox_api import DAY, StartSandbox, make_image

from veo_sandbox import Sandbox
from veo_sandbox.clips import ClipSpec
from veo_sandbox.exchange import Refusal
from veo_sandbox.google.operations import check_source
from veo_sandbox.google.request import GoogleApi, VideoRequest
from veo_sandbox.state.tasks import Outcome, Task, TaskSpec

HOME = "https://generativelanguage.googleapis.com/v1beta/files/"
CREATE = f"/v1beta/models/{FAST}:predictLongRunning"
PENDING = {"processing_lag": 1000}


@pytest.fixture
def box(sandbox: StartSandbox) -> Sandbox:
    """Return a sandbox in which videos can be extended at once."""
    return sandbox(processing_lag=0)


def digest(colour: str) -> dict[str, Any]:
    """Return an image as the log keeps it."""
    data = make_image(colour=colour)
    kept = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    return {"bytesBase64Encoded": kept, "mimeType": "image/png"}


def inline(data: bytes | None = None) -> dict[str, str]:
    """Return an image as the wire has it."""
    text = base64.b64encode(data or make_image()).decode()
    return {"bytesBase64Encoded": text, "mimeType": "image/png"}


def post(box: Sandbox, body: Any, path: str = CREATE, **options: Any) -> requests.Response:
    """POST a create."""
    given = {"json": body, "headers": {"x-goog-api-key": box.key}, "timeout": 20} | options
    return requests.post(box.url + path, **given)


def get(box: Sandbox, path: str, **options: Any) -> requests.Response:
    """GET a path."""
    headers = {"x-goog-api-key": box.key} | options.pop("headers", {})
    return requests.get(f"{box.url}{path}", headers=headers, timeout=20, **options)


def body(instance: Any = None, **parameters: Any) -> dict[str, Any]:
    """Return a create body."""
    request_body: dict[str, Any] = {"instances": [{"prompt": "lion"} | (instance or {})]}
    return request_body | ({"parameters": parameters} if parameters else {})


def file_of(made: types.Video) -> str:
    """Return the id of a video's file."""
    found = re.fullmatch(re.escape(HOME) + r"([a-z0-9]{12}):download\?alt=media", made.uri)
    assert found, made.uri
    return found[1]


def seconds(data: bytes) -> tuple[float, float]:
    """Return the length of a file's video and of its sound."""
    with av.open(io.BytesIO(data)) as film:
        streams = film.streams.video[0], film.streams.audio[0]
        return tuple(round(float(frame.duration * frame.time_base), 1) for frame in streams)


def packets(data: bytes) -> list[bytes]:
    """Return the encoded frames of a file."""
    with av.open(io.BytesIO(data)) as film:
        return [bytes(packet) for packet in film.demux(video=0) if packet.size]


def read_frames(data: bytes, *numbers: int) -> list[Any]:
    """Return frames of a file, by their ascending numbers."""
    with av.open(io.BytesIO(data)) as film:
        frames = islice(film.decode(video=0), numbers[-1] + 1)
        return [frame.to_image() for number, frame in enumerate(frames) if number in numbers]


def difference(one: Any, other: Any) -> float:
    """Return the mean difference of two images."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean)


class TestSdk:
    """The sandbox understands what google-genai 2.34 sends, and the SDK reads its responses."""

    def test_text(self, box: Sandbox) -> None:
        """All options of a text; the body is the captured one; no truncated id is requested."""
        client = developer_client(box)
        made = make_video(
            client,
            negative_prompt="cartoon, low quality",
            aspect_ratio="16:9",
            resolution="1080p",
            duration_seconds=8,
            person_generation="allow_all",
            number_of_videos=1,
            enhance_prompt=True,
        )
        data = client.files.download(file=made)

        assert data[4:8] == b"ftyp"
        assert list(list_requests(box)) == [
            (
                CREATE,
                {
                    "instances": [{"prompt": "lion"}],
                    "parameters": {
                        "sampleCount": 1,
                        "durationSeconds": 8,
                        "aspectRatio": "16:9",
                        "resolution": "1080p",
                        "personGeneration": "allow_all",
                        "negativePrompt": "cartoon, low quality",
                        "enhancePrompt": True,
                    },
                },
            )
        ]
        assert f"/v1beta/files/{file_of(made)}:download" in dict(list_requests(box, "GET"))
        assert {entry["status"] for entry in box.requests()} == {200}

    def test_no_options(self, box: Sandbox) -> None:
        """Without options there are no `parameters`: the video has 8 s at 720p."""
        make_video(developer_client(box))

        assert dict(list_requests(box))[CREATE] == {"instances": [{"prompt": "lion"}]}
        assert [(bill["route"], bill["amount"], bill["state"]) for bill in box.bills()] == [
            ("gemini", 0.8, "charged")
        ]

    def test_frames(self, box: Sandbox) -> None:
        """Start and end frame."""
        make_video(developer_client(box), image=small_image("red"), last_frame=small_image("blue"))

        assert dict(list_requests(box))[CREATE]["instances"] == [
            {"prompt": "lion", "image": digest("red"), "lastFrame": digest("blue")}
        ]

    def test_references(self, box: Sandbox) -> None:
        """Three of them, in order."""
        make_video(developer_client(box), reference_images=reference_images("red", "green", "blue"))

        assert dict(list_requests(box))[CREATE]["instances"][0]["referenceImages"] == [
            {"image": digest(colour), "referenceType": "ASSET"}
            for colour in ("red", "green", "blue")
        ]

    def test_seed(self, box: Sandbox) -> None:
        """The SDK refuses a seed here, but the wire accepts one."""
        http = types.HttpOptions(extra_body={"parameters": {"seed": 7}})
        make_video(developer_client(box), http_options=http)

        assert dict(list_requests(box))[CREATE]["parameters"] == {"seed": 7}

    def test_extension(self, box: Sandbox) -> None:
        """7 s more in one file, several times; the address is passed on unchanged."""
        client = developer_client(box)
        first = make_video(client)
        client.files.download(file=first)
        second = make_video(client, video=first, number_of_videos=1, resolution="720p")
        third = make_video(client, video=second, number_of_videos=1, resolution="720p")
        bodies = [request_body for _, request_body in list_requests(box)]

        assert bodies[1] == {
            "instances": [{"prompt": "lion", "video": {"uri": first.uri}}],
            "parameters": {"sampleCount": 1, "resolution": "720p"},
        }
        assert seconds(client.files.download(file=second)) == (15.0, 15.0)
        assert seconds(client.files.download(file=third)) == (22.0, 22.0)
        assert [bill["amount"] for bill in box.bills()] == [0.8, 0.7, 0.7]

    def test_download_to_a_file(self, box: Sandbox, tmp_path: Path) -> None:
        """In the SDK's own chunks."""
        client = developer_client(box)
        client.files.download(file=make_video(client), destination=str(tmp_path / "lion.mp4"))

        assert (tmp_path / "lion.mp4").read_bytes()[4:8] == b"ftyp"

    def test_an_operation_is_resumed_by_name(self, box: Sandbox) -> None:
        """A stored name is enough; while it runs, `done` is absent."""
        box.change(latency=1000)
        name = start_video(developer_client(box)).name
        running = get(box, f"/v1beta/{name}").json()
        box.advance(1000)
        ended = wait_done(developer_client(box), types.GenerateVideosOperation(name=name))

        assert re.fullmatch(rf"models/{FAST}/operations/[a-z0-9]{{12}}", name)
        assert running == {"name": name}
        assert ended.response.generated_videos[0].video.uri.startswith(HOME)

    @pytest.mark.parametrize(
        ("fault", "params", "error"),
        [
            ("failed", {}, {"code": 13, "message": "Video generation failed due to an internal"}),
            ("failed", {"code": 14, "message": "no"}, {"code": 14, "message": "no"}),
            ("refused_late", {}, {"code": 3, "message": "Veo could not generate videos because"}),
        ],
    )
    def test_a_failure(
        self, box: Sandbox, fault: str, params: dict[str, Any], error: dict[str, Any]
    ) -> None:
        """It is reported in `error`, without an exception, and costs nothing."""
        box.fault(fault, **params)
        ended = wait_done(developer_client(box), start_video(developer_client(box)))

        assert ended.response is None
        assert ended.error["code"] == error["code"]
        assert ended.error["message"].startswith(error["message"])
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    @pytest.mark.parametrize("fault", ["filtered", "moderated"])
    def test_a_filtered_video(self, box: Sandbox, fault: str) -> None:
        """A count and a reason instead of a video, free of charge."""
        box.fault(fault)
        ended = wait_done(developer_client(box), start_video(developer_client(box)))

        assert (ended.error, ended.response.generated_videos) == (None, None)
        assert ended.response.rai_media_filtered_count == 1
        assert len(ended.response.rai_media_filtered_reasons) == 1
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    def test_an_empty_response(self, box: Sandbox) -> None:
        """Done, without a video."""
        box.fault("empty")
        ended = wait_done(developer_client(box), start_video(developer_client(box)))

        assert ended.done
        assert (ended.response.generated_videos, ended.error) == (None, None)
        assert ended.response.rai_media_filtered_count is None

    def test_an_unprocessed_video(self, sandbox: StartSandbox) -> None:
        """For a while after its end the file reads PROCESSING, and it cannot be extended."""
        box = sandbox(**PENDING)
        client = developer_client(box)
        first = make_video(client)
        before = client.files.get(name=f"files/{file_of(first)}").state
        with pytest.raises(errors.ClientError, match="has been processed") as caught:
            start_video(client, video=first)
        box.advance(1000)
        after = client.files.get(name=f"files/{file_of(first)}")

        assert caught.value.code == 400
        assert (before, after.state) == (types.FileState.PROCESSING, types.FileState.ACTIVE)
        assert seconds(client.files.download(file=make_video(client, video=first))) == (15.0, 15.0)
        assert after.download_uri == first.uri

    def test_a_video_at_once_is_processed_at_once(self, sandbox: StartSandbox) -> None:
        """Unless it is set, a video is processed for a third of the latency."""
        box = sandbox(latency=0)
        client = developer_client(box)
        name = f"files/{file_of(make_video(client))}"
        states = [client.files.get(name=name).state]
        box.change(latency=30, processing_lag=None)
        states.append(client.files.get(name=name).state)
        box.advance(10)
        states.append(client.files.get(name=name).state)

        assert states == ["ACTIVE", "PROCESSING", "ACTIVE"]

    def test_over_the_quota(self, box: Sandbox) -> None:
        """429 with RetryInfo in the body and a Retry-After header."""
        box.fault("google_429", retry_after=3)
        with pytest.raises(errors.ClientError) as caught:
            start_video(developer_client(box))

        details = caught.value.details["error"]["details"]
        assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
        assert details[-1]["retryDelay"] == "3s"
        assert caught.value.response.headers["retry-after"] == "3"
        assert box.bills() == []

    def test_overload(self, box: Sandbox) -> None:
        """503."""
        box.fault("google_503", first=1)
        with pytest.raises(errors.ServerError, match="overloaded"):
            start_video(developer_client(box))

    def test_a_failed_download(self, box: Sandbox) -> None:
        """The faults of files apply here."""
        box.fault("google_503", on="content")
        client = developer_client(box)
        with pytest.raises(errors.ServerError):
            client.files.download(file=make_video(client))

    def test_a_leaked_key(self, box: Sandbox) -> None:
        """The SDK sends its key wherever a redirect leads: the files port logs it."""
        box.fault("redirect", on="content")
        client = developer_client(box)
        with pytest.raises(errors.ClientError):
            client.files.download(file=make_video(client))

        assert [leak["path"][:6] for leak in box.leaks()] == ["/flow/"]

    def test_models(self, box: Sandbox) -> None:
        """A list, and one of its models."""
        client = developer_client(box)
        names = {model.name for model in client.models.list()}

        assert f"models/{FAST}" in names
        assert client.models.get(model=FAST).supported_actions == ["predictLongRunning"]

    def test_retired_models(self, box: Sandbox) -> None:
        """With the setting `retired`, all of Veo's models are gone."""
        box.change(retired=True)
        client = developer_client(box)
        with pytest.raises(errors.ClientError, match="is no longer available") as caught:
            start_video(client)
        with pytest.raises(errors.ClientError, match="is no longer available"):
            client.models.get(model=FAST)

        assert caught.value.code == 404
        assert not any("veo" in model.name for model in client.models.list())


class TestVideos:
    """What the videos show; rendered in full."""

    def test_an_extension_continues_from_the_last_frame(self, sandbox: StartSandbox) -> None:
        """One file of 15.0 s: the first clip unchanged, then one that begins where it ended."""
        client = developer_client(sandbox(clip="full", processing_lag=0))
        first = make_video(client, prompt="a lion")
        second = make_video(client, prompt="it roars", video=first)
        short, long = (client.files.download(file=frame) for frame in (first, second))
        end, begun, later = read_frames(long, 191, 192, 300)

        assert (seconds(short), seconds(long)) == ((8.0, 8.0), (15.0, 15.0))
        assert packets(long)[:192] == packets(short)
        assert len(packets(long)) == 360
        assert difference(end, begun) * 10 < difference(end, later)
        assert end.size == (1280, 720)

    def test_references_are_shown(self, sandbox: StartSandbox) -> None:
        """Each reference is a small image in the video."""
        client = developer_client(sandbox(clip="full"))
        made = make_video(
            client, aspect_ratio="9:16", reference_images=reference_images("red", "lime", "blue")
        )
        (shown,) = read_frames(client.files.download(file=made), 100)
        image = shown.quantize(256).convert("RGB")
        colours = {colour: count for count, colour in image.getcolors(1 << 20)}

        def near(*channels: int) -> int:
            close = (sum(map(abs, map(int.__sub__, c, channels))) < 60 for c in colours)
            return sum(n for n, yes in zip(colours.values(), close, strict=True) if yes)

        assert image.size == (720, 1280)
        assert min(near(255, 0, 0), near(0, 255, 0), near(0, 0, 255)) > 10_000


class TestRefusals:
    """Wrong requests are refused in the API's own texts, and cost nothing."""

    @pytest.mark.parametrize(
        ("request_body", "expected_text"),
        [
            (body({"image": {"inlineData": {}}}), "`inlineData` isn't supported by this model."),
            (body({"image": {"imageBytes": "x"}}), "`imageBytes` isn't supported"),
            (body({"image": {"fileUri": "x"}}), "`fileUri` isn't supported"),
            (body({"image": {"gcsUri": "x"}}), "`gcsUri` isn't supported"),
            (body(numberOfVideos=1), "`numberOfVideos` isn't supported"),
            (body(generateAudio=True), "`generateAudio` isn't supported"),
            (body({"image": {"bytesBase64Encoded": "eA=="}}), "should contain both"),
            (body({"image": inline(b"no picture")}), "Unable to process input image."),
            (body({"image": {"bytesBase64Encoded": "?", "mimeType": "a/b"}}), "Base64 decoding"),
            (body(durationSeconds="8"), "`durationSeconds` needs to be a number."),
            (body(durationSeconds=5), "between 4 and 8, inclusive."),
            (body(durationSeconds=10), "`durationSeconds` is out of bound."),
            (body(sampleCount=2), "`sampleCount` is out of bound."),
            (body(seed="7"), "`seed` needs to be a number."),
            (body(aspectRatio="4:3"), "Use one of: 16:9, 9:16."),
            (body(resolution="480p"), "Use one of: 720p, 1080p, 4k."),
            (
                body(resolution="1080p", durationSeconds=6),
                "1080p is not supported for a duration of 6 seconds.",
            ),
            (body(resolution="4k", durationSeconds=4), "4k is not supported for a duration of 4"),
            (body(personGeneration="allow_adult"), "allow_adult for personGeneration is currently"),
            (
                body({"image": inline()}, personGeneration="dont_allow"),
                "dont_allow for personGeneration is currently not supported.",
            ),
            (body({"lastFrame": inline()}), "Your use case is currently not supported."),
            (body({"referenceImages": []}), "a list of 1 to 3 images"),
            (
                body({"referenceImages": [{"image": inline(), "referenceType": "style"}]}),
                "Your use case",
            ),
            (
                body({"referenceImages": [{"image": inline(), "referenceType": "asset"}] * 4}),
                "a list of 1 to 3 images",
            ),
            (
                body(
                    {
                        "referenceImages": [{"image": inline(), "referenceType": "asset"}],
                        "image": inline(),
                    }
                ),
                "`referenceImages` isn't supported by this model.",
            ),
            (
                body(
                    {"referenceImages": [{"image": inline(), "referenceType": "asset"}]},
                    durationSeconds=4,
                ),
                "Your use case",
            ),
            (body({"prompt": ""}), "`prompt` is required."),
            (body({"video": {"encodedVideo": "x"}}), "`encodedVideo` isn't supported"),
            (body({"video": {"bytesBase64Encoded": "x"}}), "Video URI not found in the request."),
            (body({"video": {"uri": "https://example.com/x.mp4"}}), "Could not parse the file"),
            (body({"video": {"uri": f"{HOME}{'a' * 12}"}}), "that has been processed."),
            (body({"video": {"uri": "https://example.com/files/abc"}}), "Could not parse the file"),
            ({"instances": []}, "`instances` needs to be a list of one object."),
            (body() | {"labels": {}}, 'Unknown name "labels": Cannot find field.'),
            (body() | {"parameters": []} | {"instances": [1]}, "`instances` needs to be a list"),
        ],
    )
    def test_a_wrong_request(self, box: Sandbox, request_body: Any, expected_text: str) -> None:
        """400 INVALID_ARGUMENT."""
        response = post(box, request_body)
        error = response.json()["error"]

        assert (response.status_code, error["code"], error["status"]) == (
            400,
            400,
            "INVALID_ARGUMENT",
        )
        assert expected_text in error["message"]
        assert (box.tasks(), box.bills()) == ([], [])

    @pytest.mark.parametrize(
        ("request_body", "expected_text"),
        [
            (body(negativePrompt="x"), "`negativePrompt` isn't supported by this model."),
            (body({"referenceImages": []}), "`referenceImages` isn't supported by this model."),
            (body({"video": {"uri": "x"}}), "Video extension is not allowed for this model"),
            (body(resolution="4k"), "4k is not supported"),
        ],
    )
    def test_unsupported_by_lite(self, box: Sandbox, request_body: Any, expected_text: str) -> None:
        """The Lite model has limits of its own."""
        response = post(box, request_body, f"/v1beta/models/{LITE}:predictLongRunning")

        assert (response.status_code, expected_text in response.text) == (400, True)

    @pytest.mark.parametrize(
        ("headers", "status", "expected_text"),
        [
            ({}, 403, "Method doesn't allow unregistered callers"),
            ({"x-goog-api-key": "other"}, 400, "API key not valid."),
            ({"Authorization": "Bearer sandbox-key"}, 403, "unregistered callers"),
        ],
    )
    def test_missing_and_wrong_keys(
        self, box: Sandbox, headers: dict[str, str], status: int, expected_text: str
    ) -> None:
        """Every path refuses a missing or wrong key alike."""
        paths = (f"/v1beta/models/{FAST}", "/v1beta/files/x", "/v1beta/operations/x")
        responses = [requests.get(box.url + path, headers=headers, timeout=10) for path in paths]
        responses.append(post(box, body(), headers=headers))

        assert {response.status_code for response in responses} == {status}
        assert all(expected_text in response.text for response in responses)

    def test_a_key_in_the_query(self, box: Sandbox) -> None:
        """It is accepted as a key too, and is not logged."""
        response = requests.get(f"{box.url}/v1beta/models?key={box.key}", timeout=10)

        assert response.status_code == 200
        assert box.key not in str(box.requests())

    def test_unknown_models(self, box: Sandbox) -> None:
        """Not found for this version: the platform's name and any other."""
        responses = [
            post(box, body(), f"/{version}/models/veo-3.1-generate-001:predictLongRunning")
            for version in ("v1beta", "v1")
        ]

        assert [response.status_code for response in responses] == [404, 404]
        assert "is not found for API version v1beta, or" in responses[0].text
        assert "is not found for API version v1, or" in responses[1].text

    def test_unknown_operations_files_and_addresses(self, box: Sandbox) -> None:
        """404, 403, and a page."""
        mangled = get(box, f"/v1beta/files/{box.files_url}/x.mp4:download?alt=media")

        assert get(box, f"/v1beta/models/{FAST}/operations/x").status_code == 404
        assert get(box, "/v1beta/files/x:download?alt=media").status_code == 403
        assert (mangled.status_code, mangled.text[:15]) == (404, "<!DOCTYPE html>")
        assert [entry["status"] for entry in box.requests()] == [404, 404, 403]

    def test_too_large(self, box: Sandbox) -> None:
        """A body of more than 20 MiB."""
        response = post(box, body({"image": inline(bytes(16 * 1024 * 1024))}))

        assert response.status_code == 400
        assert "Request payload size exceeds the limit: 20971520 bytes." in response.text

    def test_invalid_json(self, box: Sandbox) -> None:
        """Half an object."""
        response = post(box, None, json=None, data=b"{")

        assert (response.status_code, "Invalid JSON payload" in response.text) == (400, True)

    def test_insufficient_credits(self, sandbox: StartSandbox) -> None:
        """The prepaid credits do not cover it."""
        box = sandbox(balance=0.5)
        response = post(box, body())

        assert response.status_code == 429
        assert "prepayment credits are depleted" in response.text
        assert box.tasks() == []


class TestWire:
    """Addresses, files and expiry."""

    def test_both_versions_and_both_names(self, box: Sandbox) -> None:
        """An operation is found under /v1 too, and by its short name."""
        name = post(box, body(), f"/v1/models/{FAST}:predictLongRunning").json()["name"]
        wait_done(developer_client(box), types.GenerateVideosOperation(name=name))
        short = name.partition(f"models/{FAST}/")[2]
        responses = [get(box, f"/{v}/{n}").json() for v in ("v1", "v1beta") for n in (name, short)]

        assert [response["name"] for response in responses] == [name] * 4
        assert all(response["done"] for response in responses)
        assert short.startswith("operations/")

    def test_two_services_share_v1_models(self, box: Sandbox) -> None:
        """The key tells which list is requested."""
        mine = get(box, "/v1/models").json()
        headers = {"Authorization": f"Bearer {box.key}"}
        theirs = requests.get(f"{box.url}/v1/models", headers=headers, timeout=10).json()

        assert {"models"} == set(mine)
        assert theirs["object"] == "list"

    def test_a_part_of_a_file(self, box: Sandbox) -> None:
        """Range works; without alt=media there is no download."""
        client = developer_client(box)
        made = make_video(client)
        whole = client.files.download(file=made)
        path = f"/v1beta/files/{file_of(made)}:download"
        part = get(box, f"{path}?alt=media", headers={"Range": "bytes=100-"})

        assert (part.status_code, part.content) == (206, whole[100:])
        assert get(box, path).status_code == 400

    @pytest.mark.parametrize(
        ("model", "parameters", "amount"),
        [
            (FAST, {"durationSeconds": 4}, 0.4),
            (FAST, {"durationSeconds": 6, "aspectRatio": "9:16"}, 0.6),
            (FAST, {"resolution": "1080p"}, 0.96),
            (FAST, {"resolution": "4k"}, 2.4),
            ("veo-3.1-generate-preview", {}, 3.2),
            ("veo-3.1-generate-preview", {"resolution": "4k"}, 4.8),
            (LITE, {"durationSeconds": 4}, 0.2),
            (LITE, {"resolution": "1080p"}, 0.64),
        ],
    )
    def test_prices(
        self, box: Sandbox, model: str, parameters: dict[str, Any], amount: float
    ) -> None:
        """The price per second of each model and resolution."""
        response = post(box, body(**parameters), f"/v1beta/models/{model}:predictLongRunning")
        name = response.json()["name"]

        assert [(bill["task"], bill["amount"]) for bill in box.bills()] == [(name, amount)]

    def test_a_file_expires_after_two_days(self, box: Sandbox) -> None:
        """Then the file is gone, and cannot be extended any more."""
        client = developer_client(box)
        made = make_video(client)
        path = f"/v1beta/files/{file_of(made)}"
        box.advance(2 * DAY - 10)
        before = get(box, path).status_code
        box.advance(20)

        assert (before, get(box, path).status_code) == (200, 403)
        assert get(box, f"{path}:download?alt=media").status_code == 403
        assert post(box, body({"video": {"uri": made.uri}})).status_code == 403

    def test_an_extension_restarts_the_two_days(
        self, sandbox: StartSandbox, tmp_path: Path
    ) -> None:
        """An extension restarts the retention of its source, for a later sandbox too."""
        box = sandbox(tmp_path / "home", processing_lag=0)
        made = make_video(developer_client(box))
        box.advance(2 * DAY - 100)
        assert post(box, body({"video": {"uri": made.uri}})).status_code == 200
        box.advance(DAY)
        box.close()
        later = sandbox(tmp_path / "home")

        assert get(later, f"/v1beta/files/{file_of(made)}").status_code == 200
        later.advance(DAY)
        assert get(later, f"/v1beta/files/{file_of(made)}").status_code == 403

    def test_the_ratio_of_an_extension(self, box: Sandbox) -> None:
        """A 9:16 video is only extended if 9:16 is requested."""
        client = developer_client(box)
        tall = make_video(client, aspect_ratio="9:16")
        with pytest.raises(errors.ClientError, match="must be 16:9, but got: 9:16"):
            start_video(client, video=tall)

        assert make_video(client, video=tall, aspect_ratio="9:16").uri

    def test_refused_extensions(self, box: Sandbox) -> None:
        """In 1080p, of a 1080p video, of another length, with a frame."""
        client = developer_client(box)
        small, large = make_video(client), make_video(client, resolution="1080p")
        changes: list[tuple[Any, dict[str, Any]]] = [
            ({"video": {"uri": small.uri}}, {"resolution": "1080p"}),
            ({"video": {"uri": large.uri}}, {}),
            ({"video": {"uri": small.uri}}, {"durationSeconds": 4}),
            ({"video": {"uri": small.uri}, "image": inline()}, {}),
            ({"video": {"uri": small.uri}, "prompt": ""}, {}),
        ]
        responses = [post(box, body(instance, **more)) for instance, more in changes]

        assert [response.status_code for response in responses] == [400] * 5
        assert len(box.tasks()) == 2

    @pytest.mark.parametrize(
        ("name", "length", "taken"),
        [
            ("gemini", 141.0, True),
            ("gemini", 148.0, False),
            ("vertex", 30.0, True),
            ("vertex", 36.0, False),
        ],
    )
    def test_the_longest_extension(self, name: str, length: float, taken: bool) -> None:
        """A video longer than 141 s, at the Agent Platform 30 s, is not extended."""
        api = GoogleApi.load(name)
        extra = {"ratio": "16:9", "resolution": "720p", "length": length}
        spec = TaskSpec("gemini", "gemini", "x", FAST, "x", ClipSpec("x", 2, 2), 1, extra=extra)
        source = Task(1, spec, 0.0, 0.0, Outcome(), "file")
        if taken:
            check_source(api, VideoRequest("x"), source)
        else:
            with pytest.raises(Refusal):
                check_source(api, VideoRequest("x"), source)

    def test_a_running_video_has_no_file(self, box: Sandbox) -> None:
        """Not while it runs, and never if it fails."""
        box.fault("failed", match="tiger")
        box.change(latency=1000)
        start_video(developer_client(box))
        start_video(developer_client(box), prompt="tiger")
        files = [task.file for task in box._core.tasks.list_tasks()]
        box.advance(500)
        early = [get(box, f"/v1beta/files/{file}").status_code for file in files]
        box.advance(500)
        wait_done(developer_client(box), types.GenerateVideosOperation(name=box.tasks()[0]["task"]))
        late = [get(box, f"/v1beta/files/{file}").status_code for file in files]

        assert (early, late) == ([403, 403], [200, 403])

    def test_short_names_of_files(self, box: Sandbox) -> None:
        """A file may be named without its host."""
        name = f"files/{file_of(make_video(developer_client(box)))}"

        assert post(box, body({"video": {"uri": name}})).status_code == 200

    def test_the_raw_words_of_references(self, box: Sandbox) -> None:
        """The documents write `asset` in lower case; 9:16 is accepted, as newer ones say."""
        reference = {"image": inline(), "referenceType": "asset"}

        assert post(box, body({"referenceImages": [reference]}, aspectRatio="9:16")).ok

    def test_an_operation_that_never_ends(self, box: Sandbox) -> None:
        """It runs until its retention is over, and costs nothing."""
        box.fault("never_finishes")
        name = start_video(developer_client(box)).name
        box.advance(2 * DAY - 1)
        running = get(box, f"/v1beta/{name}").json()
        box.advance(1)

        assert running == {"name": name}
        assert get(box, f"/v1beta/{name}").status_code == 404
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    def test_random_failures(self, sandbox: StartSandbox) -> None:
        """Failures by the failure rate are worded as by this API."""
        box = sandbox(fail_rate=1.0)
        ended = wait_done(developer_client(box), start_video(developer_client(box)))

        assert ended.error["code"] == 13
