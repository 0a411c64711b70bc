"""The sandbox as a server: its controls, its home, its start and end."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest
import requests
from sandbox_api import Api, StartSandbox, wait_finished

from veo_sandbox import Sandbox


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

    def test_speed_divides_waiting(self, sandbox: StartSandbox) -> None:
        """At 1000 times the speed, 100 s take no time."""
        api = Api(sandbox(latency=100, speed=1000))

        assert wait_finished(api, api.create_from_text())["status"] == "completed"


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
    process, url = start_server(tmp_path / "home", "--latency", "0.2")
    key = {"Authorization": "Bearer sandbox-key"}
    body = {"model": "veo-3.1-fast", "prompt": "lion"}
    task = requests.post(f"{url}/v1/videos", json=body, headers=key, timeout=10).json()["id"]
    process.kill()
    process.communicate(timeout=20)
    box = sandbox(home=tmp_path / "home", clip="full")
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
