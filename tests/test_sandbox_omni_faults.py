"""Every fault of the Interactions wire, and the Agent Platform's form of it."""

import base64
import re
from typing import Any

import pytest
import requests
from omni import (
    BY_URI,
    OMNI,
    OMNI_11,
    SMALL,
    OmniApi,
    find_message,
    find_videos,
    image_part,
    task,
    text_part,
    video_part,
)
from sandbox_api import StartSandbox, make_image

from veo_sandbox import Sandbox

PLATFORM = "/v1beta1/projects/p/locations/global"
IN_BUCKET = BY_URI | {"gcs_uri": "gs://films/lions/"}


@pytest.fixture
def box(sandbox: StartSandbox) -> Sandbox:
    """Return a sandbox whose files are ready at once."""
    return sandbox(processing_lag=0)


@pytest.fixture
def api(box: Sandbox) -> OmniApi:
    return OmniApi(box)


@pytest.fixture
def platform(box: Sandbox) -> OmniApi:
    """Return a caller of the Agent Platform."""
    return OmniApi(box, PLATFORM, Authorization=f"Bearer {box.key}")


def read_object(box: Sandbox, uri: str) -> requests.Response:
    """GET an object from Cloud Storage."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    url = f"{box.files_url}/storage/v1/b/{bucket}/o/{name.replace('/', '%2F')}?alt=media"
    return requests.get(url, headers={"Authorization": f"Bearer {box.key}"}, timeout=10)


def put_object(box: Sandbox, name: str, data: bytes, mime_type: str) -> None:
    """Put a file into the bucket `films`."""
    url = f"{box.files_url}/upload/storage/v1/b/films/o?uploadType=media&name={name}"
    headers = {"Authorization": f"Bearer {box.key}", "Content-Type": mime_type}
    assert requests.post(url, data=data, headers=headers, timeout=10).json()["name"] == name


class TestFaults:
    """The switches that decide what a client must survive."""

    @pytest.mark.parametrize(
        ("fault", "status", "code"),
        [
            ("interaction_400", 400, "invalid_request"),
            ("interaction_400_credentials", 400, "invalid_request"),
            ("interaction_403", 403, "permission_denied"),
            ("interaction_429", 429, "too_many_requests"),
            ("interaction_500", 500, "api_error"),
            ("interaction_503", 503, "api_error"),
        ],
    )
    def test_a_poll(self, box: Sandbox, api: OmniApi, fault: str, status: int, code: str) -> None:
        """One poll fails, the next one succeeds: the video is made and billed."""
        interaction = api.start()
        box.fault(fault, on="poll", first=1)
        first = api.get(interaction)

        assert (first.status_code, first.json()["error"]["code"]) == (status, code)
        assert api.wait(interaction)["status"] == "completed"
        assert [bill["state"] for bill in box.bills()] == ["charged"]

    @pytest.mark.parametrize(
        ("fault", "status"),
        [
            ("interaction_400_blocked", 400),
            ("interaction_404_retired", 404),
            ("google_403_list", 403),
            ("interaction_429", 429),
            ("interaction_500", 500),
        ],
    )
    def test_a_create(self, box: Sandbox, api: OmniApi, fault: str, status: int) -> None:
        """It is refused, and nothing is billed."""
        box.fault(fault, on="create")

        assert api.post().status_code == status
        assert box.tasks() == []

    def test_retry_after(self, box: Sandbox, api: OmniApi) -> None:
        """With the header and without."""
        box.fault("interaction_429", first=1)
        without = api.post()
        box.clear_faults()
        box.fault("interaction_429", retry_after=7)

        assert "retry-after" not in without.headers
        assert api.post().headers["retry-after"] == "7"

    def test_an_error_after_the_interaction_was_accepted(self, box: Sandbox, api: OmniApi) -> None:
        """A client that sends again buys a second video."""
        box.fault("interaction_500", on="create", accept=True, first=1)
        responses = [api.post(background=True, response_format=BY_URI) for _ in range(2)]

        assert [response.status_code for response in responses] == [500, 200]
        assert len(box.tasks()) == 2

    def test_a_late_rate_limit(self, box: Sandbox, api: OmniApi) -> None:
        """The create succeeds; every poll says no, with status 200."""
        box.fault("limited_late")
        interaction = api.start()
        box.advance(10)
        response = api.get(interaction)

        assert response.status_code == 200
        assert list(response.json()) == ["error"]
        assert response.json()["error"]["code"] == "too_many_requests"
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    @pytest.mark.parametrize("status", [302, 307])
    def test_a_redirect_to_another_host(self, box: Sandbox, api: OmniApi, status: int) -> None:
        """A client that follows it has told its key to another host, and with 307 its prompt."""
        box.fault("redirect_away", status=status)
        refused = api.request(
            "POST", "/v1beta/interactions", json={"input": "secret"}, allow_redirects=False
        )
        before = box.leaks()
        api.request("POST", "/v1beta/interactions", json={"input": "secret"})

        assert (refused.status_code, before) == (status, [])
        [leak] = box.leaks()
        assert ("secret" in str(leak)) == (status == 307)
        assert box.tasks() == []

    def test_an_unknown_status(self, box: Sandbox, api: OmniApi) -> None:
        """Any word may come."""
        interaction = api.start()
        box.fault("status_word", word="idle", first=1)

        assert api.get(interaction).json()["status"] == "idle"
        assert api.wait(interaction)["status"] == "completed"

    @pytest.mark.parametrize(
        ("fault", "types"),
        [
            ("output_first", ["user_input", "model_output", "thought"]),
            (
                "several_outputs",
                ["user_input", "thought", "model_output", "model_output", "model_output"],
            ),
        ],
    )
    def test_outputs_in_other_places(
        self, box: Sandbox, api: OmniApi, fault: str, types: list[str]
    ) -> None:
        """The video is somewhere in them."""
        box.fault(fault)
        body = api.make()

        assert [step["type"] for step in body["steps"]] == types
        parts = [part for step in body["steps"] for part in step.get("content", [])]
        assert sum(part["type"] == "video" for part in parts) == 1

    def test_a_video_without_a_place(self, box: Sandbox, api: OmniApi) -> None:
        """Its tokens are billed, but nobody can fetch it."""
        box.fault("video_without_place")
        body = api.make()

        assert find_videos(body) == [{"type": "video", "mime_type": "video/mp4"}]
        assert body["usage"]["output_tokens_by_modality"][0]["tokens"] > 0

    def test_a_source_that_is_not_known_yet(self, box: Sandbox, api: OmniApi) -> None:
        """Right after its end an interaction cannot be continued; a while later it can."""
        box.fault("late_source", seconds=20)
        interaction = api.make()["id"]
        wanted: Any = {
            "previous_interaction_id": interaction,
            "response_format": {"type": "video", "resolution": "360p"},
        }
        early = api.post(**wanted, **task("edit"))
        box.advance(20)

        assert (early.status_code, early.json()["error"]["code"]) == (404, "not_found")
        assert len(box.tasks()) == 1
        assert api.post(**wanted, **task("edit")).status_code == 200

    def test_a_locked_region(self, box: Sandbox, api: OmniApi) -> None:
        """An upload is not edited, and costs its input; an own video is edited."""
        box.fault("region_lock")
        own = api.post(response_format=SMALL).json()
        file = api.upload(base64.b64decode(find_videos(own)[0]["data"]))
        locked = api.make(
            input=[video_part(file), text_part("x")], response_format={"type": "video"}
        )
        edited = api.make(
            previous_interaction_id=own["id"], response_format={"type": "video"}, **task("edit")
        )

        assert (locked["status"], find_videos(locked)) == ("completed", [])
        assert locked["usage"]["total_output_tokens"] == 0
        assert len(find_videos(edited)) == 1

    def test_an_upload_that_fails(self, box: Sandbox, api: OmniApi) -> None:
        """The kind `upload` selects both its start and its pieces."""
        address = api.start_upload(3)
        box.fault("interaction_503", on="upload", first=1)
        headers = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
        responses = [
            requests.post(address, data=b"abc", headers=headers, timeout=10) for _ in range(2)
        ]

        assert [response.status_code for response in responses] == [503, 200]

    def test_a_dropped_response(self, box: Sandbox, api: OmniApi) -> None:
        """The interaction is accepted and billed, though its id never arrived."""
        box.fault("drop_answer")
        with pytest.raises(requests.ConnectionError):
            api.post(background=True, response_format=BY_URI)

        assert [made["answered"] for made in box.tasks()] == [False]


class TestPlatform:
    """The Agent Platform: its addresses, ids, errors and bucket."""

    def test_a_video_in_the_response(self, platform: OmniApi) -> None:
        """Without a bucket the bytes are in every poll; the id has a shape of its own."""
        body = platform.make(response_format=[SMALL])

        assert re.fullmatch(r"ChAz[A-Za-z0-9_-]{20}bWFpbg", body["id"])
        assert base64.b64decode(find_videos(body)[0]["data"])[4:8] == b"ftyp"

    def test_a_video_in_a_bucket(self, box: Sandbox, platform: OmniApi) -> None:
        """At an address in the folder, which can be listed; read with a token only."""
        body = platform.make(response_format=[IN_BUCKET])
        [video] = find_videos(body)
        listing = f"{box.files_url}/storage/v1/b/films/o?prefix=lions/"
        token = {"Authorization": f"Bearer {box.key}"}
        listed = requests.get(listing, headers=token, timeout=10).json()["items"]
        other = requests.get(f"{listing}X", headers=token, timeout=10).json()

        assert re.fullmatch(r"gs://films/lions/[a-z0-9]+/sample_0\.mp4", video["uri"])
        assert read_object(box, video["uri"]).content[4:8] == b"ftyp"
        assert [f"gs://{each['bucket']}/{each['name']}" for each in listed] == [video["uri"]]
        assert int(listed[0]["size"]) > 0
        assert "items" not in other
        assert requests.get(listing, timeout=10).status_code == 401

    @pytest.mark.parametrize("source", ["interaction", "object"])
    def test_a_chain(self, platform: OmniApi, source: str) -> None:
        """An earlier interaction or a stored object is extended."""
        first = platform.make(response_format=[IN_BUCKET])
        part = {"type": "video", "mime_type": "video/mp4", "uri": find_videos(first)[0]["uri"]}
        wanted: dict[str, Any] = (
            {"previous_interaction_id": first["id"]}
            if source == "interaction"
            else {"input": [part, text_part("go on")]}
        )
        longer = platform.post(response_format=[SMALL], **wanted, **task("extend"))

        assert longer.status_code == 200
        assert platform.box.tasks()[1]["request"]["seconds"] == 6.0

    def test_upscale(self, platform: OmniApi) -> None:
        """Only 1.2 has this task, and only here."""
        first = platform.make(response_format=[SMALL])["id"]
        wanted = {
            "previous_interaction_id": first,
            "response_format": {"type": "video", "resolution": "1080p"},
        }
        old = platform.post(model=f"{OMNI_11}-preview", **wanted, **task("upscale"))

        assert platform.post(**wanted, **task("upscale")).status_code == 200
        assert old.status_code == 400
        assert platform.box.tasks()[1]["request"]["size"] == "1920x1080"

    def test_api_keys_are_refused(self, box: Sandbox) -> None:
        """401, also where the SDK sends them; without any credential 401 too."""
        key = {"x-goog-api-key": box.key}
        responses = [OmniApi(box, folder, **key).post() for folder in (PLATFORM, "/v1beta1")]
        nobody = OmniApi(box, PLATFORM, accept="*/*").post()

        assert [response.status_code for response in (*responses, nobody)] == [401, 401, 401]
        assert find_message(responses[0]) == "API keys are not supported by this API"

    def test_other_addresses(self, box: Sandbox) -> None:
        """Only `global` and only v1beta1; a poll is no POST."""
        token = {"Authorization": f"Bearer {box.key}"}
        folders = ("v1beta1/projects/p/locations/us-central1", "v1/projects/p/locations/global")
        pages = [OmniApi(box, f"/{folder}", **token).post() for folder in folders]
        pages.append(OmniApi(box, "/v1beta/projects/p/locations/global", **token).post())
        platform = OmniApi(box, PLATFORM, **token)
        poll = f"{PLATFORM}/interactions/{platform.start(response_format=[SMALL])}"
        pages.append(platform.request("POST", poll, json={}))

        assert [page.status_code for page in pages] == [404] * 4
        assert all(page.text.startswith("<!DOCTYPE html>") for page in pages)

    def test_errors(self, platform: OmniApi) -> None:
        """Google's old form, in a list."""
        response = platform.post(response_format=[SMALL | {"aspect_ratio": "1:7"}])
        unknown = platform.get("x" * 30)
        [body] = response.json()

        assert list(body) == ["error"]
        assert (body["error"]["code"], body["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert "Supported values: '16:9', '9:16'." in body["error"]["message"]
        assert (unknown.status_code, unknown.json()[0]["error"]["status"]) == (404, "NOT_FOUND")

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({"delivery": "uri"}, "gcs_uri is required"),
            ({"delivery": "uri", "gcs_uri": "films"}, "must be a Cloud Storage URI"),
        ],
    )
    def test_wrong_folders(self, platform: OmniApi, members: Any, message: str) -> None:
        """An address needs a folder."""
        assert message in find_message(platform.post(response_format=SMALL | members))

    def test_images(self, box: Sandbox, platform: OmniApi) -> None:
        """Inline, or an object that was put into a bucket; its type is kept."""
        stored = {"type": "image", "mime_type": "image/png", "uri": "gs://films/a.png"}
        wanted = {
            "input": [stored, text_part("<FIRST_FRAME> x")],
            "response_format": [SMALL],
        }
        missing = platform.post(**wanted)
        put_object(box, "a.png", make_image(), "image/png")
        inline = platform.post(**wanted | {"input": [image_part(), text_part("<FIRST_FRAME> x")]})

        assert [r.status_code for r in (missing, platform.post(**wanted), inline)] == [
            404,
            200,
            200,
        ]
        assert read_object(box, "gs://films/a.png").headers["content-type"] == "image/png"

    def test_a_video_that_was_put_into_a_bucket(self, box: Sandbox, platform: OmniApi) -> None:
        """It is edited like any other upload."""
        made = platform.make(response_format=[SMALL])
        put_object(box, "b.mp4", base64.b64decode(find_videos(made)[0]["data"]), "video/mp4")
        part = {"type": "video", "mime_type": "video/mp4", "uri": "gs://films/b.mp4"}
        edit = platform.post(input=[part, text_part("x")], response_format=[{"type": "video"}])

        assert edit.status_code == 200
        assert box.tasks()[1]["request"]["seconds"] == 3.0

    def test_models(self, box: Sandbox, platform: OmniApi) -> None:
        """Its ids differ from those of the Developer API; all are listed, or the offered ones."""
        path = "/v1beta1/publishers/google/models"
        names = [
            each["name"].rpartition("/")[2]
            for each in platform.request("GET", path).json()["publisherModels"]
        ]
        box.change(offered=OMNI)
        offered = platform.request("GET", path).json()["publisherModels"]

        assert {OMNI, f"{OMNI_11}-preview", "veo-3.1-fast-generate-001"} < set(names)
        assert OMNI_11 not in names
        assert [each["name"] for each in offered] == [f"publishers/google/models/{OMNI}"]
        assert platform.post(model=f"{OMNI_11}-preview").status_code == 404

    @pytest.mark.parametrize("fault", ["no_output", "inline_output"])
    def test_an_unreliable_poll(self, box: Sandbox, platform: OmniApi, fault: str) -> None:
        """The plain poll has no output, or the bytes; the stream and the bucket have the video."""
        box.fault(fault)
        body = platform.make(response_format=[IN_BUCKET])
        videos = find_videos(body)
        streamed = platform.get(body["id"], "stream=true").text
        [uri] = re.findall(r'"uri": "(gs://[^"]+)"', streamed)

        assert body["status"] == "completed"
        assert [sorted(video) for video in videos] == (
            [["data", "mime_type", "type"]] if fault == "inline_output" else []
        )
        assert read_object(box, uri).content[4:8] == b"ftyp"

    def test_a_silent_stream(self, box: Sandbox, platform: OmniApi) -> None:
        """Headers, and nothing behind them; or an end without an outcome. Plain polls work."""
        interaction = platform.make(response_format=[IN_BUCKET])["id"]
        box.fault("silent_interaction", ends=True, first=1)
        ended = platform.get(interaction, "stream=true").text
        box.clear_faults()
        box.fault("silent_interaction")
        url = f"{box.url}{PLATFORM}/interactions/{interaction}?stream=true"
        with (
            requests.get(url, headers=platform.headers, stream=True, timeout=(5, 0.3)) as silent,
            pytest.raises(requests.ConnectionError, match="timed out"),
        ):
            next(silent.iter_content(1))

        assert re.findall("^event: (.*)$", ended, re.MULTILINE) == [
            "interaction.created",
            "interaction.status_update",
        ]
        assert silent.status_code == 200
        assert platform.get(interaction).json()["status"] == "completed"

    def test_the_two_apis_do_not_share_interactions(self, api: OmniApi, platform: OmniApi) -> None:
        """Neither finds the other's."""
        theirs = platform.start(response_format=[SMALL])

        assert api.get(theirs).status_code == 400
        assert platform.get(api.start()).status_code == 404
