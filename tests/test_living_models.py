"""The default models: living ones, through the command line and the sandbox."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Veo
from PIL import Image

import veo_sandbox
from veo.compare.media import read_media

pytest_plugins = ("veo_fixtures",)

OMNI = "gemini-omni-1.2-flash"
TINY = '[sandbox]\nclip = "tiny"\nlatency = "0.1"\n'


@pytest.fixture
def gateway(serve_as_live: Callable[..., veo_sandbox.Sandbox]) -> veo_sandbox.Sandbox:
    """A sandbox that ``veo`` takes for the live service; no model is configured."""
    return serve_as_live()


def write_image(name: str, size: tuple[int, int]) -> str:
    """Write an image file, and return its name."""
    data = BytesIO()
    Image.new("RGB", size, "orange").save(data, "PNG")
    Path(name).write_bytes(data.getvalue())
    return name


def find_body(served: veo_sandbox.Sandbox) -> dict[str, Any]:
    """Return the one paid body as the sandbox received it."""
    (post,) = [each for each in served.requests() if each["method"] == "POST"]
    return dict(post["body"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("laozhang-async", OMNI),
        ("laozhang-sync", "veo-3.1-landscape-fast"),
        ("gemini", OMNI),
        ("vertex", "veo-3.1-fast-generate-001"),
    ],
)
def test_a_prompt_alone_in_the_sandbox(veo: Veo, provider: str, model: str) -> None:
    """A video of the best model that lives, or of the best one; without a warning."""
    Path("veo.toml").write_text(TINY)
    ran = veo("generate", "a lion", "--sandbox", "-p", provider, "--json")

    assert (ran.code, "warning" in ran.err) == (0, False), ran.err
    assert ran.objects[0]["model"] == model
    media = read_media(Path(ran.objects[0]["output"]))
    assert media is not None
    assert media.width > media.height
    assert media.seconds == pytest.approx(8, abs=0.25)


def test_a_named_dead_model_in_the_sandbox(veo: Veo) -> None:
    """It makes the video; one warning has the living replacement and its price."""
    Path("veo.toml").write_text(TINY)
    ran = veo("generate", "a lion", "--sandbox", "-m", "veo-3.1-fast", "--json")

    assert (ran.code, ran.objects[0]["model"]) == (0, "veo-3.1-fast")
    assert ran.err.count("warning") == 1
    assert f"laozhang-async/{OMNI} ($0.30)" in ran.err


def test_omni_on_the_wire(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """The documented body; the file is fetched from the other host without the key."""
    ran = veo("generate", "a lion", "--json")

    assert (ran.code, "warning" in ran.err) == (0, False), ran.err
    assert find_body(gateway) == {
        "model": OMNI,
        "prompt": "a lion",
        "seconds": "8",
        "resolution": "720p",
        "aspect_ratio": "16:9",
    }
    assert ran.objects[0]["cost"]["charged"] == 0.30
    assert [(bill["state"], bill["amount"]) for bill in gateway.bills()] == [("charged", 0.30)]
    assert [each["auth"] for each in gateway.requests() if each["port"] == "files"] == [False]
    assert gateway.leaks() == []


@pytest.mark.parametrize(("size", "ratio"), [((90, 160), "9:16"), ((160, 90), "16:9")])
def test_the_start_frame_decides_the_ratio(
    veo: Veo, gateway: veo_sandbox.Sandbox, size: tuple[int, int], ratio: str
) -> None:
    """If no ratio is asked for; the frame is a part of a form."""
    frame = write_image("a.png", size)
    ran = veo("generate", "a lion", "--start-frame", frame, "--json")

    assert (ran.code, ran.objects[0]["model"]) == (0, OMNI), ran.err
    assert find_body(gateway)["aspect_ratio"] == ratio
    (post,) = [each for each in gateway.requests() if each["method"] == "POST"]
    assert [file["name"] for file in post["files"]] == ["input_reference"]


def test_six_references(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """They are one list in JSON, and do not change the price; a seventh is refused."""
    options = [part for n in range(6) for part in ("--reference", write_image(f"{n}.png", (9, 9)))]
    ran = veo("generate", "a lion", *options, "--resolution", "360p", "--json")
    refused = veo("generate", "a lion", *options, "--reference", "0.png")

    assert (ran.code, ran.objects[0]["cost"]["charged"]) == (0, 0.10), ran.err
    assert len(find_body(gateway)["reference_images"]) == 6
    assert (refused.code, "7 images are too many" in refused.err) == (2, True)


def test_both_frames_are_made_by_muse(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """The only living model there that takes an end frame."""
    frames = ("--start-frame", write_image("a.png", (160, 90)), "--end-frame", "a.png")
    ran = veo("generate", "a lion", *frames, "--json")

    assert (ran.code, ran.objects[0]["model"]) == (0, "muse-video"), ran.err
    (post,) = [each for each in gateway.requests() if each["method"] == "POST"]
    assert [file["name"] for file in post["files"]] == ["input_reference", "last_frame"]
    assert post["body"] == {
        "model": "muse-video",
        "prompt": "a lion",
        "seconds": "8",
        "aspect_ratio": "16:9",
    }


@pytest.mark.parametrize("fault", ["failed", "moderated"])
def test_a_failed_task_is_refunded(veo: Veo, gateway: veo_sandbox.Sandbox, fault: str) -> None:
    """The ledger has no charge, and neither has the sandbox."""
    gateway.fault(fault)
    ran = veo("generate", "a lion", "--json")

    assert (ran.code, ran.objects[0]["cost"]["charged"]) == (1, 0.0), ran.err
    assert [bill["state"] for bill in gateway.bills()] == ["refunded"]


def test_the_only_models_that_could_are_dead(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """The refusal names living ones of other providers; nothing is sent."""
    ran = veo("generate", "a lion", "--negative-prompt", "rain")

    assert ran.code == 2
    assert "vertex/veo-3.1-fast-generate-001" in ran.err
    assert "preview" not in ran.err
    assert gateway.requests() == []


def test_a_provider_without_living_models_warns(veo: Veo, gateway: veo_sandbox.Sandbox) -> None:
    """Outside the sandbox, once."""
    ran = veo("generate", "a lion", "-p", "laozhang-sync", "--dry-run")

    assert ran.err.count("warning") == 1
    assert f"use instead: laozhang-async/{OMNI} ($0.30)" in ran.err


@pytest.mark.parametrize(
    ("args", "models"),
    [
        ((), [OMNI, "veo-3.1-landscape-fast"]),
        (("-m", "veo-3.1-fast"), ["veo-3.1-fast", "veo-3.1-fast"]),
    ],
)
def test_compare_shows_the_models(veo: Veo, args: tuple[str, ...], models: list[str]) -> None:
    """A named model is the same on both routes of LaoZhang."""
    Path("veo.toml").write_text(TINY)
    on = ("--on", "laozhang-async,laozhang-sync")
    ran = veo("compare", "a lion", *on, *args, "--sandbox", "--yes", "--json")
    shown = veo("compare", "a lion", *on, *args, "--sandbox", "--dry-run")

    assert ran.code == 0, ran.err
    assert [each["model"] for each in ran.objects if "name" in each] == models
    assert all(model in shown.err for model in models)


def test_compare_takes_the_model_that_one_route_names(veo: Veo) -> None:
    """The other route takes it as well."""
    Path("veo.toml").write_text(TINY)
    for on in ("laozhang-async:veo-3.1,laozhang-sync", "laozhang-async,laozhang-sync:veo-3.1"):
        ran = veo("compare", "a lion", "--on", on, "--sandbox", "--dry-run")
        assert ran.err.count("veo-3.1 (") == 2, ran.err


def test_compare_with_the_default_of_the_same_provider(veo: Veo) -> None:
    """A model that is named for a provider is compared with the one that it would choose itself."""
    on = ("--on", f"vertex,vertex/{OMNI}", "--sandbox", "--dry-run")
    ran = veo("compare", "a lion", *on)
    twice = veo("compare", "a lion", "--on", "gemini,gemini/gemini-omni-1.2-flash", *on[2:])

    assert ran.code == 0, ran.err
    assert (f"{OMNI} (" in ran.err, "veo-3.1-fast-generate-001 (" in ran.err) == (True, True)
    assert (twice.code, "gemini-omni-1.2-flash is named twice" in twice.err) == (2, True)
