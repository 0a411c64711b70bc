"""Bodies of interactions, compared with captured and documented ones."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from google_routes import gemini, submit, with_token
from interactions import ID, OMNI, make_created
from recording_server import RecordingServer, Reply

from veo.image import Image
from veo.request import Request
from veo.update import RemoteVideo
from veo_gemini import Gemini, Vertex
from veo_gemini.request_bodies import build_developer_interaction, build_platform_interaction

MODEL = Gemini.facts.models[OMNI]
PLATFORM_MODEL = Vertex.facts.models[OMNI]
A, B, C = (Image.of(b"\x89PNG\r\n\x1a\n" + name) for name in (b"a", b"b", b"c"))
OWN = RemoteVideo("https://example.org/x", id=ID)
UPLOADED = RemoteVideo("https://generativelanguage.googleapis.com/v1beta/files/abc")
NEW = {
    "type": "video",
    "delivery": "uri",
    "aspect_ratio": "16:9",
    "resolution": "720p",
    "duration": "8s",
}


def make_image(image: Image) -> dict[str, str]:
    data = base64.b64encode(image.data or b"").decode()
    return {"type": "image", "data": data, "mime_type": "image/png"}


def make_task(name: str) -> dict[str, Any]:
    return {"video_config": {"task": name}}


def make_text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": (
        {},
        {
            "input": "lion",
            "response_format": NEW,
            "generation_config": make_task("text_to_video"),
        },
    ),
    "options": (
        {"aspect_ratio": "9:16", "resolution": "1080p", "duration": 12, "seed": 7},
        {
            "input": "lion",
            "response_format": NEW
            | {"aspect_ratio": "9:16", "resolution": "1080p", "duration": "12s"},
            "generation_config": make_task("text_to_video") | {"seed": 7},
        },
    ),
    "seed 0": (
        {"seed": 0},
        {
            "input": "lion",
            "response_format": NEW,
            "generation_config": make_task("text_to_video") | {"seed": 0},
        },
    ),
    "start frame": (
        {"start_frame": A},
        {
            "input": [make_image(A), make_text("<FIRST_FRAME> lion")],
            "response_format": NEW,
            "generation_config": make_task("image_to_video"),
        },
    ),
    "both frames": (
        {"start_frame": A, "end_frame": B},
        {
            "input": [make_image(A), make_image(B), make_text("<FIRST_FRAME> <LAST_FRAME> lion")],
            "response_format": NEW,
            "generation_config": make_task("image_to_video"),
        },
    ),
    "references": (
        {"reference": (A, B)},
        {
            "input": [make_image(A), make_image(B), make_text("<IMAGE_REF_0> <IMAGE_REF_1> lion")],
            "response_format": NEW,
            "generation_config": make_task("reference_to_video"),
        },
    ),
    "tags of the author": (
        {"prompt": "the cat <IMAGE_REF_1> on the mat", "reference": (A, B)},
        {
            "input": [
                make_image(A),
                make_image(B),
                make_text("<IMAGE_REF_0> the cat <IMAGE_REF_1> on the mat"),
            ],
            "response_format": NEW,
            "generation_config": make_task("reference_to_video"),
        },
    ),
    "frames and references": (
        {"start_frame": A, "end_frame": B, "reference": (C,)},
        {
            "input": [
                make_image(A),
                make_image(B),
                make_image(C),
                make_text(
                    "[# Sources <FIRST_FRAME>@Image1 <LAST_FRAME>@Image2]"
                    " [# References <IMAGE_REF_0>@Image3] lion"
                ),
            ],
            "response_format": NEW,
        },
    ),
    "edit": (
        {"edit": OWN, "prompt": "Make it night."},
        {
            "input": "Make it night. Keep everything else the same.",
            "response_format": {"type": "video", "delivery": "uri", "resolution": "720p"},
            "generation_config": make_task("edit"),
            "previous_interaction_id": ID,
        },
    ),
    "edit of a file": (
        {"edit": UPLOADED, "prompt": "Night; keep everything else", "resolution": "360p"},
        {
            "input": [
                {"type": "video", "uri": UPLOADED.uri, "mime_type": "video/mp4"},
                make_text("Night; keep everything else"),
            ],
            "response_format": {"type": "video", "delivery": "uri", "resolution": "360p"},
            "generation_config": make_task("edit"),
        },
    ),
    "extension": (
        {"extend": OWN, "duration": 7},
        {
            "input": "lion",
            "response_format": {
                "type": "video",
                "delivery": "uri",
                "resolution": "720p",
                "duration": "7s",
            },
            "generation_config": make_task("extend"),
            "previous_interaction_id": ID,
        },
    ),
    "extension of a file": (
        {"extend": UPLOADED, "resolution": "1080p"},
        {
            "input": [
                {"type": "video", "uri": UPLOADED.uri, "mime_type": "video/mp4"},
                make_text("lion"),
            ],
            "response_format": {
                "type": "video",
                "delivery": "uri",
                "resolution": "1080p",
                "duration": "8s",
            },
            "generation_config": make_task("extend"),
        },
    ),
}


def make_request(options: dict[str, Any]) -> Request:
    return Request(**{"prompt": "lion", "model": OMNI} | options)


@pytest.mark.parametrize("case", BODIES)
def test_body_for_the_developer_api(case: str) -> None:
    """Media first and the text last; every option in `response_format`, and its value explicit."""
    options, body = BODIES[case]

    always = {"model": OMNI, "background": True, "store": True}
    assert build_developer_interaction(make_request(options), MODEL) == always | body


@pytest.mark.parametrize("case", BODIES)
def test_body_for_the_platform(case: str) -> None:
    """There the input is a list, `response_format` too, and a video comes inline by default."""
    options, body = BODIES[case]
    built = build_platform_interaction(make_request(options), PLATFORM_MODEL, None)
    text = body["input"]

    assert built["input"] == (text if isinstance(text, list) else [make_text(text)])
    assert built["response_format"] == [
        {name: value for name, value in body["response_format"].items() if name != "delivery"}
    ]
    assert built.get("generation_config") == body.get("generation_config")
    assert built.get("previous_interaction_id") == body.get("previous_interaction_id")


@pytest.mark.parametrize(
    ("options", "tasked"), [({"edit": OWN}, False), ({"edit": UPLOADED}, True)]
)
def test_task_beside_a_previous_interaction(options: dict[str, Any], *, tasked: bool) -> None:
    """A model there refuses it, as its row says."""
    row = Vertex.facts.models["gemini-omni-1.1-flash-preview"]

    built = build_platform_interaction(make_request(options), row, None)
    assert ("generation_config" in built) is tasked


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.parametrize("api", ["gemini", "vertex"])
def test_the_sdk_sends_the_same(case: str, api: str) -> None:
    """To the same path; google-genai drops keys that it does not know, so it knows all of them."""
    request = make_request(BODIES[case][0])
    bodies = {
        "gemini": build_developer_interaction(request, MODEL),
        "vertex": build_platform_interaction(request, PLATFORM_MODEL, "gs://bucket/a"),
    }
    credentials = {
        "gemini": {"api_key": "sandbox-key"},
        "vertex": {
            "credentials": Credentials("sandbox-key"),
            "project": "p",
            "location": "global",
        },
    }
    with RecordingServer(Reply(make_created())) as google:
        http = types.HttpOptions(base_url=google.url)
        client = genai.Client(vertexai=api == "vertex", http_options=http, **credentials[api])
        client.interactions.create(**bodies[api])
        submit({"gemini": gemini, "vertex": with_token}[api](google.url), model=OMNI)

    theirs, ours = google.requests
    assert theirs.path == ours.path
    assert unwrap_input(theirs.json) == bodies[api]


def unwrap_input(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without the step in which the SDK wraps parts; services accept both."""
    if isinstance(body["input"], str):
        return body
    (step,) = body["input"]
    assert step["type"] == "user_input"
    return {**body, "input": step["content"]}


def test_folder_on_the_platform() -> None:
    """With a bucket the video is stored in the folder."""
    built = build_platform_interaction(make_request({}), PLATFORM_MODEL, "gs://bucket/a")

    (form,) = built["response_format"]
    assert form == NEW | {"delivery": "uri", "gcs_uri": "gs://bucket/a"}


def test_first_values_of_the_row_are_sent() -> None:
    """A row that a user has changed decides what is sent by default."""
    row = replace_row(durations=(5, 8), resolutions=("1080p",))

    form = build_developer_interaction(make_request({}), row)["response_format"]
    assert (form["duration"], form["resolution"]) == ("5s", "1080p")


def replace_row(**changes: Any) -> Any:
    return MODEL.replace(**changes)


def test_no_name_of_a_model_is_in_the_code() -> None:
    """Another name in the row is another name in the body, and nothing else changes."""
    request = make_request({"start_frame": A})
    old, new = MODEL, replace_row(name="gemini-omni-9")

    assert build_developer_interaction(replace(request, model="gemini-omni-9"), new) == {
        **build_developer_interaction(request, old),
        "model": "gemini-omni-9",
    }
