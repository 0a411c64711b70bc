"""The command as a process: cold start, Ctrl-C, pipes, a terminal, shell completion."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runner import Veo, run_process, start_process
from terminal import run_on_terminal, visible_lines

import veo_sandbox
from veo.ledger import Ledger, Record
from veo.paths import ledger_folder

pytest_plugins = ("veo_fixtures",)

HEAVY = ("requests", "sqlalchemy", "google.genai", "PIL", "av", "rich", "uvicorn", "veo.model")


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


def jobs() -> list[Record]:
    """The jobs of the test's ledger."""
    if not (ledger_folder() / "ledger.db").exists():
        return []
    ledger = Ledger(ledger_folder())
    found = ledger.list_jobs()
    ledger.close()
    return found


@pytest.mark.parametrize("args", [["--help"], ["generate", "--help"], ["--version"]])
def test_help_is_cheap(args: list[str]) -> None:
    """Help and version import no HTTP library, no SDK, no database, no terminal library."""
    look = (
        "import sys; from veo_commands.entry_point import run; run(sys.argv[1:]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", look, *args], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "[]"


def test_help_documents_the_exit_codes() -> None:
    """`veo --help` names every exit code."""
    ran = run_process("--help")

    assert ran.code == 0
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 130):
        assert f"\n    {code:<4} " in ran.out


def test_without_a_verb() -> None:
    """`veo` alone is a mistake in usage that is answered with the help."""
    ran = run_process()

    assert (ran.code, ran.out) == (2, "")
    assert "generate" in ran.err


