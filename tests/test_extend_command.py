"""``veo extend``: extended videos, their cost, and what happens when a step fails."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest
from sample_videos import make_video

from veo.files.mp4 import read_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli_runner import Veo

    import veo_sandbox

pytest_plugins = ("veo_fixtures",)

CONFIG = """
provider = "gemini"
model = "veo-3.1-fast-generate-preview"
retired = "ignore"
confirm_above = 1000
[providers.gemini]
base_url = "{url}"
median_s = 0.2
submits_per_minute = 1000
"""
SANDBOX = '[sandbox]\nlatency = "0.2"\nclip = "tiny"\n'


@pytest.fixture
def google(
    sandbox: Callable[..., veo_sandbox.Sandbox], monkeypatch: pytest.MonkeyPatch
) -> veo_sandbox.Sandbox:
    """A sandbox that the configuration uses as the Gemini Developer API."""
    served = sandbox(processing_lag=0)
    Path("veo.toml").write_text(CONFIG.format(url=served.url))
    monkeypatch.setenv("GEMINI_API_KEY", served.key)
    return served


@pytest.fixture
def lion(veo: Veo, google: veo_sandbox.Sandbox) -> str:
    """The job of a finished video, ``lion.mp4``."""
    job: str = veo("generate", "a lion", "-o", "lion.mp4", "--json").objects[0]["job"]
    return job


def read_packets(path: str) -> list[bytes]:
    """Return the encoded frames of a video."""
    with av.open(path) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


def test_a_prompt_from_stdin(veo: Veo, lion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt ``-`` is read from stdin, as for a new video."""
    monkeypatch.setattr("sys.stdin", io.StringIO("it roars\n"))

    (plan,) = veo("extend", lion, "-", "--dry-run", "--json").objects

    assert plan["request"]["prompt"] == "it roars"


@pytest.mark.slow
def test_a_lion_roars_for_22_seconds(veo: Veo) -> None:
    """Two steps with --sandbox give one file of 22.0 s; its first 8 s are the first clip.

    The sandbox is the one that ``veo`` starts by itself, with real clips.
    """
    Path("veo.toml").write_text('[sandbox]\nlatency = "5"\nspeed = 50\n')
    job = veo(
        "generate", "a lion", "-p", "vertex", "-m", "veo-3.1-fast-generate-001",
        "--sandbox", "-o", "lion.mp4", "--json",
    )  # fmt: skip
    ran = veo(
        "extend", job.objects[0]["job"], "then the lion roars", "--times", "2", "--sandbox",
        "-o", "roar.mp4",
    )  # fmt: skip

    assert ran.code == 0, ran.err
    assert ran.out == f"{Path('roar.mp4').absolute()}\n"
    assert read_duration_s(Path("roar.mp4")) == 22.0
    first, whole = read_packets("lion.mp4"), read_packets("roar.mp4")
    assert (len(first), len(whole)) == (8 * 24, 22 * 24)
    assert whole[: len(first)] == first


def test_a_chain_of_four(veo: Veo, google: veo_sandbox.Sandbox) -> None:
    """Omni: two edits of 8 s and 7 s more; each is charged by usage, and show draws the chain."""
    made = [
        veo("generate", "a lion", "-m", "gemini-omni-1.2-flash", "-o", "lion.mp4", "--json"),
        veo("edit", "lion.mp4", "make it rain", "-o", "rain.mp4", "--json"),
        veo("edit", "rain.mp4", "make it night", "-o", "night.mp4", "--json"),
        veo("extend", "night.mp4", "it roars", "--duration", "7", "-o", "roar.mp4", "--json"),
    ]
    jobs = [ran.objects[0] for ran in made]
    (shown,) = veo("show", jobs[1]["job"], "--json").objects

    lengths = [read_duration_s(Path(job["output"])) for job in jobs]
    assert lengths == pytest.approx([8, 8, 8, 15], abs=0.25)
    assert [link["job"] for link in shown["chain"]] == [job["job"] for job in jobs]
    assert [link["kind"] for link in shown["chain"]] == ["generate", "edit", "edit", "extend"]
    assert all(job["cost"]["charged"] > job["cost"]["quoted"] > 0.4 for job in jobs)
    assert all(job["cost"]["certain"] for job in jobs)
    assert sum(bill["amount"] for bill in google.bills()) == pytest.approx(
        sum(job["cost"]["charged"] for job in jobs)
    )


@pytest.mark.parametrize("fault", ["region_lock", "interaction_400_blocked"])
def test_an_upload_where_uploads_are_closed(
    veo: Veo, google: veo_sandbox.Sandbox, fault: str
) -> None:
    """The refusal, or the missing reason, is told with what is known about it; and its price."""
    Path("clip.mp4").write_bytes(make_video(frames=72))
    google.fault(fault, on="create", first=1)
    ran = veo("edit", "clip.mp4", "make it rain", "-m", "gemini-omni-1.2-flash", "--json")
    (job,) = ran.objects

    assert (ran.code, job["state"]) == (1, "failed")
    assert "Google takes no uploaded videos in the EEA" in ran.err
    assert job["cost"]["charged"] < 0.02
    assert sum(bill["amount"] for bill in google.bills() if bill["state"] == "charged") == (
        pytest.approx(job["cost"]["charged"])
    )
    again = veo("edit", "clip.mp4", "make it rain", "-m", "gemini-omni-1.2-flash", "-o", "a.mp4")
    assert again.code == 0, again.err


