"""Every error that a user can make: one clear line, what to do next, the documented exit code."""

import errno
import re
from pathlib import Path

import pytest
from cli_runner import CommandResult, Veo
from PIL import Image

import veo_sandbox

pytest_plugins = ("veo_fixtures",)


def says(ran: CommandResult, code: int, *words: str) -> None:
    """An exit code, one error line that holds the words, a hint below it or none, no traceback."""
    assert ran.code == code, ran.err
    assert len(ran.errors) == 1, ran.err
    for word in words:
        assert word in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_no_key(veo: Veo) -> None:
    """Without a key: which variable, where a key comes from, and that the sandbox needs none."""
    says(veo("generate", "a lion"), 3, "VEO_API_KEY is not set", "laozhang.ai", "--sandbox")


def test_a_wrong_key(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that the service refuses is an error of the setup; the key is not printed."""
    monkeypatch.setenv("VEO_API_KEY", "another-key")
    ran = veo("generate", "a lion")

    says(ran, 3, "the provider rejected the key", "not charged")
    assert "another-key" not in ran.err + ran.out


def test_an_empty_balance(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An account without money is an error of the setup; nothing was charged."""
    service.change(balance=0)

    says(veo("generate", "a lion"), 3, "the balance is too low", "not charged")


def test_an_unknown_provider(veo: Veo) -> None:
    """A provider that is not there: those that are."""
    says(veo("generate", "a lion", "-p", "laozang"), 2, "'laozang'", "laozhang-async", "vertex")


def test_an_unknown_model(veo: Veo) -> None:
    """A model with its words in the wrong order: the one that was meant."""
    ran = veo("generate", "a lion", "-m", "veo-3.1-fl-fast")

    says(ran, 2, "'veo-3.1-fl-fast'", "Did you mean veo-3.1-fast-fl?")


def test_all_problems_at_once(veo: Veo) -> None:
    """Each problem of a request is a line of its own, with what is allowed and who can do it."""
    ran = veo("generate", "a lion", "-m", "veo-3.1-fast", "--duration", "5", "--seed", "1")

    assert ran.code == 2
    assert [line.split(":")[1] for line in ran.errors] == [" --duration", " --seed"]
    assert "Allowed: 8" in ran.err
    assert "gemini/" in ran.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--duration", "long"),
        ("--seed", "x"),
        ("--timeout", "0"),
        ("--timeout", "soon"),
        ("--max-cost", "much"),
        ("--max-cost", "-1"),
        ("--no-such", "option"),
    ],
)
def test_a_bad_option(veo: Veo, option: str, value: str) -> None:
    """A value that its option cannot take: the option, and where help is."""
    says(veo("generate", "a lion", option, value), 2, option, "`veo generate --help`")


def test_an_unknown_verb(veo: Veo) -> None:
    """A verb that is not there: the one that was meant."""
    says(veo("generat", "a lion"), 2, "'generate'", "`veo --help`")


def test_no_prompt(veo: Veo) -> None:
    """A prompt is needed, and not an empty one."""
    says(veo("generate"), 2, "PROMPT")
    says(veo("generate", "  "), 2, "prompt")