def test_ctrl_c_leaves_a_resumable_job(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Ctrl-C ends with 130, names the job and how to resume it; it is not paid again."""
    service.change(latency="3")
    with start_process("generate", "a lion", "-o", "lion.mp4", "--json") as running:
        until(lambda: [job for job in jobs() if job.task_id])
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    (job,) = jobs()

    assert running.returncode == 130
    assert f"`veo resume {job.id}`" in err
    assert json.loads(out)["state"] in {"submitted", "running"}
    assert "Traceback" not in err
    assert job.owner is None
    assert veo("resume", job.id).code == 0
    assert len(service.bills()) == 1


def test_ctrl_c_waits_for_a_payment(service: veo_sandbox.Sandbox) -> None:
    """Ctrl-C within a paid request waits for its answer, so that the task is known."""
    service.change(latency="30", delay=1.5)
    with start_process("generate", "a lion") as running:
        until(lambda: [job for job in jobs() if job.state == "submitting"])
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    (job,) = jobs()

    assert running.returncode == 130
    assert "waiting for the response to 1 paid request" in err
    assert job.state == "submitted"
    assert [job.task_id] == [task["task"] for task in service.tasks()]


def test_ctrl_c_waits_for_a_stream(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A route that makes the video within the paid call is heard out, and nothing is lost."""
    service.change(latency="2")
    with start_process("generate", "a lion", "-p", "laozhang-sync") as running:
        until(lambda: [job for job in jobs() if job.state == "running"])
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    (job,) = jobs()

    assert running.returncode == 130
    assert "waiting for the response to 1 paid request" in err
    assert job.state == "ready"
    assert veo("resume", job.id).code == 0
    assert len(service.bills()) == 1


def test_a_second_ctrl_c_leaves_at_once(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A second Ctrl-C does not wait; the job's outcome is unknown then, and never guessed."""
    service.change(latency="30", delay=20)
    with start_process("generate", "a lion") as running:
        until(lambda: [job for job in jobs() if job.state == "submitting"])
        running.send_signal(signal.SIGINT)
        told = ""
        while "waiting for the response" not in told:
            told += running.stderr.readline() if running.stderr else ""
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=10)
    (job,) = jobs()

    assert running.returncode == 130
    assert f"`veo resume {job.id}`" in err
    assert "Traceback" not in err
    assert veo("resume", job.id).code == 5


def test_an_end_from_outside_is_gentle(service: veo_sandbox.Sandbox) -> None:
    """SIGTERM ends like Ctrl-C: the lease is given up, the job can be resumed."""
    service.change(latency="30")
    with start_process("generate", "a lion") as running:
        until(lambda: [job for job in jobs() if job.task_id])
        running.terminate()
        running.communicate(timeout=30)
    (job,) = jobs()

    assert running.returncode == 130
    assert job.owner is None


def test_nobody_reads(service: veo_sandbox.Sandbox) -> None:
    """A reader that goes away is no error worth a word."""
    with start_process("models") as running:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        err = running.stderr.read()

    assert err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_stdout_on_a_full_disk() -> None:
    """Results that cannot be written are one clear error."""
    with Path("/dev/full").open("w") as full, start_process("models", stdout=full) as running:
        _, err = running.communicate(timeout=30)

    assert running.returncode == 2
    assert err == "error: cannot write the output: No space left on device\n"


def test_messages_that_nobody_reads_stop_nothing(service: veo_sandbox.Sandbox) -> None:
    """A video is finished although nobody reads the progress any more."""
    service.change(latency="0.5")
    with start_process("generate", "a lion", "-o", "lion.mp4") as running:
        assert running.stderr
        running.stderr.close()
        assert running.stdout
        out = running.stdout.read()

    assert running.returncode == 0
    assert out == f"{Path('lion.mp4').absolute()}\n"


@pytest.mark.usefixtures("in_steps")
def test_a_terminal_shows_progress() -> None:
    """On a terminal: state, percent, time and cost, painted in place; the cursor comes back."""
    code, painted = run_on_terminal("generate", "a [red]lion", "-o", "lion.mp4")

    assert code == 0
    assert "running" in painted
    assert "%" in painted
    assert "quoted $0.15" in painted
    assert "a [red]lion" in painted
    assert painted.rindex("\x1b[?25h") > painted.rindex("\x1b[?25l")
    assert painted.rstrip().splitlines()[-2].endswith("lion.mp4")
    assert "charged $0.15" in painted.splitlines()[-1]


def test_many_on_a_terminal(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Several jobs on a terminal: one line sums them up, and in the end every result is there."""
    service.change(latency="uniform:0.5,2")
    for number in range(3):
        veo("generate", f"lion {number}", "--detach")
    code, painted = run_on_terminal("resume")

    assert code == 0
    assert "/3" in painted
    left = visible_lines(painted)
    assert sorted(left[0::2]) == sorted(str(path.absolute()) for path in Path().glob("*.mp4"))
    assert ["charged $0.15" in line for line in left[1::2]] == [True] * 3


@pytest.mark.parametrize(
    ("words", "cword", "expected"),
    [
        ("veo gen", "1", ["generate"]),
        ("veo generate -p lao", "3", ["laozhang-async", "laozhang-sync"]),
        ("veo jobs --state un", "3", ["unknown"]),
    ],
)
def test_the_shell_completes(words: str, cword: str, expected: list[str]) -> None:
    """The shell completes verbs, options' values, names of providers."""
    env = {"_VEO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": cword}
    ran = run_process(env=env)

    assert ran.out.split() == expected


def test_completion_can_be_shown() -> None:
    """--show-completion prints a script that asks `veo` itself."""
    ran = run_process("--show-completion", "bash")

    assert ran.code == 0
    assert "_VEO_COMPLETE=complete_bash" in ran.out


def test_a_sandbox_serves(tmp_path: Path) -> None:
    """`veo sandbox` says where it listens once it does, and ends gently."""
    import requests

    with start_process(
        "sandbox", "--home", tmp_path, "--clip", "tiny", "--latency", "0"
    ) as running:
        assert running.stdout
        said = running.stdout.readline()
        url = said.removeprefix("listening on ").strip()
        bills = requests.get(f"{url}/sandbox/bills", timeout=10).json()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=10)

    assert url.startswith("http://127.0.0.1:")
    assert bills == []
    assert (running.returncode, err) == (0, "")
