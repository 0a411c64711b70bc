"""``veo generate``: one prompt, one video on disk, and its cost."""

import io
import json
from pathlib import Path

import pytest
from cli_runner import Veo

import veo_sandbox
from veo.files.mp4 import find_defect

pytest_plugins = ("veo_fixtures",)


def test_the_path_is_the_result(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Stdout is the path of a complete MP4 and nothing else; the cost is on stderr."""
    ran = veo("generate", "a lion", "-o", "lion.mp4")

    assert ran.code == 0, ran.err
    assert ran.out == f"{Path('lion.mp4').absolute()}\n"
    with Path("lion.mp4").open("rb") as file:
        assert find_defect(file) is None
    assert "charged $0.15" in ran.err
    assert [bill["state"] for bill in service.bills()] == ["charged"]


def test_json_is_one_object(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --json, stdout is one object per job, the same as in the sidecar."""
    ran = veo("generate", "a lion", "-o", "lion.mp4", "--json")

    (job,) = ran.objects
    beside = json.loads(Path("lion.mp4.json").read_text())
    assert job["state"] == "done"
    assert job["task_id"] == service.tasks()[0]["task"]
    assert job["cost"] == {"quoted": 0.15, "charged": 0.15, "currency": "USD", "certain": True}
    assert job.items() <= beside.items()


def test_quiet_prints_no_messages(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --quiet, stderr is empty after a success."""
    ran = veo("generate", "a lion", "--quiet")

    assert (ran.code, ran.err) == (0, "")
    assert Path(ran.out.strip()).is_file()


def test_the_name_comes_from_prompt_and_job(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Without -o, the file is named after the prompt and the job."""
    ran = veo("generate", "A lion, roaring!", "--json")

    (job,) = ran.objects
    assert Path(job["output"]).name == f"a-lion-roaring-{job['job']}.mp4"


@pytest.mark.usefixtures("in_steps")
def test_a_log_contains_the_steps(veo: Veo) -> None:
    """If stderr is not a terminal, changes are plain lines without escape sequences."""
    ran = veo("generate", "a lion")

    lines = ran.err.splitlines()
    assert any(line.split()[1:2] == ["running"] for line in lines), ran.err
    assert "\x1b" not in ran.err


def test_a_prompt_from_stdin(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt ``-`` is read from stdin."""
    monkeypatch.setattr("sys.stdin", io.StringIO("a tiger\n"))
    veo("generate", "-")

    assert service.tasks()[0]["request"]["prompt"] == "a tiger"


def test_a_dry_run_sends_nothing(veo: Veo, tmp_path: Path) -> None:
    """--dry-run needs no key, prints model and price, and plans no job."""
    ran = veo("generate", "a lion", "--dry-run", "--aspect-ratio", "16:9")
    jobs = veo("jobs", "--json")

    url = "https://example.com/a.png"
    framed = veo("generate", "a lion", "--dry-run", "--start-frame", url)

    assert ran.code == 0
    assert "gemini-omni-1.2-flash" in ran.out
    assert "$0.30 on success" in ran.out
    assert f"start frame   {url}" in framed.out
    assert jobs.out == ""


def test_a_dry_run_in_json(veo: Veo) -> None:
    """--dry-run --json is one object with the request and the quote."""
    (plan,) = veo("generate", "a lion", "--dry-run", "--json").objects

    assert plan["job"] is None
    assert plan["request"] == {"prompt": "a lion", "model": "gemini-omni-1.2-flash"}
    assert plan["quote"]["amount"] == "0.30"


def test_a_detached_job_is_resumed(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--detach prints the job once it is accepted; `veo resume` downloads the video."""
    service.change(latency="0.5")
    left = veo("generate", "a lion", "--detach", "-o", "lion.mp4")
    job = left.out.strip()
    shown = veo("show", job, "--json").objects[0]

    assert left.code == 0
    assert shown["state"] in {"submitted", "running"}
    assert shown["task_id"]
    assert not Path("lion.mp4").exists()

    resumed = veo("resume", job)
    assert (resumed.code, resumed.out) == (0, f"{Path('lion.mp4').absolute()}\n")
    assert len(service.bills()) == 1


def test_a_stream_cannot_be_detached_from(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--detach fails for a provider that makes the video in the request; it names the others."""
    ran = veo("generate", "a lion", "-p", "laozhang-sync", "--detach")

    assert ran.code == 2
    assert "laozhang-async" in ran.err


def test_sandbox_needs_nothing(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """--sandbox makes a video without a key or server, in a ledger of its own."""
    monkeypatch.setenv("VEO_SANDBOX", "1")
    Path("veo.toml").write_text('[sandbox]\nlatency = "0.1"\nclip = "tiny"\n')
    ran = veo("generate", "a lion", "-o", "lion.mp4")
    played = veo("jobs", "--json")
    monkeypatch.delenv("VEO_SANDBOX")

    assert ran.code == 0, ran.err
    assert "play money" in ran.err
    assert [job["state"] for job in played.objects] == ["done"]
    assert veo("jobs", "--json").out == ""


def test_a_video_outlives_its_sandbox(veo: Veo) -> None:
    """A later --sandbox command finds the task that an earlier one started."""
    Path("veo.toml").write_text('[sandbox]\nlatency = "0.3"\nclip = "tiny"\n')
    job = veo("generate", "a lion", "--sandbox", "--detach").out.strip()
    resumed = veo("resume", "--sandbox", "--json")

    assert [(done["job"], done["state"]) for done in resumed.objects] == [(job, "done")]
