"""The frames decide the shape of a video, and the finished file is measured."""

import json
from pathlib import Path

import av
import pytest
from batch_inputs import write_batch
from cli_runner import Veo
from PIL import Image
from scripted import make_model

import veo
import veo_sandbox
from veo.config import Config
from veo.errors import InvalidRequestError
from veo.files.clip import ClipInfo, describe_clip, list_differences
from veo.files.images import FrameFit
from veo.files.mp4 import inspect_path
from veo.request import Request
from veo_sandbox.clips.render import render
from veo_sandbox.clips.spec import ClipSpec

pytest_plugins = ("veo_fixtures",)

SANDBOX = '[sandbox]\nlatency = "0"\n'


def save_image(name: str, width: int, height: int) -> str:
    Image.new("RGB", (width, height), "orange").save(name)
    return name


def test_a_batch_of_landscape_frames(veo: Veo) -> None:
    """Landscape frames make landscape files; the ratio is in the plan and in the sidecar."""
    Path("veo.toml").write_text(SANDBOX)
    Path("frames").mkdir()
    for number in range(2):
        save_image(f"frames/{number}.png", 1280, 720)
    item = {"prompt": "a", "start_frame": "0.png", "end_frame": "1.png", "output": "a.mp4"}
    file = write_batch(item | {"model": "muse-video"}, name="frames/batch.json")
    planned = veo("batch", file, "--sandbox", "--dry-run", "--json").objects[0]
    ran = veo("batch", file, "--sandbox")

    assert ran.code == 0, ran.err
    assert planned["request"].get("aspect_ratio", "16:9") == "16:9"
    with av.open("a.mp4") as clip:
        assert (clip.streams.video[0].width, clip.streams.video[0].height) == (1280, 720)
    sidecar = json.loads(Path("a.mp4.json").read_text())
    assert (sidecar["clip"]["width"], sidecar["clip"]["height"]) == (1280, 720)
    assert sidecar["clip"]["differences"] == []


def test_a_configured_model_follows_the_frame(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A landscape frame chooses the landscape model of the configured model's family."""
    frame = save_image("a.png", 1920, 1080)
    veo("generate", "a lion", "--start-frame", frame)

    assert [task["model"] for task in service.tasks()] == ["veo-3.1-landscape-fast-fl"]


def test_frames_that_lie_differently(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A landscape and a portrait frame are refused with --fit named, and made with it."""
    frames = (
        *("--start-frame", save_image("wide.png", 1280, 720)),
        *("--end-frame", save_image("high.png", 720, 1280)),
    )
    refused = veo("generate", "a lion", *frames)

    assert refused.code == 2
    assert "high.png is 720x1280, and the video is 16:9" in refused.err
    assert "--fit crop" in refused.err
    assert service.tasks() == []

    made = veo("generate", "a lion", *frames, "--fit", "pad")
    assert made.code == 0, made.err


def test_frames_that_lose_something(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A frame of another shape, or smaller than the video, is told before paying."""
    square, small = save_image("square.png", 900, 900), save_image("small.png", 20, 36)
    ran = veo("generate", "a", "--start-frame", square, "--end-frame", small, "--dry-run")

    assert "square.png is 900x900, and the video is 9:16" in ran.err
    assert "small.png is 20x36, smaller than the video" in ran.err
    assert ran.code == 0


@pytest.mark.parametrize(
    ("how", "before", "after"),
    [
        ("crop", (1000, 1000), (1000, 562)),
        ("pad", (1000, 1000), (1778, 1000)),
        ("crop", (720, 1280), (720, 405)),
        ("pad", (1280, 720), (1280, 720)),
    ],
)
def test_a_frame_is_fitted(how: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Crop keeps the largest part in the ratio, pad adds bars around the whole."""
    fit = FrameFit(how, "16:9")

    assert fit.apply_to(Image.new("RGB", before)).size == after
    assert fit.is_shape_of(before) == (before == after)


def test_python_names_the_frames(tmp_path: Path) -> None:
    """From Python the same request is refused with its problems."""
    wide, high = save_image("wide.png", 1280, 720), save_image("high.png", 720, 1280)
    with veo.Client(Config(provider="laozhang-async"), home=tmp_path) as client:
        with pytest.raises(InvalidRequestError, match="fit"):
            client.plan("a", model="muse-video", start_frame=wide, end_frame=high)
        plan = client.plan("a", model="muse-video", start_frame=wide, end_frame=high, fit="crop")

    assert plan.request.fit == "crop"


@pytest.mark.parametrize("is_tiny", [True, False])
def test_a_file_is_measured(tmp_path: Path, is_tiny: bool) -> None:
    """Size, length and sound are read from the index of the file."""
    clip = tmp_path / "clip.mp4"
    render(ClipSpec(prompt="a", width=640, height=360, seconds=2.0, tiny=is_tiny), clip)

    measured = describe_clip(inspect_path(clip))
    assert measured == ClipInfo(640, 360, pytest.approx(2.0, abs=0.1), has_sound=True)


@pytest.mark.parametrize("data", [b"", b"moov", b"\0\0\0\x08moov", b"\0\0\0\x10moov" + b"\xff" * 8])
def test_a_file_that_cannot_be_measured(tmp_path: Path, data: bytes) -> None:
    """A file without a readable index has no measurement."""
    (tmp_path / "clip.mp4").write_bytes(data)

    assert describe_clip(inspect_path(tmp_path / "clip.mp4")) is None


def test_differences_are_named() -> None:
    """Shape and size that were not requested; small deviations are none."""
    model = make_model(aspect_ratios=("16:9",), resolutions=("720p",), durations=(8,))
    request = Request(prompt="a")

    assert list_differences(ClipInfo(1280, 712, 8.3, has_sound=False), request, model) == []
    assert list_differences(ClipInfo(360, 640, 5.0, has_sound=True), request, model) == [
        "it is 360x640 instead of 16:9",
        "it is 360x640 instead of 720p",
    ]


def test_a_difference_is_told(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video that is not what was requested is a warning, kept in ledger and sidecar."""
    clip = ClipInfo(640, 640, 8.0, has_sound=True)
    monkeypatch.setattr("veo.engine.download.describe_clip", lambda _: clip)
    ran = veo("generate", "a lion", "-o", "lion.mp4")
    job = veo("jobs", "-q").out.strip()

    assert ran.code == 0
    assert "warning: lion.mp4 is not as requested: it is 640x640 instead of 9:16" in ran.err
    assert "instead of 9:16" in Path("lion.mp4.json").read_text()
    assert "instead of 9:16" in veo("show", job).out
