"""User errors: one clear line, what to do next, and the documented exit code."""

import errno
import re
import socket
from pathlib import Path

import pytest
from cli_runner import CommandResult, Veo
from PIL import Image

import veo_sandbox
from veo.errors import PUBLIC_KEYS
from veo.key import Key

pytest_plugins = ("veo_fixtures",)


def assert_error(ran: CommandResult, code: int, *words: str) -> None:
    """Check the exit code, for one error line, the words on stderr, and no traceback."""
    assert ran.code == code, ran.err
    assert len(ran.errors) == 1, ran.err
    for word in words:
        assert word in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_no_key(veo: Veo) -> None:
    """A missing key: which variable, where to get a key, and that the sandbox needs none."""
    assert_error(veo("generate", "a lion"), 3, "VEO_API_KEY is not set", "laozhang.ai", "--sandbox")


def test_a_wrong_key(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rejected key is a setup error; the key is not printed."""
    monkeypatch.setenv("VEO_API_KEY", "another-key")
    ran = veo("generate", "a lion")

    assert_error(ran, 3, "the provider rejected the key", "not charged")
    assert "another-key" not in ran.err + ran.out


def test_an_empty_balance(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A low balance is a setup error; nothing is charged."""
    service.change(balance=0)

    assert_error(veo("generate", "a lion"), 3, "the balance is too low", "not charged")


def test_an_unknown_provider(veo: Veo) -> None:
    """An unknown provider: the message lists the installed ones."""
    ran = veo("generate", "a lion", "-p", "laozang")

    assert_error(ran, 2, "'laozang'", "laozhang-async", "vertex")


def test_an_unknown_model(veo: Veo) -> None:
    """A model with its words in the wrong order: the message suggests the right one."""
    ran = veo("generate", "a lion", "-m", "veo-3.1-fl-fast")

    assert_error(ran, 2, "'veo-3.1-fl-fast'", "Did you mean veo-3.1-fast-fl?")


def test_all_problems_at_once(veo: Veo) -> None:
    """Each problem of a request has its own line, with allowed values and other providers."""
    ran = veo("generate", "a lion", "-m", "veo-3.1-fast", "--duration", "5", "--seed", "1")

    assert ran.code == 2
    assert [line.split(":")[1] for line in ran.errors] == [" --duration", " --seed"]
    assert "Allowed: 8" in ran.err
    assert "laozhang-async/gemini-omni-1.2-flash" in ran.err
    assert "vertex/" in ran.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--duration", "long"),
        ("--duration", "8.5"),
        ("--seed", "x"),
        ("--timeout", "0"),
        ("--timeout", "soon"),
        ("--max-cost", "much"),
        ("--max-cost", "-1"),
        ("--no-such", "option"),
    ],
)
def test_a_bad_option(veo: Veo, option: str, value: str) -> None:
    """An invalid value: the message names the option and the help page."""
    assert_error(veo("generate", "a lion", option, value), 2, option, "`veo generate --help`")


def test_an_unknown_command(veo: Veo) -> None:
    """An unknown command: the message suggests a similar one."""
    assert_error(veo("generat", "a lion"), 2, "'generate'", "`veo --help`")


@pytest.mark.parametrize(
    ("alias", "page"),
    [
        ("ls --help", "Usage: veo jobs"),
        ("list --help", "Usage: veo jobs"),
        ("status --help", "Usage: veo jobs"),
        ("help cost", "Usage: veo cost"),
        ("help", "Usage: veo [OPTIONS] COMMAND"),
        ("-V", "veo 0."),
    ],
)
def test_other_names_of_commands(veo: Veo, alias: str, page: str) -> None:
    """Names that people try first lead to the command."""
    ran = veo(*alias.split())

    assert ran.out.startswith(page)
    assert ran.code == 0


def test_the_status_of_a_job(veo: Veo) -> None:
    """`veo status JOB` shows the job."""
    assert_error(veo("status", "nope"), 2, "no job 'nope'")


def test_a_prompt_without_quotation_marks(veo: Veo) -> None:
    """A prompt that the shell has split: the message says so, and shows it in one piece."""
    ran = veo("generate", "a", "lion", "wakes", "-o", "lion.mp4")

    assert_error(ran, 2, "no quotes around it", '"a lion wakes"')


