"""Waiting explains itself: why and until when; what a person must fix fails at once."""

import io
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

import pytest
from cli_runner import Veo
from rich.console import Console
from scripted import ACCEPTED, Bench
from terminal import run_on_terminal

import veo_sandbox
from veo.batch.progress import Snapshot
from veo.client import Client
from veo.config import Config
from veo.errors import HostNotFoundError, QuotaError
from veo.http import Response
from veo.ledger.spending import Spending
from veo.runtime.remaining import estimate_job_s
from veo_commands.format import format_remaining
from veo_commands.progress.batch_view import _render_head
from veo_gemini.error_table import google_error

pytest_plugins = ("veo_fixtures",)

ROUTES = {
    "laozhang-async": "VEO_API_KEY",
    "laozhang-sync": "VEO_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
HOST = "https://no-such-host.invalid"


@pytest.mark.parametrize(("provider", "variable"), ROUTES.items(), ids=ROUTES)
def test_a_name_that_does_not_resolve(
    veo: Veo, monkeypatch: pytest.MonkeyPatch, provider: str, variable: str
) -> None:
    """The first request fails at once, names the host, and says what to check."""

    def find_nothing(*_: object, **__: object) -> Never:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    monkeypatch.setenv(variable, "some-key")
    Path("veo.toml").write_text(
        f'retired = "ignore"\n[providers.{provider}]\nbase_url = "{HOST}"\n'
    )
    ran = veo("generate", "a lion", "-p", provider, "--yes")
    (error,) = ran.errors

    assert ran.code == 1
    assert "cannot find the host of https://no-such-host.invalid" in error
    assert "Name or service not known" in error
    assert "base_url" in ran.err
    assert "next attempt" not in ran.err


def test_a_network_that_goes_away(tmp_path: Path) -> None:
    """Once a request was accepted, a name that does not resolve is tried again."""
    bench = Bench(tmp_path)
    bench.script_success()
    bench.run_job(bench.plan_job())
    bench.script_success()
    bench.set_script("submit", HostNotFoundError("gone"), ACCEPTED)

    assert bench.run_job(bench.plan_job("another")).record.state == "done"


def test_a_daily_quota() -> None:
    """A quota per day is not waited for; one per minute is."""

    def read_error(quota: str) -> Any:
        violation = {"quotaId": f"GenerateRequestsPer{quota}PerProjectPerModel"}
        details = [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
        ]
        body = {"error": {"code": 429, "message": "You exceeded your quota", "details": details}}
        return google_error(Response(429, {}, json.dumps(body).encode()), "submit")

    assert isinstance(read_error("Day"), QuotaError)
    assert (read_error("Day").retryable, read_error("Day").charged) == (False, False)
    assert read_error("Minute").retryable


def test_a_retry_says_why_and_until_when(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The line of a retry has the reason and the time of the next attempt."""
    service.fault("http_429", on="create", retry_after=1, times=1)
    ran = veo("generate", "a lion")
    (line,) = [line for line in ran.err.splitlines() if "next attempt at" in line]

    assert ran.code == 0, ran.err
    assert "planned: the provider is busy (" in line


BOTH = """
[providers.gemini]
base_url = "{url}"
median_s = 0.2
[providers.laozhang-async]
base_url = "{url}/v1"
median_s = 0.2
"""


@pytest.mark.parametrize(
    ("provider", "fault", "reason"),
    [
        ("gemini", "interaction_400", "Request contains an invalid argument"),
        ("laozhang-async", "redirect_away", "NoSuchKey (HTTP 404)"),
    ],
)
def test_a_poll_that_is_refused_for_good(
    veo: Veo,
    serve_as_live: Callable[..., veo_sandbox.Sandbox],
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    fault: str,
    reason: str,
) -> None:
    """The reason is in the line of progress, in the error at the end, and in the history, once."""
    service = serve_as_live(BOTH)
    monkeypatch.setenv("GEMINI_API_KEY", service.key)
    service.fault(fault, on="poll")
    ran = veo("generate", "a lion", "-p", provider, "--timeout", "2")
    (job,) = veo("jobs", "--json").objects
    history = veo("show", job["job"], "--json").objects[0]["history"]
    failed = [event["message"] for event in history if event["kind"] == "poll failed"]

    assert ran.code == 6
    assert any(reason in line and "next attempt at" in line for line in ran.err.splitlines())
    assert reason in ran.errors[0]
    assert [reason in message for message in failed] == [True]


def test_usual_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the model's row, else of its provider; one that is configured is for all models."""
    monkeypatch.setenv("VEO_API_KEY", "a-key")
    own, models = {"laozhang-async": {"median_s": 5}}, ("gemini-omni-1.2-flash", "veo-3.1-fast")
    for providers, medians in (({}, [45.0, 210.0]), (own, [5.0, 5.0])):
        with Client(Config(providers=providers)) as client:
            found = [client.runner.median_s("laozhang-async", model) for model in models]
            assert found == medians


def test_a_terminal_without_movements(service: veo_sandbox.Sandbox) -> None:
    """A terminal that cannot move its cursor gets plain lines."""
    code, output = run_on_terminal("generate", "a lion", TERM="dumb")

    assert code == 0
    assert "done in" in output
    assert "\x1b" not in output


def test_a_terminal_with_an_old_code_page(service: veo_sandbox.Sandbox) -> None:
    """No sign that an old code page lacks is printed in its place as an escape."""
    code, output = run_on_terminal(
        "generate", "a lion " * 30, "-o", "a.mp4", is_real=True, PYTHONIOENCODING="cp437"
    )

    assert code == 0
    assert "\\u" not in output


@pytest.mark.parametrize(
    ("age", "progress", "left"),
    [
        (0, None, 100),
        (60, None, 40),
        (200, None, 10),
        (50, 0.5, 50),
        (150, 0.75, 40),
        (20, 0.02, 80),
    ],
)
def test_the_time_left(age: float, progress: float | None, left: float) -> None:
    """Of a job that usually takes 100 s: by its age, and by its own pace as it advances."""
    assert estimate_job_s(age, 100, progress) == pytest.approx(left)


@pytest.mark.parametrize(
    ("seconds", "text"), [(80, "about 1:20 left"), (2, "about 0:02 left"), (1.9, ""), (None, "")]
)
def test_the_last_seconds_are_not_shown(seconds: float | None, text: str) -> None:
    """A task that takes a second has no `about 0:00 left`."""
    assert format_remaining(seconds) == text
    console = Console(file=io.StringIO())
    console.print(_render_head(Snapshot(2, 1, {}, Spending(), None, seconds), bar_width=9))
    assert console.file.getvalue().split("1/2")[1].strip() == text


def test_a_log_says_how_long_it_takes(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """The lines of a single job say how much time is left."""
    service.change(latency="1")
    config = Path("veo.toml")
    config.write_text(config.read_text().replace("median_s = 0.2", "median_s = 20"))

    assert "submitted, about 0:1" in veo("generate", "a lion").err


def test_a_command_for_each_video(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """--exec runs a command with the names of the video; its output is a message."""
    program = "import sys; print('made', sys.argv[1:]); open('ran', 'w').write(sys.argv[1])"
    Path("run.py").write_text(program)
    command = f"{sys.executable} run.py {{path}} {{job}}"
    ran = veo("generate", "a lion", "-o", "a lion.mp4", "--exec", command, "--json")

    assert ran.code == 0
    assert Path("ran").read_text() == str(Path("a lion.mp4").absolute())
    assert len(ran.objects) == 1


@pytest.mark.parametrize("command", ["", "cp {nothing}", "cp 'a"])
def test_a_command_that_cannot_be_read(
    veo: Veo, service: veo_sandbox.Sandbox, command: str
) -> None:
    """A command that could not be run later is an error before anything is sent."""
    ran = veo("generate", "a lion", "--exec", command)

    assert ran.code == 2
    assert "--exec" in ran.err
    assert service.tasks() == []


def test_a_command_that_fails(veo: Veo, service: veo_sandbox.Sandbox) -> None:
    """A command that fails is a warning: the video is there."""
    ran = veo("generate", "a lion", "--exec", f"{sys.executable} -c 'exit(3)'")

    assert ran.code == 0
    assert "ended with exit code 3" in ran.err


def test_a_video_is_opened_and_told(
    veo: Veo, service: veo_sandbox.Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--open and --notify start the programs of the desktop."""
    started: list[list[str]] = []
    monkeypatch.setattr("veo_commands.finish.shutil.which", lambda name: name)
    monkeypatch.setattr(
        "veo_commands.finish.subprocess.Popen", lambda args, **_: started.append(args)
    )
    veo("generate", "a lion", "-o", "lion.mp4", "--open", "--notify")

    assert [args[0] for args in started] == ["open", "notify-send"]
    assert started[0][1] == str(Path("lion.mp4").absolute())
    assert "done in" in started[1][-1]
