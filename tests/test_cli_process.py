"""Commands as processes: imports, Ctrl-C, pipes, a terminal, shell completion."""

import json
import os
import shlex
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
from batch_inputs import wait_until
from cli_runner import Veo, fork_command, read_until, run_forked, start_process
from terminal import run_on_terminal, visible_lines

import veo_sandbox
from veo.ledger import Ledger, Record
from veo.paths import ledger_folder
from veo_commands.app import COMMANDS

pytest_plugins = ("veo_fixtures",)
pytestmark = pytest.mark.slow

HEAVY = (
    "pydantic",
    "requests",
    "sqlalchemy",
    "google.genai",
    "PIL",
    "av",
    "rich",
    "uvicorn",
    "veo.model",
)


def list_jobs() -> list[Record]:
    """Return the jobs in the ledger of the test."""
    if not (ledger_folder() / "ledger.db").exists():
        return []
    ledger = Ledger(ledger_folder())
    found = ledger.list_jobs()
    ledger.close()
    return found


def list_imports(*commands: str) -> list[set[str]]:
    """Run commands one after the other in a new interpreter; return its modules after each."""
    program = (
        "import json, sys; from veo_commands.entry_point import run\n"
        f"for command in {commands!r}: run(command.split()); print(json.dumps([*sys.modules]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return [set(json.loads(line)) for line in ran.stdout.splitlines() if line.startswith('["')]


def test_help_is_cheap() -> None:
    """Help and version import nothing heavy, and no command except the one that is called."""
    commands = {f"veo_commands.commands.{name}" for name in COMMANDS}
    version, overview, page = list_imports("--version", "--help", "generate --help")

    assert version & commands == overview & commands == set()
    assert page & commands == {"veo_commands.commands.generate"}
    assert page.intersection(HEAVY) == set()


def test_what_lists_import() -> None:
    """`veo jobs` imports no SQLAlchemy, no HTTP library and no provider, once a ledger exists.

    Facts that ship with a package need no code of it, and no validation.
    """
    Ledger(ledger_folder()).close()
    jobs, _, facts = list_imports("jobs", "models --quiet", "providers --quiet")
    heavy = {"sqlalchemy", "requests", "asyncio", "veo_laozhang", "veo_gemini", "veo.engine"}
    validation = {"pydantic", "rich.console", "sqlalchemy", "veo_gemini", "veo_laozhang"}

    assert (jobs & heavy, facts & validation) == (set(), set())


def test_what_a_connected_provider_has_imported() -> None:
    """All that its threads would import at the same time and fail; not the library of the polls."""
    program = (
        "import sys, veo; veo.Client(api_key='k', provider='gemini').connect('gemini');"
        "print(*(name in sys.modules for name in ('veo.http', 'requests.sessions', 'aiohttp')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout == "True True False\n"


def test_help_documents_the_exit_codes(veo: Veo) -> None:
    """`veo --help` lists every exit code."""
    ran = veo("--help")

    assert ran.code == 0
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 130):
        assert f"\n    {code:<4} " in ran.out


def test_without_a_command(veo: Veo) -> None:
    """`veo` alone is a usage error that prints the help."""
    ran = veo()

    assert (ran.code, ran.out) == (2, "")
    assert "generate" in ran.err


def test_ctrl_c_leaves_a_resumable_job(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Ctrl-C exits with 130 and says how to resume the job, which is not paid twice."""
    service.change(latency="3")
    with start_process("generate", "a lion", "-o", "lion.mp4", "--json") as running:
        wait_until(lambda: [job for job in list_jobs() if job.task_id])
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    (job,) = list_jobs()

    assert running.returncode == 130
    assert f"`veo resume {job.id}`" in err
    assert json.loads(out)["state"] in {"submitted", "running"}
    assert "Traceback" not in err
    assert job.owner is None
    assert veo("resume", job.id).code == 0
    assert len(service.bills()) == 1


INTERRUPT_AN_IMPORT = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "veo.errors":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""
STARTS = {
    "script": "from veo_commands import main; sys.exit(main())",
    "module": "runpy.run_module('veo_commands', run_name='__main__')",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_ctrl_c_during_the_imports(start: str) -> None:
    """It ends the process without a traceback before the command has begun."""
    program = INTERRUPT_AN_IMPORT + start
    ran = subprocess.run(
        [sys.executable, "-c", program, "jobs"], capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_ctrl_c_waits_for_a_payment(service: veo_sandbox.Sandbox) -> None:
    """Ctrl-C during a paid request waits for the response, so that the task is known."""
    service.change(latency="30", delay=3)
    with fork_command("generate", "a lion") as running:
        read_until(running, "submitting")  # from here on Ctrl-C is expected
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    (job,) = list_jobs()

    assert running.returncode == 130
    assert "waiting for the response to 1 paid request" in err
    assert job.state == "submitted"
    assert [job.task_id] == [task["task"] for task in service.tasks()]


def test_ctrl_c_waits_for_a_stream(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Ctrl-C waits for a response that is the video itself, and nothing is lost."""
    service.change(latency="2")
    with fork_command("generate", "a lion", "-p", "laozhang-sync") as running:
        read_until(running, "running")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    (job,) = list_jobs()

    assert running.returncode == 130
    assert "waiting for the response to 1 paid request" in err
    assert job.state == "ready"
    assert veo("resume", job.id).code == 0
    assert len(service.bills()) == 1


def test_a_second_ctrl_c_leaves_at_once(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A second Ctrl-C does not wait; the outcome of the job is then unknown, never guessed."""
    service.change(latency="30", delay=20)
    with start_process("generate", "a lion") as running:
        read_until(running, "submitting")  # from here on Ctrl-C is expected
        running.send_signal(signal.SIGINT)
        read_until(running, "waiting for the response")
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=10)
    (job,) = list_jobs()

    assert running.returncode == 130
    assert f"`veo resume {job.id}`" in err
    assert "Traceback" not in err
    assert veo("resume", job.id).code == 5


def test_sigterm_stops_like_ctrl_c(service: veo_sandbox.Sandbox) -> None:
    """SIGTERM releases the lease, so that the job can be resumed."""
    service.change(latency="30")
    with fork_command("generate", "a lion") as running:
        wait_until(lambda: [job for job in list_jobs() if job.task_id])
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
    (job,) = list_jobs()

    assert running.returncode == 130
    assert job.owner is None


def test_a_closed_stdout_is_not_an_error(service: veo_sandbox.Sandbox) -> None:
    """If the reader of stdout has closed it, nothing is printed on stderr."""
    with start_process("models") as running:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        err = running.stderr.read()

    assert err == ""


@pytest.mark.skipif(os.name != "posix", reason="only a POSIX shell closes a stream")
def test_streams_that_are_closed_at_the_start() -> None:
    """As some schedulers start programs: what is printed goes nowhere, and the work is done."""
    command = shlex.join([sys.executable, "-m", "veo_commands", "providers"])
    ran = subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], check=False)
    assert ran.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_stdout_on_a_full_disk() -> None:
    """Results that cannot be written are one clear error."""
    with Path("/dev/full").open("w") as full, start_process("models", stdout=full) as running:
        _, err = running.communicate(timeout=30)

    assert running.returncode == 2
    assert err == "error: cannot write the output: No space left on device\n"


def test_a_closed_stderr_stops_nothing(service: veo_sandbox.Sandbox) -> None:
    """A video is finished although its progress cannot be printed, and the exit code says so."""
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
    """A terminal shows state, percent, time and cost in place; the cursor is shown again."""
    code, output = run_on_terminal("generate", "a [red]lion", "-o", "lion.mp4")

    assert code == 0
    assert "running" in output
    assert "%" in output
    assert "quoted $0.15" in output
    assert "a [red]lion" in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert output.rstrip().splitlines()[-2].endswith("lion.mp4")
    assert "charged $0.15" in output.splitlines()[-1]


def test_many_on_a_terminal(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """Several jobs have a summary line; all results are on the screen at the end."""
    service.change(latency="uniform:0.5,2")
    for number in range(3):
        veo("generate", f"lion {number}", "--detach")
    code, output = run_on_terminal("resume")

    assert code == 0
    assert "/3" in output
    lines = visible_lines(output)
    assert sorted(lines[0::2]) == sorted(str(path.absolute()) for path in Path().glob("*.mp4"))
    assert ["charged $0.15" in line for line in lines[1::2]] == [True] * 3


@pytest.mark.parametrize(
    ("words", "cword", "expected"),
    [
        ("veo gen", "1", ["generate"]),
        ("veo generate -p lao", "3", ["laozhang-async", "laozhang-sync"]),
        ("veo jobs --state un", "3", ["unknown"]),
    ],
)
def test_the_shell_completes(words: str, cword: str, expected: list[str]) -> None:
    """The shell completes commands, and values of their options."""
    env = {"_VEO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": cword}
    ran = run_forked(env=os.environ | env)

    assert ran.out.split() == expected


def test_completion_can_be_shown() -> None:
    """--show-completion prints a script that calls `veo`."""
    # Without it Typer asks which shell runs this process, and a test may run without one.
    env = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    ran = run_forked("--show-completion", "bash", env=os.environ | env)

    assert ran.code == 0
    assert "_VEO_COMPLETE=complete_bash" in ran.out


def test_a_sandbox_serves(tmp_path: Path) -> None:
    """`veo sandbox` prints its address, key and base URLs when it is ready, and ends cleanly."""
    import requests

    with start_process(
        "sandbox", "--home", tmp_path, "--clip", "tiny", "--latency", "0"
    ) as running:
        assert running.stdout
        lines = list(takewhile(lambda line: "VEO_SANDBOX=1" not in line, running.stdout))
        url = lines[0].removeprefix("listening on ").strip()
        key = lines[1].removeprefix("key: ").strip()
        bills = requests.get(f"{url}/sandbox/bills", timeout=10).json()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=10)

    assert url.startswith("http://127.0.0.1:")
    assert f"  laozhang-async  {url}/v1\n" in lines
    assert f"  export VEO_API_KEY={key}\n" in lines
    assert bills == []
    assert (running.returncode, err) == (0, "")