def test_a_port_in_use(veo: Veo) -> None:
    """A port in use: a message in words, and how to choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert_error(veo("sandbox", "--port", port), 2, f"port {port} is in use", "--port 0")


def test_no_prompt(veo: Veo) -> None:
    """A prompt is required, and must not be empty."""
    assert_error(veo("generate"), 2, "PROMPT")
    assert_error(veo("generate", "  "), 2, "prompt")


def test_an_existing_output(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An existing file is overwritten only with --force."""
    Path("lion.mp4").write_text("mine")

    assert_error(veo("generate", "a lion", "-o", "lion.mp4"), 2, "lion.mp4", "--force")
    assert Path("lion.mp4").read_text() == "mine"
    assert service.tasks() == []
    assert veo("generate", "a lion", "-o", "lion.mp4", "--force").code == 0
    assert Path("lion.mp4").stat().st_size > 1000


def test_an_unwritable_output(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An output that cannot be written is an error before anything is sent."""
    Path("file").touch()

    assert_error(veo("generate", "a lion", "-o", "file/lion.mp4"), 2, "cannot write")
    assert_error(veo("generate", "a lion", "-o", "file/"), 2, "cannot write")
    assert service.tasks() == []


def test_a_full_disk(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk loses no video: `veo resume` downloads it later."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("veo.files.output.os.fsync", full)
        ran = veo("generate", "a lion", "-o", "lion.mp4")

    assert_error(ran, 7, "No space left on device", "`veo resume ")
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
    """An invalid file: the message names the file, the setting and the problem."""
    monkeypatch.setenv("VEO_API_KEY", "sandbox-key")
    Path("veo.toml").write_text(text)

    assert_error(veo("generate", "a lion"), 3, *words)


def test_a_missing_configuration(veo: Veo) -> None:
    """A file named with --config must exist."""
    assert_error(veo("jobs", "--config", "mine.toml"), 3, "mine.toml: no such configuration file")


def test_a_missing_frame(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A missing frame is an error before anything is sent."""
    assert_error(veo("generate", "a lion", "--start-frame", "a.png"), 2, "a.png: no such file")
    assert_error(veo("generate", "a lion", "--start-frame", "a.png", "--dry-run"), 2, "a.png")
    assert service.tasks() == []


def test_a_broken_frame(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Frames that are truncated, of an unsupported type, or not images are not sent."""
    Image.effect_noise((64, 64), 50).save("whole.png")
    Path("half.png").write_bytes(Path("whole.png").read_bytes()[:900])
    Image.new("RGB", (8, 8)).save("moving.gif")
    Path("text.jpg").write_text("no picture")

    def run_with(frame: str) -> CommandResult:
        return veo("generate", "a lion", "--start-frame", frame)

    assert_error(run_with("half.png"), 2, "half.png", "truncated")
    assert_error(run_with("moving.gif"), 2, "moving.gif is a GIF")
    assert_error(run_with("text.jpg"), 2, "text.jpg is not an image")
    assert service.tasks() == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [("--ratio", "--aspect-ratio"), ("--neg", "--negative-prompt"), ("--duratoin", "--duration")],
)
def test_an_unknown_option_names_the_nearest(veo: Veo, written: str, meant: str) -> None:
    """By a word of its name, by its beginning, by similar letters."""
    assert_error(veo("generate", "a lion", written, "x"), 2, f"(Possible options: {meant})")


def test_a_number_out_of_range(veo: Veo) -> None:
    """The limit is told in the words of every other error."""
    assert_error(veo("generate", "a lion", "--takes", 0), 2, "must be greater than or equal to 1")


def test_an_empty_value_is_named(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """An empty text is no value of any option that has a list of them."""
    assert_error(veo("generate", "a lion", "--aspect-ratio", ""), 2, "must not be empty")


def test_a_file_that_does_not_exist_is_no_job(veo: Veo) -> None:
    """A name with a suffix is that of a file, for every command that takes either."""
    for command in (("show",), ("resume",), ("extend", "x"), ("edit", "x")):
        assert_error(veo(command[0], "nope.mp4", *command[1:]), 2, "nope.mp4: no such file")


def test_a_named_provider_is_not_replaced(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A model of other providers is refused where `-p` names one without it; nothing is sent."""
    model = "gemini-omni-1.2-flash"
    for name in (model, f"gemini/{model}"):
        ran = veo("generate", "a lion", "-p", "laozhang-sync", "-m", name)
        assert_error(ran, 2, f"there is no model '{model}'", "It belongs to gemini")
    assert service.tasks() == []


def test_over_the_cap(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A quote over the limit is an error that says which limit would be enough."""
    ran = veo("generate", "a lion", "--max-cost", "$0.10")

    assert_error(
        ran,
        4,
        "$0.15 does not fit under max_cost of $0.10",
        "--max-cost sets max_cost for this command",
        "at least $0.15",
    )
    assert service.tasks() == []


def test_a_cap_of_nothing(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--max-cost 0 is a limit like any other: no request that costs money is sent."""
    ran = veo("generate", "a lion", "--max-cost", "0")

    assert_error(ran, 4, "$0.15", "of $0.00")
    assert service.tasks() == []


def test_a_failed_generation(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A failed generation: exit code 1, and the message says that nothing was charged."""
    service.change(fail_rate=1.0)
    ran = veo("generate", "a lion")

    assert_error(ran, 1, "the provider failed to make the video", "not charged")


def test_an_unknown_outcome(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A paid request without a response: exit code 5, the doubt about money, and both remedies."""
    service.fault("drop_answer", on="create")
    ran = veo("generate", "a lion")

    assert_error(ran, 5, "may have been accepted and paid for", "--task-id", "--resubmit")
    assert len(service.tasks()) == 1


def test_a_deadline(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A deadline ends the waiting, not the job: exit code 6, and how to continue."""
    service.change(latency="2")
    ran = veo("generate", "a lion", "--timeout", "0.3")

    assert_error(ran, 6, "`veo resume ")
    job = re.findall(r"`veo resume (\w+)`", ran.err)[0]
    assert veo("resume", job).code == 0
    assert len(service.bills()) == 1


def test_an_error_in_json(veo: Veo) -> None:
    """With --json, an error without a job is one object; the text is on stderr."""
    for args in (("generate", "a lion"), ("generate", "a lion", "--duration", "x")):
        ran = veo(*args, "--json")
        (body,) = ran.objects

        assert body["job"] is None
        assert body["error"]["message"] in ran.err
        assert set(body["error"]) == set(PUBLIC_KEYS)


def test_a_failure_in_json(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """With --json, a job that was not waited for says why, although it continues."""
    service.change(latency="5")
    ran = veo("generate", "a lion", "--timeout", "0.2", "--json")
    (body,) = ran.objects

    assert ran.code == 6
    assert body["state"] in {"submitted", "running"}
    assert body["error"]["type"] == "StillRunningError"


def test_a_bug_is_reported_as_one(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is one line; --debug prints the traceback, without any key."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"out of order {key}")

    key = Key("key-of-a-bug-with-an-odd-text").reveal()
    monkeypatch.setattr("veo.planning.plan.Planner.plan", broken)

    assert_error(veo("generate", "a lion"), 1, "a bug", "RuntimeError: out of order", "--debug")
    shown = veo("generate", "a lion", "--debug").err
    assert ("Traceback" in shown, "[key]" in shown, key in shown) == (True, True, False)


def test_unreadable_ledger(veo: Veo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that cannot be used: where it is, and how to use another."""
    Path("file").touch()
    monkeypatch.setenv("VEO_HOME", "file/home")

    assert_error(veo("jobs"), 3, "file/home", "VEO_HOME")


def test_a_damaged_ledger(veo: Veo, isolated: Path) -> None:
    """A ledger that is not a database is reported as damaged, and not changed."""
    (isolated / "home" / "ledger.db").write_bytes(b"not a database" * 100)

    assert_error(veo("jobs"), 3, "damaged")


def test_an_unknown_job(veo: Veo) -> None:
    """A job that does not exist, and a name that is not a state."""
    assert_error(veo("show", "nope"), 2, "no job 'nope'", "`veo jobs`")
    assert_error(veo("resume", "nope"), 2, "no job 'nope'")
    assert_error(veo("jobs", "--state", "lost"), 2, "'lost'", "unknown")


def test_hints_lead_to_the_same_ledger(veo: Veo) -> None:
    """With --sandbox, the commands in hints have --sandbox, too."""
    assert_error(veo("show", "nope", "--sandbox"), 2, "`veo jobs --sandbox`")


def test_an_error_of_the_parser_names_the_command(veo: Veo) -> None:
    """An option without its argument leads to the help page of the command, not of `veo`."""
    assert_error(veo("cost", "--reconcile"), 2, "requires an argument", "veo cost --help")
