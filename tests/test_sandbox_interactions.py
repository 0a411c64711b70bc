"""The Interactions wire of the sandbox at the Developer API: shapes, rules, sources, bills."""

import base64
import io
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import av
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
from PIL import Image, ImageChops, ImageStat
from sample_videos import make_video
from sandbox_api import DAY, StartSandbox, make_image

from veo_sandbox import Sandbox

PREVIEW = "gemini-omni-flash-preview"
RATIO_TEXT = (
    "The value '1:7' is not supported for 'response_format.aspect_ratio'. "
    "Supported values: '16:9', '9:16'."
)
"""As captured."""

GONE = "v1_" + "x" * 66


@pytest.fixture
def box(sandbox: StartSandbox) -> Sandbox:
    """Return a sandbox whose files are ready at once."""
    return sandbox(processing_lag=0)


@pytest.fixture
def api(box: Sandbox) -> OmniApi:
    return OmniApi(box)


def read_seconds(data: bytes) -> float:
    """Return the length of a video."""
    with av.open(io.BytesIO(data)) as video:
        assert video.duration is not None
        return round(video.duration / 1_000_000, 1)


def read_inline(body: dict[str, Any]) -> bytes:
    """Return the bytes of the only video of an interaction."""
    [video] = find_videos(body)
    return base64.b64decode(video["data"])


def read_frames(data: bytes) -> list[Image.Image]:
    """Return the frames of a video, a quarter as wide."""
    with av.open(io.BytesIO(data)) as video:
        return [frame.to_image(width=160, height=90) for frame in video.decode(video=0)]


