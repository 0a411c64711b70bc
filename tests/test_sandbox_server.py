"""The sandbox as a server: its controls, its home, its start and end."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import pytest
import requests
from sandbox_api import Api, StartSandbox, wait_finished

from veo_sandbox import Sandbox, __main__, exchange
from veo_sandbox.routes import control
from veo_sandbox.state.settings import SettingValues


class TestControl:
    """`/sandbox/...`."""

    def test_settings_and_clock_over_http(self, sandbox: StartSandbox) -> None:
        """What is posted is read back; a wrong name is a 400 that lists the right ones."""
        box = sandbox()
        url = f"{box.url}/sandbox"
        changed = requests.post(f"{url}/settings", json={"balance": 5, "latency": 9}, timeout=10)
        before = requests.get(f"{url}/clock", timeout=10).json()["now"]
        after = requests.post(f"{url}/clock", json={"advance": 100}, timeout=10).json()["now"]
        wrong = requests.post(f"{url}/settings", json={"latence": 9}, timeout=10)

        assert (changed.json()["balance"], changed.json()["latency"]) == (5, "fixed:9")
        assert after - before >= 100
        assert wrong.status_code == 400
        assert "known: balance, content_lag" in wrong.json()["error"]

    def test_models_are_those_of_the_profile(self, sandbox: StartSandbox) -> None:
        """An OpenAI list."""
        ids = {row["id"] for row in Api(sandbox()).get("/v1/models").json()["data"]}

        assert "veo-3.1-landscape-fast-fl" in ids
        assert "sora-2" not in ids

    def test_an_unknown_path(self, sandbox: StartSandbox) -> None:
        """404 in new-api's text."""
        response = Api(sandbox()).get("/v1/movies")

        assert response.status_code == 404
        assert response.json()["error"]["message"] == "Invalid URL (GET /v1/movies)"

    @pytest.mark.parametrize(
        ("path", "start"),
        [("/v1/videos", '{"error":{"message":"Invalid URL'), ("/v1beta/files", "<!DOCTYPE html>")],
    )
    def test_an_unknown_method(self, sandbox: StartSandbox, path: str, start: str) -> None:
        """404 in the service's own form, as for an unknown path."""
        box = sandbox()
        response = requests.put(box.url + path, timeout=10)

        assert (response.status_code, response.text[: len(start)]) == (404, start)

    def test_speed_divides_waiting(self, sandbox: StartSandbox) -> None:
        """At 1000 times the speed, 100 s take no time."""
        api = Api(sandbox(latency=100, speed=1000))

        assert wait_finished(api, api.create_from_text())["status"] == "completed"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Serve a sandbox for the tests that leave it as it was."""
    with Sandbox(tmp_path_factory.mktemp("shared"), clip="tiny", latency=0) as box:
        yield box


class TestSecurity:
    """The sandbox serves this machine: no web page, no flood, no reader of its home."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "evil.example"},
            {"Host": "evil.example:8080"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "["},
            {"Origin": "https://evil.example"},
            {"Origin": "http://localhost:1"},
            {"Origin": "null"},
        ],
        ids=["rebound", "with-port", "with-prefix", "broken", "site", "other-port", "file"],
    )
    def test_the_controls_refuse_web_pages(self, box: Sandbox, headers: dict[str, str]) -> None:
        """Neither reads nor changes; without a foreign name both work."""
        url = f"{box.url}/sandbox/clock"
        foreign = [
            requests.get(url, headers=headers, timeout=10),
            requests.post(url, headers=headers, json={"advance": 1e6}, timeout=10),
        ]
        own = requests.get(url, headers={"Origin": box.url}, timeout=10)

        assert [response.status_code for response in foreign] == [403, 403]
        assert (own.status_code, own.json()["now"] < time.time() + 1e5) == (200, True)

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("clock", '{"advance": 1e400}'),
            ("clock", '{"advance": NaN}'),
            ("clock", '{"advance": 1e11}'),
            ("clock", '{"advance": "1"}'),
            ("clock", '{"advance": true}'),
            ("settings", '{"balance": 1e400}'),
            ("settings", '{"balance": 1e300}'),
            ("settings", '{"speed": Infinity}'),
            ("settings", '{"latency": "fixed:1e300"}'),
            ("settings", '{"latency": 1e300}'),
            ("settings", '{"delay": 1e400}'),
            ("faults", '{"rules": [{"fault": "slow_task", "seconds": 1e400}]}'),
        ],
    )
    def test_a_number_that_would_ruin_the_home(self, box: Sandbox, path: str, body: str) -> None:
        """400, and everything works as before."""
        url = f"{box.url}/sandbox"
        before = requests.get(f"{url}/settings", timeout=10).json()
        refused = requests.post(f"{url}/{path}", data=body, timeout=10)
        wait_finished(Api(box), Api(box).create_from_text())

        assert (refused.status_code, list(refused.json())) == (400, ["error"])
        assert requests.get(f"{url}/settings", timeout=10).json() | {"balance": 0} == (
            before | {"balance": 0}
        )
        assert requests.get(f"{url}/tasks", timeout=10).status_code == 200

    def test_a_large_body_of_a_control(self, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reading ends at the limit."""
        monkeypatch.setattr(control, "_MAX_BODY_BYTES", 1000)
        url = f"{box.url}/sandbox/settings"
        response = requests.post(url, data=b" " * 2000, timeout=10)

        assert response.status_code == 400
        assert "more than 1000 bytes" in response.json()["error"]

    @pytest.mark.parametrize("kind", ["json", "form", "upload"])
    @pytest.mark.parametrize("has_key", [True, False])
    def test_a_large_body_of_an_api(
        self, box: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: str, has_key: bool
    ) -> None:
        """413 at the limit, whether or not the length was announced; the server goes on."""
        monkeypatch.setattr(exchange, "MAX_BODY_BYTES", 100_000)
        headers = {"Authorization": f"Bearer {box.key}"} if has_key else {}
        path = "/upload/v1beta/files" if kind == "upload" else "/v1/videos"
        data = b"x" * 200_000
        body: dict[str, Any] = (
            {"files": {"input_reference": ("a.png", data, "image/png")}}
            if kind == "form"
            else {"data": iter([data])}
        )
        # The server may close the connection while the rest is still sent.
        with suppress(requests.ConnectionError):
            response = requests.post(box.url + path, headers=headers, timeout=10, **body)
            assert response.status_code == 413

        assert box.requests()[-1]["status"] == 413
        assert Api(box).post({"model": "veo-3.1", "prompt": "x"}).status_code == 200

    @pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
    def test_the_home_is_private(self, sandbox: StartSandbox, tmp_path: Path) -> None:
        """0700 for a new home and for one of an earlier version; a foreign folder is left alone."""
        old, foreign = tmp_path / "old", tmp_path / "foreign"
        sandbox(tmp_path / "new").close()
        sandbox(old).close()
        old.chmod(0o755)
        sandbox(old)
        foreign.mkdir()
        foreign.chmod(0o755)
        (foreign / "notes.txt").touch()
        sandbox(foreign)

        modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("new", "old", "foreign")]
        assert modes == [0o700, 0o700, 0o755]


class TestRestart:
    """A home outlives its servers."""

    def test_everything_is_found_again_at_the_same_ports(
        self, sandbox: StartSandbox, tmp_path: Path
    ) -> None:
        """Task, bill and an address from an earlier response."""
        with Sandbox(tmp_path / "home", clip="tiny", latency=0) as first:
            task = Api(first).create_from_text()
            body = wait_finished(Api(first), task)
        second = sandbox(home=tmp_path / "home")

        assert (first.url, first.files_url) == (second.url, second.files_url)
        assert body == wait_finished(Api(second), task)
        assert requests.get(body["url"], timeout=10).status_code == 200
        assert [bill["state"] for bill in second.bills()] == ["charged"]

    def test_two_servers_share_a_home(self, sandbox: StartSandbox, tmp_path: Path) -> None:
        """A task created at one is known to the other, on other ports."""
        one = sandbox(home=tmp_path / "home")
        two = sandbox(home=tmp_path / "home")
        task = Api(one).create_from_text()
        body = wait_finished(Api(two), task)

        assert one.url != two.url
        assert body["url"].startswith(two.files_url)
        assert one.bills() == two.bills()

    def test_a_taken_port_is_an_error(self, sandbox: StartSandbox, tmp_path: Path) -> None:
        """A given port is used, or its use by others is an error."""
        port = int(sandbox().url.rpartition(":")[2])

        with pytest.raises(OSError, match="in use"), Sandbox(tmp_path / "other", port=port):
            pass


def start_server(home: Path, *options: str) -> tuple["subprocess.Popen[str]", str]:
    """Start a sandbox in its own process; return the process and its address."""
    command = [sys.executable, "-m", "veo_sandbox", "--home", str(home), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip().removeprefix("listening on ")


def test_options_are_the_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`python -m veo_sandbox` has an option for every argument, of the argument's type."""
    options = {"clip": "tiny", "clip_bytes": 100, "latency": "2", "processing_lag": 0.5}
    words = [word for name, value in options.items() for word in (to_option(name), str(value))]
    served: dict[str, object] = {}
    monkeypatch.setattr(__main__, "serve", lambda home, **given: served.update(given, home=home))
    monkeypatch.setattr(sys, "argv", ["veo_sandbox", "--home", str(tmp_path), "--retired", *words])
    __main__.main()
    assert served == {"home": tmp_path, "retired": True} | options

    settings = [to_option(name) for name in SettingValues.__annotations__ if name != "retired"]
    monkeypatch.setattr(sys, "argv", ["veo_sandbox", *(f"{each}=1" for each in settings)])
    __main__.main()
    assert SettingValues.__annotations__.keys() - {"retired"} <= served.keys()


def to_option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """One line on stdout when it serves, exit code 0 on either signal."""
    process, url = start_server(tmp_path / "home", "--clip", "tiny")
    response = requests.get(f"{url}/sandbox/bills", timeout=10)
    process.send_signal(number)
    rest, _ = process.communicate(timeout=20)

    assert (response.status_code, response.json()) == (200, [])
    assert (process.returncode, rest) == (0, "")


def test_nothing_accepted_is_lost_to_sigkill(sandbox: StartSandbox, tmp_path: Path) -> None:
    """A task whose server was killed completes, is rendered on demand and charged once."""
    process, url = start_server(tmp_path / "home", "--latency", "0.2", "--clip", "tiny")
    key = {"Authorization": "Bearer sandbox-key"}
    body = {"model": "veo-3.1-fast", "prompt": "lion"}
    task = requests.post(f"{url}/v1/videos", json=body, headers=key, timeout=10).json()["id"]
    process.kill()
    process.communicate(timeout=20)
    box = sandbox(home=tmp_path / "home")
    done = wait_finished(Api(box), task)
    data = requests.get(done["url"], timeout=10).content

    with av.open(io.BytesIO(data)) as video:
        assert video.duration == 8_000_000
    assert [(task, "charged")] == [(bill["task"], bill["state"]) for bill in box.bills()]
    assert [row["answered"] for row in box.tasks()] == [True]


def test_importing_it_is_cheap() -> None:
    """`import veo_sandbox` loads neither server nor codecs."""
    code = (
        "import sys, veo_sandbox; print({'av', 'uvicorn', 'starlette', 'PIL'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]

    assert subprocess.check_output(command, text=True, env=dict(os.environ)).strip() == "set()"


@pytest.mark.parametrize(
    ("options", "expected_text"),
    [({"profile": "sora"}, "capture-2025-11, docs"), ({"clip": "huge"}, "full, tiny")],
)
def test_a_wrong_option_names_the_right_ones(
    tmp_path: Path, options: dict[str, Any], expected_text: str
) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match=expected_text):
        Sandbox(tmp_path, **options)


def test_tiny_clips_can_be_padded(sandbox: StartSandbox) -> None:
    """`clip_bytes` gives downloads a size; the file stays a complete MP4 of 8 s."""
    api = Api(sandbox(clip_bytes=100_000))
    data = requests.get(wait_finished(api, api.create_from_text())["url"], timeout=10).content

    assert len(data) == 100_000
    with av.open(io.BytesIO(data)) as video:
        assert video.duration == 8_000_000
        assert sum(1 for _ in video.decode(video=0)) == 16
