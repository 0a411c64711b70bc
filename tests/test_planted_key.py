"""A server that echoes the key everywhere: it is in nothing that a run stores, prints or sends."""

import base64
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from cli_runner import Veo
from google_routes import PLATFORM_FAST, PLATFORM_NAME, project, submit
from platform_server import service_account
from recording_server import RecordedRequest, RecordingServer, Reply
from sample_videos import make_video

from veo.errors import UnreachableError
from veo.http import ApiClient
from veo.key import Key

pytest_plugins = ("veo_fixtures",)

OMNI = "gemini-omni-1.2-flash"
FAST = "veo-3.1-fast-generate-preview"
KEY = "sk-not-a-key-planted-by-a-test"
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)
ENCODED = base64.b64encode(KEY.encode()).decode()
# The forms that are searched for; also what a reader would decode.
TRACES = (KEY, KEY[3:], ENCODED, quote("".join(f"%{ord(c):02x}" for c in KEY)), KEY.encode().hex())
HEADERS = {"X-Request-Id": f"req-{KEY}", "X-Oneapi-Request-Id": ENCODED, "ETag": f'"{KEY}"'}


def send_escaped(body: Any, status: int = 200) -> Reply:
    """A response whose keys are written in the escapes of JSON."""
    text = json.dumps(body).replace(KEY, ESCAPED)
    headers = {"Content-Type": "application/json", **HEADERS}
    return Reply(text.encode(), status, headers)