def compare(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of the channel in which two images differ most."""
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


class TestShapes:
    """Responses have the members of the captured ones, in their order."""

    def test_a_background_video(self, box: Sandbox, api: OmniApi) -> None:
        """Create, running, completed; the time of creation is rewritten at the end."""
        box.change(latency=100)
        created = api.post(background=True, response_format=BY_URI).json()
        running = api.get(created["id"]).json()
        box.advance(100)
        done = api.wait(created["id"])
        [video] = find_videos(done)

        assert re.fullmatch(r"v1_ChYt[A-Za-z0-9_-]{62}", created["id"])
        assert list(created) == [
            *("id", "status", "created", "updated", "service_tier", "object", "model")
        ]
        assert list(running) == [
            *("id", "status", "created", "updated", "steps", "object", "response_format", "model")
        ]
        assert created["created"] == created["updated"] == running["created"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created["created"])
        assert (created["status"], running["status"]) == ("in_progress", "in_progress")
        assert running["steps"] == [{"type": "user_input", "content": [text_part("a lion")]}]
        assert running["response_format"] == done["response_format"] == BY_URI
        assert done.keys() - running.keys() == {"service_tier", "usage"}
        assert done["created"] == done["updated"] > created["created"]
        assert [step["type"] for step in done["steps"]] == ["user_input", "thought", "model_output"]
        assert list(video) == ["type", "mime_type", "uri"]
        home = r"https://generativelanguage\.googleapis\.com/v1beta/files/"
        assert re.fullmatch(home + r"[a-z0-9]{12}:download\?alt=media", video["uri"])
        assert api.get(created["id"]).json() == done

    def test_usage(self, api: OmniApi) -> None:
        """Thoughts are outside the output; of the output only the video is listed."""
        usage = api.make(input=[image_part(), text_part("a lion")])["usage"]

        assert usage == {
            "total_tokens": 1091 + 6290 + 235,
            "total_input_tokens": 1091,
            "input_tokens_by_modality": [
                {"modality": "text", "tokens": 2},
                {"modality": "image", "tokens": 1089},
            ],
            "total_cached_tokens": 0,
            "total_output_tokens": 5793 + 497,
            "output_tokens_by_modality": [{"modality": "video", "tokens": 5793}],
            "total_tool_use_tokens": 0,
            "total_thought_tokens": 235,
        }

    def test_a_blocking_inline_video(self, api: OmniApi) -> None:
        """Without `background` the connection is held, and the video is in the response."""
        body = api.post(response_format=SMALL).json()

        assert body["status"] == "completed"
        assert read_seconds(read_inline(body)) == 3.0
        assert api.get(body["id"]).json() == body

    def test_no_format_at_all(self, box: Sandbox, api: OmniApi) -> None:
        """The model makes 10 s at 720p, 16:9, and no format is echoed."""
        body = api.post().json()
        [made] = box.tasks()

        assert "response_format" not in body
        assert (made["request"]["seconds"], made["request"]["size"]) == (10.0, "1280x720")

    @pytest.mark.parametrize(
        "value",
        [
            "a lion",
            text_part("a lion"),
            [text_part("a lion")],
            [{"type": "user_input", "content": [text_part("a lion")]}],
        ],
        ids=["text", "part", "parts", "steps"],
    )
    def test_every_form_of_input(self, api: OmniApi, value: Any) -> None:
        """A text, a part, a list of parts, a list of steps: the echo is the same."""
        body = api.post(input=value, response_format=[SMALL]).json()

        assert body["steps"][0] == {"type": "user_input", "content": [text_part("a lion")]}
        assert body["response_format"] == [SMALL]

    def test_images_come_back(self, api: OmniApi) -> None:
        """A poll is as big as the request."""
        parts = [image_part("red"), image_part("blue"), text_part("<FIRST_FRAME> <LAST_FRAME> go")]
        body = api.make(input=parts)

        assert body["steps"][0]["content"] == parts

    def test_a_stream(self, api: OmniApi) -> None:
        """Events in their order; the video comes whole in one of them."""
        response = api.post(stream=True, response_format=SMALL)
        events = read_events(response.text)
        names = [name for name, _ in events]
        video = json.loads(events[6][1])["delta"]

        assert response.headers["content-type"] == "text/event-stream"
        assert names == [
            "interaction.created",
            "interaction.status_update",
            *("step.start", "step.delta", "step.stop"),
            *("step.start", "step.delta", "step.stop"),
            "interaction.completed",
            "done",
        ]
        assert events[-1] == ("done", "[DONE]")
        assert [json.loads(data)["event_type"] for _, data in events[:-1]] == names[:-1]
        assert read_seconds(base64.b64decode(video["data"])) == 3.0

    def test_a_stream_is_resumed(self, api: OmniApi) -> None:
        """A GET streams a known interaction, from behind the last event that was seen."""
        interaction = api.start()
        whole = read_events(api.get(interaction, "stream=true").text)
        rest = read_events(api.get(interaction, "stream=true&last_event_id=5").text)

        assert rest == whole[5:]

    def test_cancel(self, box: Sandbox, api: OmniApi) -> None:
        """The whole interaction with the word, and only a refund; a second one is refused."""
        box.change(latency=1000)
        interaction = api.start()
        cancelled = api.cancel(interaction)
        box.advance(1000)
        again = api.cancel(interaction)

        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
        assert [step["type"] for step in cancelled.json()["steps"]] == ["user_input"]
        assert api.get(interaction).json() == cancelled.json()
        assert again.status_code == 400
        assert [(bill["state"], bill["task"]) for bill in box.bills()] == [
            ("refunded", interaction)
        ]
        assert box.balance() == 1_000_000

    def test_cancelling_what_has_ended(self, box: Sandbox, api: OmniApi) -> None:
        """It is refused, and stays charged."""
        interaction = api.make()["id"]

        assert api.cancel(interaction).status_code == 400
        assert [bill["state"] for bill in box.bills()] == ["charged"]

    def test_delete(self, api: OmniApi) -> None:
        """An empty object; then the interaction is unknown."""
        interaction = api.make()["id"]
        deleted = api.delete(interaction)

        assert (deleted.status_code, deleted.json()) == (200, {})
        assert api.get(interaction).json() == {
            "error": {"message": "Requested entity was not found.", "code": "not_found"}
        }
        assert api.post(previous_interaction_id=interaction, **task("edit")).status_code == 404

    def test_ids(self, api: OmniApi) -> None:
        """A malformed one is a bad request, an unknown one is not found."""
        bogus = api.get("v1_bogus")

        assert bogus.status_code == 400
        assert bogus.json()["error"] == {
            "message": "Invalid interaction name: interactions/v1_bogus",
            "code": "invalid_request",
        }
        assert api.get(GONE).status_code == api.delete(GONE).status_code == 404

    def test_retention(self, box: Sandbox, api: OmniApi) -> None:
        """An interaction lasts 55 days, its file two."""
        body = api.make()
        file = find_videos(body)[0]["uri"].rpartition("/")[2]
        box.advance(2 * DAY)
        late = api.request("GET", f"/v1beta/files/{file}").status_code
        known = api.get(body["id"]).status_code
        box.advance(53 * DAY)

        assert (late, known, api.get(body["id"]).status_code) == (403, 200, 404)

    def test_nothing_is_stored(self, api: OmniApi) -> None:
        """With `store` off, the id in the response is worth nothing."""
        body = api.post(store=False, response_format=SMALL).json()

        assert body["status"] == "completed"
        assert api.get(body["id"]).status_code == 404

    def test_v1(self, box: Sandbox) -> None:
        """The path of google-genai 3.x is served, too."""
        assert OmniApi(box, "/v1").make()["status"] == "completed"


def read_events(text: str) -> list[tuple[str, str]]:
    """Return name and data of each event."""
    return re.findall(r"event: (.*)\ndata: (.*)\n\n", text)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Serve a sandbox in which nothing is ever made."""
    with Sandbox(tmp_path_factory.mktemp("idle"), clip="tiny") as box:
        yield box


class TestRefusals:
    """What is wrong is refused before billing, with the path and the supported values."""

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"inputs": "x"}, "Unknown parameter 'inputs'"),
            ({"previousInteractionId": GONE}, "Did you mean 'previous_interaction_id'?"),
            (task("edit") | {"input": "x"}, "needs a video"),
            (task("image_to_video"), "needs an image"),
            (task("dance"), "Supported values: 'text_to_video', 'image_to_video',"),
            ({"generation_config": {"video_config": {"duration": 8}}}, "Unknown parameter"),
            ({"generation_config": {"video_config": {"duration": 8}}}, "generation_config.video_"),
            ({"generation_config": {"temperature": 1}}, "Unknown parameter 'temperature'"),
            (
                {"generation_config": {"thinking_level": "minimal"}},
                "Allowed values are: low, high.",
            ),
            ({"generation_config": {"thinking_level": "minimal"}}, "'minimal' is not a supported"),
            ({"generation_config": {"seed": "7"}}, "Invalid input at 'generation_config'"),
            ({"input": []}, "Invalid input at 'input'"),
            ({"input": " "}, "Invalid input at 'input'"),
            ({"input": [{"type": "audio"}]}, "Invalid input at 'input'"),
            ({"input": [{"type": []}]}, "Invalid input at 'input'"),
            ({"input": [{"type": "image", "mimeType": "x"}]}, "at 'input[0]'. Did you mean 'mime_"),
            ({"input": [image_part() | {"data": "eA=="}]}, "Unable to process input image"),
            ({"input": [image_part() | {"data": "?"}]}, "Unable to process input image"),
            ({"input": [image_part() | {"mime_type": "image/gif"}]}, "'input[0].mime_type'"),
            ({"input": [*[image_part()] * 13, text_part("x")]}, "At most 12 reference images"),
            ({"input": [image_part(), text_part("<LAST_FRAME> x")]}, "needs a <FIRST_FRAME>"),
            ({"background": "yes"}, "Invalid input at 'background'"),
            ({"store": False, "background": True}, "store=true is required for background inter"),
            (
                {"store": False, "response_format": BY_URI},
                "store=true is required when response format has video delivery set to URI",
            ),
            ({"previous_interaction_id": "v1_x"}, "Invalid interaction name: interactions/v1_x"),
        ],
    )
    def test_a_wrong_request(self, idle: Sandbox, body: Any, message: str) -> None:
        """400 with the word and no task."""
        response = OmniApi(idle).post(**body)

        assert (response.status_code, message in find_message(response)) == (400, True)
        assert response.json()["error"]["code"] == "invalid_request"
        assert idle.tasks() == []

    @pytest.mark.parametrize(
        ("model", "members", "message"),
        [
            (OMNI, {"aspect_ratio": "1:7"}, RATIO_TEXT),
            (OMNI, {"resolution": "480p"}, "Supported values: '360p', '720p', '1080p', '4k'."),
            (OMNI, {"delivery": "gcs"}, "'response_format.delivery'"),
            (OMNI, {"type": "image"}, "Supported values: 'video'."),
            (OMNI, {"gcs_uri": "gs://b"}, "Unknown parameter 'gcs_uri' at 'response_format'"),
            (OMNI, {"duration": 8}, "Invalid input at 'response_format'"),
            (OMNI, {"duration": "8"}, "Invalid input at 'response_format'"),
            (
                OMNI_11,
                {"duration": "12s"},
                "Requested video duration 12s 0ns exceeds the maximum allowed 10s 0ns",
            ),
            (
                OMNI,
                {"duration": "2.5s"},
                "Requested video duration 2s 500000000ns is less than the minimum allowed 3s 0ns",
            ),
            (OMNI, {"duration": "15.5s"}, "exceeds the maximum allowed 15s 0ns"),
        ],
    )
    def test_a_wrong_format(self, idle: Sandbox, model: str, members: Any, message: str) -> None:
        """Values that the model does not make."""
        response = OmniApi(idle).post(model=model, response_format={"type": "video"} | members)

        assert (response.status_code, message in find_message(response)) == (400, True)
        assert idle.tasks() == []

    @pytest.mark.parametrize("value", ["video", [], [SMALL, SMALL], {"resolution": "360p"}])
    def test_a_format_of_another_kind(self, idle: Sandbox, value: Any) -> None:
        """An object with a type, or a list of one."""
        response = OmniApi(idle).post(response_format=value)

        assert find_message(response) == "Invalid input at 'response_format'"

    def test_unknown_and_retired_models(self, idle: Sandbox) -> None:
        """404: one with a guess at what was meant, the other with what to use instead."""
        api = OmniApi(idle)
        unknown = api.post(model="gemini-omni-9.9-flash")
        gone = [api.post(model=name) for name in (PREVIEW, "veo-3.1-generate-preview")]

        assert unknown.status_code == 404
        assert re.fullmatch(
            r"Model 'gemini-omni-9\.9-flash' not found\. Did you mean 'gemini-omni-1\..-flash'\?",
            find_message(unknown),
        )
        assert {response.status_code for response in gone} == {404}
        assert all("is no longer available" in find_message(response) for response in gone)
        assert all(f"models/{OMNI}" in find_message(response) for response in gone)
        assert gone[0].json()["error"]["status"] == "NOT_FOUND"

    def test_other_methods(self, api: OmniApi) -> None:
        """The model has no generateContent and no predictLongRunning."""
        paths = [f"/v1beta/models/{OMNI}:{m}" for m in ("generateContent", "predictLongRunning")]
        responses = [api.request("POST", path, json={}) for path in paths]

        assert [response.status_code for response in responses] == [400, 404]
        assert find_message(responses[0]) == "This model only supports Interactions API."

    def test_keys(self, box: Sandbox) -> None:
        """Google's front end answers a wrong key in its own form."""
        wrong = OmniApi(box, **{"x-goog-api-key": "other"}).post()
        without = OmniApi(box, accept="*/*").post()

        assert (wrong.status_code, wrong.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert (without.status_code, without.json()["error"]["code"]) == (403, 403)

    def test_a_model_that_is_not_offered(self, sandbox: StartSandbox) -> None:
        """The setting `offered` decides what is listed and taken."""
        api = OmniApi(sandbox(offered=f"{OMNI_11}, gemini-omni-2-flash"))
        listed = api.request("GET", "/v1beta/models").json()["models"]

        assert [model["name"] for model in listed] == [
            f"models/{OMNI_11}",
            "models/gemini-omni-2-flash",
        ]
        assert api.post().status_code == 404
        assert api.post(model=OMNI_11, response_format=SMALL).status_code == 200

    def test_no_credit(self, sandbox: StartSandbox) -> None:
        """429 before anything is made."""
        box = sandbox(balance=0.01)
        response = OmniApi(box).post()

        assert (response.status_code, response.json()["error"]["status"]) == (
            429,
            "RESOURCE_EXHAUSTED",
        )
        assert box.tasks() == []


class TestChains:
    """An interaction edits or extends an earlier one, or a file that was uploaded."""

    def test_edit_and_extend(self, box: Sandbox, api: OmniApi) -> None:
        """An edit keeps the length, an extension adds to it in one file."""
        first = api.make()["id"]
        format_ = {"type": "video", "resolution": "360p"}
        edit = api.post(previous_interaction_id=first, response_format=format_, **task("edit"))
        longer = api.post(
            previous_interaction_id=edit.json()["id"],
            response_format=format_ | {"duration": "7s"},
            **task("extend"),
        )

        assert read_seconds(read_inline(edit.json())) == 3.0
        assert read_seconds(read_inline(longer.json())) == 10.0
        assert [made["request"]["task"] for made in box.tasks()] == [
            "text_to_video",
            "edit",
            "extend",
        ]
        inputs = longer.json()["usage"]["input_tokens_by_modality"]
        assert {each["modality"]: each["tokens"] for each in inputs}["video"] == 5313

    def test_a_chain_shows_one_scene(self, sandbox: StartSandbox) -> None:
        """An edit changes the colours of its source; an extension goes on from its last frame."""
        api = OmniApi(sandbox(clip="full", processing_lag=0))
        small = {"type": "video", "resolution": "360p"}
        first = api.post(response_format=SMALL).json()
        edit = api.post(
            previous_interaction_id=first["id"], response_format=small, **task("edit")
        ).json()
        longer = api.post(
            previous_interaction_id=edit["id"],
            response_format=SMALL,
            **task("extend"),
        ).json()
        before, after, whole = (read_frames(read_inline(body)) for body in (first, edit, longer))

        assert (len(before), len(after), len(whole)) == (72, 72, 144)
        assert compare(before[40], after[40]) > 10
        assert compare(after[71], whole[71]) < 1
        assert compare(whole[71], whole[72]) < 6

    def test_an_edit_is_guessed(self, box: Sandbox, api: OmniApi) -> None:
        """Without a task, an earlier interaction is changed."""
        api.make(previous_interaction_id=api.make()["id"], response_format={"type": "video"})

        assert box.tasks()[1]["request"]["task"] == "edit"

    @pytest.mark.parametrize(
        ("name", "members"),
        [
            ("edit", {"duration": "3s"}),
            ("edit", {"aspect_ratio": "16:9"}),
            ("extend", {"aspect_ratio": "16:9"}),
        ],
    )
    def test_what_a_source_decides(self, api: OmniApi, name: str, members: Any) -> None:
        """Length and shape of an edit, and the shape of an extension, are refused."""
        format_ = {"type": "video"} | members
        response = api.post(
            previous_interaction_id=api.make()["id"], response_format=format_, **task(name)
        )

        assert response.status_code == 400
        assert f"'response_format.{next(iter(members))}'" in find_message(response)

    def test_limits_of_an_extension(self, api: OmniApi) -> None:
        """At most 10 s are added, to at most 30: the longest video has 40 s."""
        interaction = api.make(response_format=BY_URI | {"duration": "10s"})["id"]
        format_ = {"type": "video", "resolution": "360p"}
        long = api.post(
            previous_interaction_id=interaction,
            response_format=format_ | {"duration": "11s"},
            **task("extend"),
        )
        for _ in range(3):
            body = api.post(
                previous_interaction_id=interaction, response_format=format_, **task("extend")
            ).json()
            interaction = body["id"]
        last = api.post(previous_interaction_id=interaction, **task("extend"))

        assert "exceeds the maximum allowed 10s 0ns" in find_message(long)
        assert read_seconds(read_inline(body)) == 40.0
        assert find_message(last) == "Videos longer than 30s are not supported for extension."

    def test_the_resolution_is_not_inherited(self, box: Sandbox, api: OmniApi) -> None:
        """Where none is asked for, it is 720p; the shape is that of the source."""
        tall = api.make(response_format=BY_URI | {"aspect_ratio": "9:16"})["id"]
        api.make(
            previous_interaction_id=tall,
            response_format={"type": "video", "duration": "3s"},
            **task("extend"),
        )

        assert [made["request"]["size"] for made in box.tasks()] == ["360x640", "720x1280"]

    def test_an_unfinished_source(self, box: Sandbox, api: OmniApi) -> None:
        """Only a completed interaction is continued."""
        box.change(latency=1000)
        interaction = api.start()
        early = api.post(previous_interaction_id=interaction, **task("edit"))

        assert (early.status_code, len(box.tasks())) == (400, 1)

    def test_an_upload(self, box: Sandbox, api: OmniApi) -> None:
        """A clip of another maker is edited and extended; the shape is its own."""
        clip = read_inline(api.post(response_format=SMALL | {"aspect_ratio": "9:16"}).json())
        part = video_part(api.upload(clip))
        edit = api.post(
            input=[part, text_part("at night")],
            response_format={"type": "video", "resolution": "360p"},
        )
        longer = api.post(
            input=[part, text_part("go on")],
            response_format=SMALL | {"duration": "4s"},
            **task("extend"),
        )

        assert read_seconds(read_inline(edit.json())) == 3.0
        assert read_seconds(read_inline(longer.json())) == 7.0
        assert edit.json()["steps"][0]["content"][0] == part
        sizes = {made["request"]["size"] for made in box.tasks()[1:]}
        # A tiny clip is an eighth as wide, in even numbers.
        assert all(int(s.split("x")[0]) == 360 and int(s.split("x")[1]) > 600 for s in sizes)

    def test_uploads_that_are_too_long(self, api: OmniApi) -> None:
        """1.1 edits up to 10 s, 1.2 up to 15; own videos have no limit."""
        data = read_inline(api.post(response_format=SMALL | {"duration": "12s"}).json())
        parts = [video_part(api.upload(data)), text_part("at night")]
        responses = [api.post(model=name, input=parts) for name in (OMNI_11, OMNI)]

        assert [response.status_code for response in responses] == [400, 200]

    def test_an_upload_that_is_too_short(self, api: OmniApi) -> None:
        """Both edit 3 s and more, as documented for 1.2."""
        part = video_part(api.upload(make_video(frames=48)))
        response = api.post(input=[part, text_part("at night")])

        assert (response.status_code, find_message(response)) == (
            400,
            "Videos shorter than 3s are not supported for editing.",
        )

    def test_an_inline_video(self, api: OmniApi) -> None:
        """The bytes may be in the request."""
        data = read_inline(api.post(response_format=SMALL).json())
        part = {
            "type": "video",
            "mime_type": "video/mp4",
            "data": base64.b64encode(data).decode(),
        }
        body = api.post(
            input=[part, text_part("go on")], response_format=SMALL, **task("extend")
        ).json()

        assert read_seconds(read_inline(body)) == 6.0
        assert body["steps"][0]["content"][0] == part

    def test_reference_videos(self, api: OmniApi) -> None:
        """Up to three, of at most 3 s."""
        clips = [
            api.upload(read_inline(api.post(response_format=SMALL | {"duration": d}).json()))
            for d in ("3s", "4s")
        ]
        responses = [
            api.post(
                input=[video_part(clip), text_part("<VIDEO_REF_0> dance like this")],
                response_format=SMALL,
                **task("reference_to_video"),
            )
            for clip in clips
        ]

        assert [response.status_code for response in responses] == [200, 400]

    def test_the_old_preview_does_not_extend(self, box: Sandbox) -> None:
        """It says so, at the API where it lives."""
        folder = "/v1beta1/projects/p/locations/global"
        api = OmniApi(box, folder, Authorization=f"Bearer {box.key}")
        response = api.post(model=PREVIEW, **task("extend"))

        assert find_message(response) == "Video extension is currently not supported."


HEADER = "[# Sources <FIRST_FRAME>@Image3 <LAST_FRAME>@Image1] [# References <IMAGE_REF_0>@Image2]"


class TestFrames:
    """Tags in the text bind images to their roles."""

    @pytest.mark.parametrize(
        ("text", "starts", "refers"),
        [
            ("<FIRST_FRAME> go", ["red"], ["lime", "blue"]),
            ("<FIRST_FRAME> <LAST_FRAME> go", ["red", "lime"], ["blue"]),
            ("<IMAGE_REF_0> <IMAGE_REF_1> <IMAGE_REF_2> go", [], ["red", "lime", "blue"]),
            (HEADER + " go", ["blue", "red"], ["lime"]),
            ("go", [], ["red", "lime", "blue"]),
        ],
    )
    def test_roles(
        self, sandbox: StartSandbox, text: str, starts: list[str], refers: list[str]
    ) -> None:
        """Frames and references of the clip, and its prompt without tags."""
        box = sandbox(clip="full", latency=1000)
        parts = [image_part(colour) for colour in ("red", "lime", "blue")]
        OmniApi(box).start(input=[*parts, text_part(text)])
        clip = box._core.tasks.list_tasks()[0].spec.clip
        saved = {
            box._core.clips.save_input(make_image(colour=c)): c for c in ("red", "lime", "blue")
        }

        assert [saved[path] for path in (clip.start, clip.end) if path] == starts
        assert [saved[path] for path in clip.references] == refers
        assert clip.prompt == "go"

    def test_an_untagged_image_to_start_from(self, sandbox: StartSandbox) -> None:
        """The task is enough."""
        box = sandbox(clip="full", latency=1000)
        OmniApi(box).start(input=[image_part(), text_part("go")], **task("image_to_video"))

        assert box._core.tasks.list_tasks()[0].spec.clip.start

    def test_an_uploaded_image(self, api: OmniApi) -> None:
        """An image may be named by its file."""
        file = api.upload(make_image(), "image/png")
        part = {"type": "image", "mime_type": "image/png", "uri": file["uri"]}

        assert api.make(input=[part, text_part("<FIRST_FRAME> go")])["status"] == "completed"


class TestBills:
    """An accepted interaction is billed by its tokens."""

    @pytest.mark.parametrize(
        ("model", "members", "usd"),
        [
            (OMNI_11, {"resolution": "720p", "duration": "10s"}, 1.020191),
            (OMNI_11, {"resolution": "360p", "duration": "3s"}, 0.107968),
            (OMNI_11, {"resolution": "1080p", "duration": "3s"}, 0.462711),
            (OMNI, {"resolution": "4k", "duration": "3s"}, 0.632127),
        ],
    )
    def test_prices(self, box: Sandbox, api: OmniApi, model: str, members: Any, usd: float) -> None:
        """Video tokens by second and resolution; text and thoughts on top."""
        interaction = api.make(model=model, response_format=BY_URI | members)["id"]

        assert [(b["task"], b["route"], b["amount"], b["state"]) for b in box.bills()] == [
            (interaction, "gemini", usd, "charged")
        ]

    @pytest.mark.parametrize("fault", ["filtered", "moderated"])
    def test_a_refusal(self, box: Sandbox, api: OmniApi, fault: str) -> None:
        """Completed, with words instead of a video; it costs its text tokens."""
        box.fault(fault)
        body = api.make()
        [words] = body["steps"][1]["content"]

        assert body["status"] == "completed"
        assert [step["type"] for step in body["steps"]] == ["user_input", "model_output", "thought"]
        assert (words["type"], words["text"] != "") == ("text", True)
        assert "output_tokens_by_modality" not in body["usage"]
        assert [(bill["state"], bill["amount"]) for bill in box.bills()] == [("charged", 0.000948)]
        assert box.balance() == 1_000_000 - 0.000948

    def test_an_empty_one(self, box: Sandbox, api: OmniApi) -> None:
        """Completed, without output; only the input is billed."""
        box.fault("empty")
        body = api.make()

        assert [step["type"] for step in body["steps"]] == ["user_input"]
        assert body["usage"]["total_output_tokens"] == 0
        assert [(bill["state"], bill["amount"]) for bill in box.bills()] == [("charged", 0.000003)]

    def test_a_failure(self, box: Sandbox, api: OmniApi) -> None:
        """The service's own fault costs nothing."""
        box.fault("failed")
        body = api.make()

        assert body["status"] == "failed"
        assert body["errors"] == [{"code": "internal", "message": "Internal error encountered."}]
        assert "usage" not in body
        assert [bill["state"] for bill in box.bills()] == ["refunded"]

    def test_a_failed_stream(self, box: Sandbox, api: OmniApi) -> None:
        """An event `error`, then the end."""
        box.fault("failed", message="no")
        names = [name for name, _ in read_events(api.post(stream=True).text)]

        assert names[2:] == ["error", "interaction.completed", "done"]

    def test_a_refusal_is_not_continued(self, box: Sandbox, api: OmniApi) -> None:
        """There is no video to change."""
        box.fault("filtered", times=1)
        response = api.post(previous_interaction_id=api.make()["id"], **task("edit"))

        assert (response.status_code, len(box.tasks())) == (400, 1)


class TestFiles:
    """The Files API: generated videos and uploads."""

    def test_a_file_is_processed_after_its_interaction(self, sandbox: StartSandbox) -> None:
        """`completed` does not mean that the file can be fetched."""
        box = sandbox(processing_lag=50)
        api = OmniApi(box)
        path = find_videos(api.make())[0]["uri"].removeprefix(
            "https://generativelanguage.googleapis.com"
        )
        name = path.removesuffix(":download?alt=media")
        early = api.request("GET", name).json()
        refused = api.request("GET", path)
        box.advance(50)
        late = api.request("GET", name).json()
        data = api.request("GET", path)

        assert (early["state"], late["state"]) == ("PROCESSING", "ACTIVE")
        assert (late["source"], late["videoMetadata"]) == ("GENERATED", {"videoDuration": "3s"})
        assert (refused.status_code, data.status_code) == (400, 200)
        assert read_seconds(data.content) == 3.0
        assert data.history == []
        assert requests.get(box.url + path, timeout=10).status_code == 403

    def test_an_upload_in_pieces(self, api: OmniApi) -> None:
        """What has arrived can be asked for; an upload goes on from there."""
        data = read_inline(api.post(response_format=SMALL).json())
        address = api.start_upload(len(data), title="my clip")

        def send(command: str, offset: int = 0, body: bytes = b"") -> requests.Response:
            headers = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(offset)}
            return requests.post(address, data=body, headers=headers, timeout=10)

        half = len(data) // 2
        send("upload", 0, data[:half])
        known = send("query").headers
        wrong = send("upload, finalize", half + 1, data[half:])
        short = send("finalize", half)
        done = send("upload, finalize", half, data[half:])
        again = send("query").headers
        file = done.json()["file"]

        assert known["x-goog-upload-status"] == "active"
        assert known["x-goog-upload-size-received"] == str(half)
        assert (wrong.status_code, short.status_code) == (400, 400)
        assert done.headers["x-goog-upload-status"] == again["x-goog-upload-status"] == "final"
        assert (file["displayName"], file["mimeType"], file["sizeBytes"]) == (
            "my clip",
            "video/mp4",
            str(len(data)),
        )
        assert (file["source"], file["state"]) == ("UPLOADED", "ACTIVE")
        assert api.request("GET", f"/v1beta/{file['name']}").json() == file

    def test_an_upload_that_is_cut_off_keeps_its_bytes(self, api: OmniApi) -> None:
        """The bytes that arrived before the connection broke count."""
        address = api.start_upload(1000)
        url = urlsplit(address)
        head = [
            f"POST {url.path}?{url.query} HTTP/1.1",
            f"Host: {url.netloc}",
            "X-Goog-Upload-Command: upload, finalize",
            "X-Goog-Upload-Offset: 0",
            "Content-Length: 1000",
        ]
        with socket.create_connection((url.hostname, url.port)) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + b"x" * 400)
        query = {"X-Goog-Upload-Command": "query"}
        for _ in range(100):
            answer = requests.post(address, headers=query, timeout=10)
            if answer.headers["x-goog-upload-size-received"] != "0":
                break

        assert answer.headers["x-goog-upload-size-received"] == "400"

    def test_an_upload_is_processed_and_may_be_broken(self, sandbox: StartSandbox) -> None:
        """A video is examined for a while; what is none has failed."""
        box = sandbox(processing_lag=50)
        api = OmniApi(box)
        broken = api.upload(b"no video at all")
        image = api.upload(make_image(), "image/png")
        early = api.post(input=[video_part(broken), text_part("x")])
        box.advance(50)

        assert (broken["state"], image["state"]) == ("PROCESSING", "ACTIVE")
        assert "is not in an ACTIVE state" in find_message(early)
        assert api.request("GET", f"/v1beta/{broken['name']}").json()["state"] == "FAILED"
        assert api.post(input=[video_part(broken), text_part("x")]).status_code == 400

    def test_list_and_delete(self, box: Sandbox, api: OmniApi) -> None:
        """The newest first, in pages; a deleted file is gone, also for interactions."""
        made = find_videos(api.make())[0]["uri"].rpartition("/")[2].partition(":")[0]
        box.advance(1)
        uploaded = api.upload(make_image(), "image/png")
        first = api.request("GET", "/v1beta/files?pageSize=1").json()
        rest = api.request("GET", f"/v1beta/files?pageToken={first['nextPageToken']}").json()
        deleted = [
            api.request("DELETE", f"/v1beta/{name}") for name in (uploaded["name"], f"files/{made}")
        ]
        part = {"type": "image", "mime_type": "image/png", "uri": uploaded["uri"]}

        assert [file["name"] for file in first["files"]] == [uploaded["name"]]
        assert [file["name"] for file in rest["files"]] == [f"files/{made}"]
        assert [(response.status_code, response.json()) for response in deleted] == [(200, {})] * 2
        assert api.request("GET", "/v1beta/files").json() == {}
        assert api.request("GET", f"/v1beta/files/{made}").status_code == 403
        assert api.post(input=[part, text_part("x")]).status_code == 404

    def test_an_inline_video_is_no_file(self, api: OmniApi) -> None:
        """Only videos that were delivered by address are listed."""
        api.post(response_format=SMALL)

        assert api.request("GET", "/v1beta/files").json() == {}

    def test_uploads_expire(self, box: Sandbox, api: OmniApi) -> None:
        """After two days."""
        name = api.upload(make_image(), "image/png")["name"]
        box.advance(2 * DAY)

        assert api.request("GET", f"/v1beta/{name}").status_code == 403

    def test_an_upload_needs_a_key_to_start(self, box: Sandbox) -> None:
        """Its address is its own credential, but that is given to known callers only."""
        headers = {"X-Goog-Upload-Command": "start"}
        response = requests.post(
            f"{box.url}/upload/v1beta/files", json={}, headers=headers, timeout=10
        )

        assert response.status_code == 403
        unknown = requests.post(f"{box.url}/upload/v1/files?upload_id=x", timeout=10)
        assert unknown.status_code == 404

    def test_models_in_pages(self, api: OmniApi) -> None:
        """Each page names the next, and every model comes once."""
        names: list[str] = []
        token = ""
        while True:
            body = api.request("GET", f"/v1beta/models?pageSize=2&pageToken={token}").json()
            names += [model["name"] for model in body["models"]]
            token = body.get("nextPageToken")
            if not token:
                break

        assert len(names) == len(set(names)) > 2
        assert f"models/{OMNI}" in names
        assert f"models/{PREVIEW}" not in names
