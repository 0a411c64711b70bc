"""The sandbox's models of other families on ``/v1/videos``: Gemini Omni and Muse."""

import base64
from typing import Any

import pytest
import requests
from sandbox_api import DAY, Api, StartSandbox, make_image, wait_finished

from veo_sandbox import Sandbox

OMNI = "gemini-omni-1.2-flash"
MUSE = "muse-video"


def data_uri(data: bytes) -> str:
    """Return an image as JSON carries it."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def make_form(sandbox: Sandbox, model: str, **frames: bytes) -> requests.Response:
    """POST a form with a file part for each frame."""
    fields = {"model": (None, model), "prompt": (None, "lion")}
    parts = {name: (f"{name}.png", data, "image/png") for name, data in frames.items()}
    return Api(sandbox).post(files={**fields, **parts})


def test_a_task_from_queued_to_the_file(sandbox: StartSandbox) -> None:
    """The address appears with the completion; it needs no key and lasts seven days."""
    box = sandbox(latency=100)
    api = Api(box)
    created = api.post({"model": OMNI, "prompt": "lion", "seconds": "3", "resolution": "360p"})
    task = created.json()["id"]
    box.advance(50)
    running = api.get(f"/v1/videos/{task}").json()
    box.advance(50)
    done = wait_finished(api, task)
    box.advance(6.9 * DAY)
    file = requests.get(done["video_url"], timeout=10)
    content = api.get(f"/v1/videos/{task}/content")

    assert [created.json()["status"], running["status"], done["status"]] == [
        "queued",
        "in_progress",
        "completed",
    ]
    assert ("video_url" in running, running["progress"], done["progress"]) == (False, 50, 100)
    assert (done["size"], done["seconds"]) == ("640x360", "3")
    assert done["video_url"].startswith(box.files_url)
    assert file.content == content.content
    assert file.content[4:8] == b"ftyp"
    assert box.leaks() == []


@pytest.mark.parametrize(
    ("fields", "size", "usd"),
    [
        ({}, "1280x720", 0.30),
        ({"resolution": "360p", "aspect_ratio": "9:16", "seconds": "3"}, "360x640", 0.10),
        ({"resolution": "1080p", "seconds": "10"}, "1920x1080", 0.45),
        ({"size": "1080x1920"}, "1080x1920", 0.45),
        ({"reasoning_effort": "high"}, "1280x720", 0.30),
        ({"reference_images": [data_uri(make_image())] * 6}, "1280x720", 0.30),
        ({"image": data_uri(make_image())}, "1280x720", 0.30),
    ],
)
def test_the_price_depends_on_the_resolution_only(
    sandbox: StartSandbox, fields: dict[str, Any], size: str, usd: float
) -> None:
    """Neither the length nor the images change it."""
    box = sandbox(clip="tiny", latency=0)
    task = Api(box).create_from_text(OMNI, **fields)
    wait_finished(Api(box), task)

    assert box.tasks()[0]["request"]["size"] == size
    assert [(bill["state"], bill["amount"]) for bill in box.bills()] == [("charged", usd)]


def test_the_price_is_held_and_a_failure_refunded(sandbox: StartSandbox) -> None:
    """The balance has the money back in full."""
    box = sandbox(balance=1, latency=100, clip="tiny")
    box.fault("failed")
    Api(box).create_from_text(OMNI)
    held = box.balance()
    box.advance(100)

    assert held == 0.7
    assert [(bill["state"], bill["amount"]) for bill in box.bills()] == [("refunded", 0.3)]
    assert box.balance() == 1.0


@pytest.mark.parametrize(("name", "usd"), [(MUSE, 0.30), ("muse-video-20s", 0.55)])
def test_muse_has_a_price_per_name(sandbox: StartSandbox, name: str, usd: float) -> None:
    """The longer ones have a length of their own."""
    box = sandbox(clip="tiny", latency=0)
    wait_finished(Api(box), Api(box).create_from_text(name))

    assert [bill["amount"] for bill in box.bills()] == [usd]


@pytest.mark.parametrize(
    "frames",
    [
        {"input_reference": make_image()},
        {"input_reference": make_image(), "last_frame": make_image()},
    ],
)
def test_muse_takes_frames_as_file_parts(sandbox: StartSandbox, frames: dict[str, bytes]) -> None:
    """The start frame, and the end frame with it."""
    box = sandbox(clip="tiny")
    assert make_form(box, MUSE, **frames).status_code == 200
    assert [image["name"] for image in box.tasks()[0]["request"]["images"]] == list(frames)


@pytest.mark.parametrize(
    ("model", "fields", "says"),
    [
        (OMNI, {"seconds": "11"}, "seconds '11'"),
        (OMNI, {"seconds": "2"}, "seconds '2'"),
        (OMNI, {"resolution": "4k"}, "resolution '4k'"),
        (OMNI, {"aspect_ratio": "1:1"}, "aspect_ratio '1:1'"),
        (OMNI, {"size": "720x720"}, "size '720x720'"),
        (OMNI, {"size": "1280x720", "resolution": "1080p"}, "supported: 1920x1080"),
        (OMNI, {"reference_images": [data_uri(make_image())] * 7}, "at most 6"),
        (OMNI, {"reference_images": ["https://a.example/b.png"]}, "must be a data URI"),
        (OMNI, {"reference_images": {"a": 1}}, "must be a list"),
        (OMNI, {"last_frame": data_uri(make_image())}, "one image"),
        (
            OMNI,
            {"image": data_uri(make_image()), "reference_images": [data_uri(make_image())]},
            "cannot be combined",
        ),
        (OMNI, {"negativePrompt": "rain"}, "unknown field negativePrompt"),
        (OMNI, {"prompt": ""}, "prompt is required"),
        (MUSE, {"seconds": "6"}, "seconds '6'"),
        (MUSE, {"resolution": "1080p"}, "resolution '1080p'"),
        (MUSE, {"reference_images": [data_uri(make_image())]}, "at most 0"),
        ("muse-video-20s", {"seconds": "8"}, "seconds '8'"),
        (OMNI, {"size": []}, "size []"),
        (OMNI, {"resolution": {}}, "resolution {}"),
        (OMNI, {"aspect_ratio": []}, "aspect_ratio []"),
        ("veo-3.1-generate-preview", {"images": 5}, "must be a list"),
    ],
)
def test_a_wrong_field_is_refused(
    sandbox: StartSandbox, model: str, fields: dict[str, Any], says: str
) -> None:
    """400 before anything is charged."""
    box = sandbox(clip="tiny")
    answer = Api(box).post({"model": model, "prompt": "lion"} | fields)

    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert (box.tasks(), box.bills()) == ([], [])


@pytest.mark.parametrize("profile", ["capture-2025-11", "docs", "resold"])
def test_every_profile_of_the_gateway_sells_them(sandbox: StartSandbox, profile: str) -> None:
    """The list of models has them, too."""
    api = Api(sandbox(profile=profile, clip="tiny"))
    names = [row["id"] for row in api.get("/v1/models").json()["data"]]

    assert {OMNI, MUSE, "muse-video-60s"} <= set(names)
    assert api.post({"model": OMNI, "prompt": "lion"}).status_code == 200