def test_an_existing_output(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A file that is there already stays as it is, unless forced."""
    Path("lion.mp4").write_text("mine")

    says(veo("generate", "a lion", "-o", "lion.mp4"), 2, "lion.mp4", "--force")
    assert Path("lion.mp4").read_text() == "mine"
    assert service.tasks() == []
    assert veo("generate", "a lion", "-o", "lion.mp4", "--force").code == 0
    assert Path("lion.mp4").stat().st_size > 1000


def test_an_unwritable_output(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A place that cannot be written is refused before anything is sent."""
    Path("file").touch()

    says(veo("generate", "a lion", "-o", "file/lion.mp4"), 2, "cannot write")
    says(veo("generate", "a lion", "-o", "."), 2, "is a folder")
    assert service.tasks() == []


def test_a_full_disk(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up costs no video: the job waits, and `veo resume` has it."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("veo.files.output.os.fsync", full)
        ran = veo("generate", "a lion", "-o", "lion.mp4")

    says(ran, 7, "No space left on device", "`veo resume ")
    assert not Path("lion.mp4").exists()
    assert veo("resume").code == 0
    assert Path("lion.mp4").is_file()
    assert len(service.bills()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("provider = ", ("veo.toml", "TOML")),
        ("providr = 'gemini'", ("veo.toml", "providr", "no such setting")),
        ("timeout = 'soon'", ("veo.toml", "timeout")),
        ("max_cost = -1", ("veo.toml", "max_cost")),
        ("[providers.gemini]\napi_key = 'x'", ("veo.toml", "api_key_env")),
        ("[providers.laozhang-async]\nbase = 'x'", ("laozhang-async.base", "no such setting")),
    ],
)
def test_a_broken_configuration(
    veo: Veo, monkeypatch: pytest.MonkeyPatch, text: str, words: tuple[str, ...]
) -> None:
    """A broken file: which file, which setting, what is wrong."""
    monkeypatch.setenv("VEO_API_KEY", "sandbox-key")
    Path("veo.toml").write_text(text)

    says(veo("generate", "a lion"), 3, *words)


def test_a_missing_configuration(veo: Veo) -> None:
    """A file named with --config has to be there."""
    says(veo("jobs", "--config", "mine.toml"), 3, "mine.toml: no such configuration file")


def test_a_missing_frame(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A frame that is not there is named, before anything is sent."""
    says(veo("generate", "a lion", "--start-frame", "a.png"), 2, "a.png: no such file")
    says(veo("generate", "a lion", "--start-frame", "a.png", "--dry-run"), 2, "a.png")
    assert service.tasks() == []


def test_a_broken_frame(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Frames that are truncated, of a kind that nobody takes, or no pictures: named, not sent."""
    Image.effect_noise((64, 64), 50).save("whole.png")
    Path("half.png").write_bytes(Path("whole.png").read_bytes()[:900])
    Image.new("RGB", (8, 8)).save("moving.gif")
    Path("text.jpg").write_text("no picture")

    says(veo("generate", "a lion", "--start-frame", "half.png"), 2, "half.png", "truncated")
    says(veo("generate", "a lion", "--start-frame", "moving.gif"), 2, "moving.gif is a GIF")
    says(veo("generate", "a lion", "--start-frame", "text.jpg"), 2, "text.jpg is not an image")
    assert service.tasks() == []


def test_over_the_cap(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A quote over the cap is refused, with what would be needed."""
    ran = veo("generate", "a lion", "--max-cost", "$0.10")

    says(
        ran,
        4,
        "$0.15 does not fit under max_cost of $0.10",
        "--max-cost sets another limit",
        "at least $0.15",
    )
    assert service.tasks() == []


def test_a_cap_of_nothing(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--max-cost 0 is a cap like any other: no request that costs money is sent."""
    ran = veo("generate", "a lion", "--max-cost", "0")

    says(ran, 4, "$0.15", "of $0.00")
    assert service.tasks() == []


def test_a_failed_generation(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A provider that could not make it: exit code 1, and that nothing was charged."""
    service.change(fail_rate=1.0)
    ran = veo("generate", "a lion")

    says(ran, 1, "the provider failed to make the video", "not charged")


def test_an_unknown_outcome(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A paid request without an answer: exit code 5, that it may be paid, and both ways out."""
    service.fault("drop_answer", on="create")
    ran = veo("generate", "a lion")

    says(ran, 5, "may have been accepted and paid for", "--task-id", "--resubmit")
    assert len(service.tasks()) == 1


def test_a_deadline(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A deadline ends the waiting, not the job: exit code 6, and how to wait on."""
    service.change(latency="2")
    ran = veo("generate", "a lion", "--timeout", "0.3")

    says(ran, 6, "`veo resume ")
    job = re.findall(r"`veo resume (\w+)`", ran.err)[0]
    assert veo("resume", job).code == 0
    assert len(service.bills()) == 1


def test_an_error_in_json(veo: Veo) -> None:
    """With --json an error before there is a job is one object; the words stay on stderr."""
    for args in (("generate", "a lion"), ("generate", "a lion", "--duration", "x")):
        ran = veo(*args, "--json")
        (body,) = ran.objects

        assert body["job"] is None
        assert body["error"]["message"] in ran.err
        assert set(body["error"]) == {"type", "message", "retryable", "charged", "request_id"}


def test_a_failure_in_json(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --json a job that is given up for now says why, although it goes on."""
    service.change(latency="5")
    ran = veo("generate", "a lion", "--timeout", "0.2", "--json")
    (body,) = ran.objects

    assert ran.code == 6
    assert body["state"] in {"submitted", "running"}
    assert body["error"]["type"] == "StillRunningError"


def test_a_bug_is_called_one(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even what nobody expected is one line; --debug shows where it happened."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("veo.planning.plan.make_plan", broken)

    says(veo("generate", "a lion"), 1, "a bug", "RuntimeError: out of order", "--debug")
    assert "Traceback" in veo("generate", "a lion", "--debug").err


def test_unreadable_ledger(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that cannot be used: where it is, and how to have another."""
    Path("file").touch()
    monkeypatch.setenv("VEO_HOME", "file/home")

    says(veo("jobs"), 3, "file/home", "VEO_HOME")


def test_a_damaged_ledger(veo: Veo, isolated: Path) -> None:
    """A ledger that is no database is said to be damaged, and left alone."""
    (isolated / "home" / "ledger.db").write_bytes(b"not a database" * 100)

    says(veo("jobs"), 3, "damaged")


def test_an_unknown_job(veo: Veo) -> None:
    """A job that is not there, and a state that is none."""
    says(veo("show", "nope"), 2, "no job 'nope'", "`veo jobs`")
    says(veo("resume", "nope"), 2, "no job 'nope'")
    says(veo("jobs", "--state", "lost"), 2, "'lost'", "unknown")


def test_hints_lead_to_the_same_ledger(veo: Veo) -> None:
    """In the sandbox every command that a hint names is one for the sandbox."""
    says(veo("show", "nope", "--sandbox"), 2, "`veo jobs --sandbox`")