def test_the_total_is_shown_first(veo: Veo, lion: str) -> None:
    """The cost of all steps is on stderr before the first job starts."""
    ran = veo("extend", "lion.mp4", "on", "--times", "2")

    position = ran.err.index("8.0 s become 22.0 s in 2 steps, $1.40 in total")
    assert position < ran.err.index("done in")


def test_json_has_one_object_per_step(veo: Veo, lion: str) -> None:
    """Each step is a job on stdout, and the last one's output is the whole video."""
    steps = veo("extend", lion, "on", "--times", "2", "-o", "roar.mp4", "--json").objects

    assert [step["state"] for step in steps] == ["done", "done"]
    assert [Path(step["output"]).name for step in steps] == ["roar.step1.mp4", "roar.mp4"]
    assert [step["cost"]["charged"] for step in steps] == [0.7, 0.7]


def test_a_dry_run_sends_nothing(veo: Veo, lion: str, google: veo_sandbox.Sandbox) -> None:
    """--dry-run prints the plan of all steps, as text and as JSON."""
    shown = veo("extend", lion, "on", "--times", "3", "--dry-run")
    (plan,) = veo("extend", lion, "on", "--times", "3", "--dry-run", "--json").objects

    assert "8.0 s become 29.0 s in 3 steps, $2.10 in total" in shown.out
    assert plan["quote"]["amount"] == "0.70"
    assert plan["extension"] == {
        "job": lion,
        "times": 3,
        "seconds": {"before": 8.0, "after": 29.0},
        "total": "2.10",
    }
    assert len(google.tasks()) == 1


def test_each_problem_is_a_line(veo: Veo, lion: str, google: veo_sandbox.Sandbox) -> None:
    """All reasons why a video cannot be extended are printed; nothing is sent."""
    ran = veo("extend", lion, "on", "--times", "21", "--aspect-ratio", "9:16", "--seed", "1")

    assert ran.code == 2
    assert [line.split(": ")[1] for line in ran.errors] == ["--times", "--aspect-ratio"]
    assert len(google.tasks()) == 1


def test_a_provider_without_extension_names_others(veo: Veo) -> None:
    """A video of LaoZhang cannot be extended; the error names models that take its file."""
    Path("veo.toml").write_text(SANDBOX)
    assert veo("generate", "a lion", "--sandbox", "-o", "lion.mp4").code == 0
    ran = veo("extend", "lion.mp4", "on", "--sandbox")

    assert ran.code == 2
    assert "gemini/gemini-omni-1.2-flash" in ran.err
    Path("lion.mp4").rename("elsewhere.mp4")
    job = veo("jobs", "--json", "--sandbox").objects[0]["job"]
    # Without the file, only what extends its own videos could make another one.
    without_file = veo("extend", job, "on", "--sandbox").err
    assert "others extend only their own" in without_file
    assert "vertex/veo-3.1-fast-generate-001" in without_file


def test_the_limit_counts_all_steps(veo: Veo, lion: str, google: veo_sandbox.Sandbox) -> None:
    """All steps together must not cost more than --max-cost, or nothing is sent."""
    ran = veo("extend", lion, "on", "--times", "2", "--max-cost", "1.39")

    assert ran.code == 4
    assert "$1.40" in ran.err
    assert len(google.tasks()) == 1


def test_after_a_failed_step(veo: Veo, lion: str, google: veo_sandbox.Sandbox) -> None:
    """The steps before it are done, and the printed command continues from them."""
    google.fault("failed", after=1, first=1)
    ran = veo("extend", lion, "on", "--times", "3", "-o", "roar.mp4", "--json")
    done, failed = ran.objects

    assert (ran.code, done["state"], failed["state"]) == (1, "done", "failed")
    assert (
        f"`veo extend {done['job']} PROMPT --times 2 -o roar.mp4` continues from there" in ran.err
    )
    again = veo("extend", done["job"], "on", "--times", "2", "-o", "roar.mp4")
    assert again.code == 0, again.err
    assert read_duration_s(Path("roar.step2.mp4")) == 22.0
    assert read_duration_s(Path("roar.mp4")) == 29.0


@pytest.mark.slow
def test_after_a_timeout(veo: Veo, lion: str, google: veo_sandbox.Sandbox) -> None:
    """The step continues, and the printed command starts the steps after it."""
    google.fault("slow_task", seconds=3, first=1)
    ran = veo("extend", lion, "on", "--times", "2", "--timeout", "0.5", "--json")
    (step,) = ran.objects

    assert ran.code == 6
    assert f"`veo extend {step['job']} PROMPT` continues once that job has its video" in ran.err
    assert veo("resume", step["job"]).code == 0
    assert veo("extend", step["job"], "on").code == 0


def test_detach(veo: Veo, lion: str, google: veo_sandbox.Sandbox) -> None:
    """--detach leaves a single step to `veo resume`, and refuses several."""
    google.change(latency="0.5")
    detached = veo("extend", lion, "on", "--detach")
    refused = veo("extend", lion, "on", "--times", "2", "--detach")

    assert (detached.code, refused.code) == (0, 2)
    assert "--times" in refused.err
    assert veo("resume", detached.out.strip()).code == 0