def find_traces(text: str) -> list[str]:
    unescaped = re.sub(r"\\u00([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), text)
    return [trace for trace in TRACES if trace in text or trace in unescaped]


class AsyncService:
    """LaoZhang's async route, and a storage host that the route names with the key in the URL."""

    def __init__(self, storage: str, last: Callable[[str], Reply]) -> None:
        self.storage, self.polls = storage, 0
        self.last = last

    def __call__(self, request: RecordedRequest) -> Reply:
        if request.method == "POST":
            return send_escaped({"id": f"video_{KEY}", "status": f"odd {KEY}"})
        self.polls += 1
        if self.polls == 1:
            return send_escaped({"status": f"unknown-{KEY}", "message": KEY, "progress": 5})
        return self.last(self.storage)


def make_ready(storage: str) -> Reply:
    return send_escaped({"status": "completed", "video_url": f"{storage}/{KEY}.mp4?key={KEY}"})


def make_failed(_: str) -> Reply:
    text = f"no: {KEY} {ENCODED} {quote(KEY)} {KEY[3:]}"
    return send_escaped({"status": "failed", "error": {"message": text, "code": KEY}})


def refuse(_: str) -> Reply:
    return send_escaped({"error": {"message": f"token {KEY} ({ENCODED})", "type": KEY}}, 401)


def redirect(_: str) -> Reply:
    return Reply(status=302, headers={"Location": f"ftp://{KEY}@host/{KEY}"})


@pytest.mark.slow
@pytest.mark.parametrize("last", [make_ready, make_failed, refuse, redirect])
@pytest.mark.parametrize("options", [(), ("--json",), ("--debug",)], ids=["text", "json", "debug"])
def test_the_key_is_nowhere(
    veo: Veo,
    isolated: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    last: Callable[[str], Reply],
    options: tuple[str, ...],
) -> None:
    """Not in the ledger, sidecar, screen or log, and not in a request to another host."""
    caplog.set_level(logging.DEBUG, "veo")
    monkeypatch.setenv("VEO_API_KEY", KEY)
    video = Reply(make_video(frames=192), headers={"ETag": f'"{KEY}"'})
    with RecordingServer(video) as files, RecordingServer() as api:
        api.reply = AsyncService(files.url, last)
        config = f'[providers.laozhang-async]\nbase_url = "{api.url}/v1"\nmedian_s = 0.2\n'
        Path("veo.toml").write_text(config)
        ran = veo("generate", "a lion", "-o", "a.mp4", "--timeout", "3", *options)
        shown = [veo("jobs", *options), veo("show", "--json")]
        shown.append(veo("resume", "--timeout", "1", *options))
        requests = [f"{each.path} {each.headers}" for each in files.requests]
    texts = [text for result in (ran, *shown) for text in (result.out, result.err)]
    written = [each for each in isolated.rglob("*") if each.is_file()]
    texts += [each.read_bytes().decode("latin-1") for each in written]
    texts += [*requests, *map(str, written), caplog.text]
    assert any(each.name == "ledger.db" for each in written)
    assert [find_traces(text) for text in texts if find_traces(text)] == []
    assert (ran.code == 0) is (last is make_ready), ran.err


def test_an_operation_of_google_that_echoes_the_key(
    veo: Veo, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, its address of the file, and its error; the file itself is downloaded."""
    monkeypatch.setenv("GEMINI_API_KEY", KEY)

    def serve(request: RecordedRequest) -> Reply:
        if "/files/" in request.path:
            assert request.path.endswith(f"key={KEY}")  # given back to the API's own host
            return Reply(make_video(frames=192), headers=HEADERS)
        name = f"models/{FAST}/operations/{KEY}"
        if request.method == "POST":
            return send_escaped({"name": name})
        uri = f"https://generativelanguage.googleapis.com/v1beta/files/a:download?key={KEY}"
        video = {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]}}
        return send_escaped({"name": name, "done": True, "response": video})

    with RecordingServer(serve) as api:
        Path("veo.toml").write_text(f'[providers.gemini]\nbase_url = "{api.url}"\nmedian_s = 0.2\n')
        options = (
            "-p",
            "gemini",
            "-m",
            FAST,
            "-o",
            "a.mp4",
            "--debug",
            "--yes",
        )
        ran = veo("generate", "a lion", *options)
        shown = veo("show", "--json")
    assert ran.code == 0, ran.err
    texts = [ran.out, ran.err, shown.out, shown.err]
    texts += [each.read_bytes().decode("latin-1") for each in isolated.rglob("*") if each.is_file()]
    assert [find_traces(text) for text in texts if find_traces(text)] == []


@pytest.mark.parametrize("model", [PLATFORM_FAST, OMNI])
@pytest.mark.parametrize("last", ["ready", "failed", "refused"])
def test_a_service_that_echoes_the_access_token(
    veo: Veo, isolated: Path, monkeypatch: pytest.MonkeyPatch, model: str, last: str
) -> None:
    """It is no key of the configuration, and changes; no response to a request shows it."""

    def serve(request: RecordedRequest) -> Reply:
        if request.path.endswith("/token"):
            return Reply({"access_token": KEY, "expires_in": 3600, "scope": KEY})
        assert request.headers["authorization"] == f"Bearer {KEY}"
        if not request.path.endswith((":predictLongRunning", "/interactions")):
            return _end_platform_task(last)
        name = f"{PLATFORM_NAME}{KEY}"
        return send_escaped({"name": name, "id": f"v1_{KEY}", "status": "in_progress"})

    with RecordingServer(serve) as api:
        account = service_account(isolated, api.url)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        config = f'[providers.vertex]\nbase_url = "{api.url}"\nmedian_s = 0.2\n'
        Path("veo.toml").write_text(config)
        ran = veo(*f"generate lion -p vertex -m {model} -o a.mp4 --debug --yes --timeout 3".split())
        shown = [veo("show", "--json"), veo("jobs", "--json"), veo("show")]
    assert (ran.code == 0) is (last == "ready"), ran.err
    texts = [text for result in (ran, *shown) for text in (result.out, result.err)]
    texts += [each.read_bytes().decode("latin-1") for each in isolated.rglob("*") if each.is_file()]
    assert [find_traces(text) for text in texts if find_traces(text)] == []


def test_a_token_service_that_echoes_what_it_was_sent(
    veo: Veo, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signed request for an access token is a secret, too."""
    sent: list[str] = []

    def refuse_token(request: RecordedRequest) -> Reply:
        sent.extend(parse_qs(request.body.decode())["assertion"])
        return Reply({"error": "invalid_grant", "error_description": f"no: {sent[0]}"}, status=400)

    with RecordingServer(refuse_token) as api:
        account = service_account(isolated, api.url)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        Path("veo.toml").write_text(f'[providers.vertex]\nbase_url = "{api.url}"\n')
        ran = veo(*f"generate lion -p vertex -m {PLATFORM_FAST} -o a.mp4 --debug --yes".split())
    texts = [ran.out, ran.err]
    texts += [each.read_bytes().decode("latin-1") for each in isolated.rglob("*") if each.is_file()]
    assert "invalid_grant" in ran.err
    assert not any(token in text for token in sent for text in texts)
    assert sent


def test_a_token_service_that_redirects(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signed request goes nowhere else, and nothing is sent to the API."""
    with RecordingServer() as other, RecordingServer() as api:
        api.reply = Reply({}, 307, {"Location": f"{other.url}/token"})
        account = service_account(isolated, api.url)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        with pytest.raises(UnreachableError, match="redirects") as caught:
            submit(project(api.url))

    assert (other.requests, [each.path for each in api.requests]) == ([], ["/token"])
    assert caught.value.charged is False


def _end_platform_task(end: str) -> Reply:
    """Return the response to a poll of an operation or of an interaction; each has its own part."""
    refusal = {"message": f"no: {KEY} {ENCODED}", "code": 3, "status": KEY}
    if end == "refused":
        return send_escaped({"error": refusal}, 403)
    if end == "failed":
        return send_escaped({"done": True, "status": "failed", "error": refusal})
    data = base64.b64encode(make_video(frames=192)).decode()
    video = {"type": "video", "mime_type": "video/mp4", "data": data}
    return send_escaped(
        {
            "done": True,
            "response": {"videos": [{"bytesBase64Encoded": data}], "a": KEY},
            "status": "completed",
            "steps": [{"type": "model_output", "content": [video]}],
        }
    )


def test_only_the_own_origin_gets_the_key_back_in_a_url() -> None:
    """A redirect home with the key in its address works; one to another host is without the key."""
    key = Key(KEY)
    with RecordingServer(Reply(b"mp4")) as files, RecordingServer() as home:
        targets = iter([f"{home.url}/b?key={KEY}", f"{files.url}/c?key={KEY}"])

        def move(_: RecordedRequest) -> Reply:
            return Reply(status=302, headers={"Location": next(targets)})

        home.reply = move
        api = ApiClient(home.url, auth={"Authorization": f"Bearer {KEY}"}, key=key)
        assert api.open("a").read().body == b"mp4"
        assert [each.path for each in home.requests] == ["/a", f"/b?key={KEY}"]
        assert files.only_request.path == "/c?key=%5Bkey%5D"
