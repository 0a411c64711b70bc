"""Cassettes on disk and in vcrpy: each recorded exchange is replayed once."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import requests
import vcr
from cassette_folder import list_cassettes, read_cassette
from cassette_scrub import Scrubber
from cassette_session import NO_NETWORK, find_unplayed
from cassette_store import CassetteStore, KeyLikeError
from pytest_recording.plugin import block_network
from recording_server import RecordedRequest, RecordingServer, Reply
from vcr.errors import CannotOverwriteExistingCassetteException as CassetteError
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.request import Request

__all__ = ["block_network"]  # for each test, because one blocks more than its module
VIDEO = bytes(range(256)) * 8
KEY = "sk-" + "k3y" * 8


def make_exchange(kind: str, data: bytes, status: int = 200) -> tuple[Request, dict[str, Any]]:
    """Return a request and its response in the format of vcrpy."""
    request = Request("POST", "https://api.example/v1", b'{"prompt": "8"}', {"range": "bytes=1-"})
    answer = {
        "status": {"code": status, "message": "OK" if status == 200 else "Service Unavailable"},
        "headers": {"content-type": [kind]} if kind else {},
        "body": {"string": data},
    }
    return request, answer


def save_cassette(
    folder: Path, *exchanges: tuple[Request, dict[str, Any]]
) -> tuple[CassetteStore, str]:
    """Write a cassette of these exchanges."""
    store, path = CassetteStore({"from": "a test"}, folder), str(folder / "p" / "one.yaml")
    both = {"requests": [one for one, _ in exchanges], "responses": [one for _, one in exchanges]}
    store.save_cassette(path, both, None)
    return store, path


def use_cassette(folder: Path, mode: str, scrub: Scrubber) -> Any:
    """Return a context in which the cassette of a folder is used."""
    return vcr.VCR().use_cassette(
        str(folder / "p" / "one.yaml"),
        record_mode=mode,
        match_on=("method", "uri", "headers", "body"),
        before_record_request=scrub.scrub_request,
        before_record_response=scrub.scrub_response,
        persister=CassetteStore({"from": "a test"}, folder),
    )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("video/mp4", VIDEO),
        ("application/json", json.dumps({"a": [b64encode(VIDEO).decode(), "8", 8]}).encode()),
        ("text/event-stream", 'data: {"a": "进度\uff1a\\n"}\n\ndata: [DONE]\n\n'.encode()),
        ("", b""),
    ],
)
def test_saved_exchange_is_loaded(tmp_path: Path, kind: str, data: bytes) -> None:
    """Requests and responses of every kind are unchanged after saving and loading."""
    request, answer = make_exchange(kind, data)
    store, path = save_cassette(tmp_path, (request, answer))
    (loaded,), (response,) = store.load_cassette(path, None)

    assert vars(loaded) == vars(request)
    assert response == answer


def test_bodies_are_stored_once(tmp_path: Path) -> None:
    """A video is stored once, however often and in whichever form it occurs."""
    inside = json.dumps({"bytesBase64Encoded": b64encode(VIDEO).decode()}).encode()
    _, path = save_cassette(
        tmp_path, make_exchange("video/mp4", VIDEO), make_exchange("application/json", inside)
    )

    assert [file.read_bytes() for file in (tmp_path / "bodies").iterdir()] == [VIDEO]
    assert len(Path(path).read_text("utf-8")) < 1000


def test_changed_body_is_detected(tmp_path: Path) -> None:
    """A body that does not match the sha256 of its name is an error."""
    store, path = save_cassette(tmp_path, make_exchange("video/mp4", VIDEO))
    (body,) = (tmp_path / "bodies").iterdir()
    body.write_bytes(b"other")

    with pytest.raises(AssertionError, match="has changed"):
        store.load_cassette(path, None)


def test_key_is_not_written(tmp_path: Path) -> None:
    """A cassette with something like a key is not written."""
    data = json.dumps({"message": f"what is {KEY}?"}).encode()

    with pytest.raises(KeyLikeError):
        save_cassette(tmp_path, make_exchange("application/json", data))
    assert list_cassettes(tmp_path) == {}


def test_missing_cassette(tmp_path: Path) -> None:
    """A missing cassette is an error, not an empty cassette."""
    with pytest.raises(CassetteNotFoundError):
        CassetteStore({}, tmp_path).load_cassette(str(tmp_path / "none.yaml"), None)


def test_recording_contains_no_key_and_no_account(tmp_path: Path) -> None:
    """Keys and account data that a server sends are not recorded."""

    def send_secrets(request: RecordedRequest) -> Reply:
        body = {"id": "1", "message": f"hello {KEY}", "user": {"email": "me@example.com"}}
        return Reply(body, headers={"X-Account": "me", "X-Request-Id": "42"})

    with RecordingServer(send_secrets) as server:
        scrub = Scrubber({server.url: "https://api.example"}, (KEY,))
        with use_cassette(tmp_path, "new_episodes", scrub):
            response = requests.post(
                f"{server.url}/v1?key={KEY}",
                json={"prompt": "p"},
                headers={"Authorization": f"Bearer {KEY}"},
                timeout=5,
            )

    assert KEY in response.text, "the caller receives everything"
    (path,) = list_cassettes(tmp_path).values()
    assert read_cassette(path)["interactions"] == [
        {
            "request": {
                "method": "POST",
                "uri": "https://api.example/v1",
                "headers": {"content-type": "application/json", "authorization": "<key>"},
                "body": {"prompt": "p"},
            },
            "answer": {
                "status": 200,
                "headers": {"content-type": "application/json"},
                "json": {"id": "1", "message": "hello <key>"},
            },
        }
    ]


def post(prompt: str, **headers: str) -> requests.Response:
    """Send a request that the cassette of the fixture below contains twice."""
    named = {"Authorization": "any", **headers}
    url = "https://api.example/v1"
    return requests.post(url, json={"prompt": prompt}, headers=named, timeout=5)


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    """Return a folder with a cassette of two exchanges that differ in their responses only."""
    headers = {"content-type": "application/json", "authorization": "<key>"}
    request = Request("POST", "https://api.example/v1", b'{"prompt": "p"}', headers)
    answers = [make_exchange("application/json", data)[1] for data in (b'{"id": 1}', b'{"id": 2}')]
    save_cassette(tmp_path, *((request, answer) for answer in answers))
    return tmp_path


def test_each_response_is_replayed_once(twice: Path) -> None:
    """Equal requests get the responses in order, and a further request is an error."""
    with use_cassette(twice, "none", Scrubber()) as cassette:
        assert len(find_unplayed(cassette)) == 2
        assert post("p").json() == {"id": 1}
        assert find_unplayed(cassette) == ["1: POST https://api.example/v1"]
        assert post("p").json() == {"id": 2}
        assert find_unplayed(cassette) == []
        with pytest.raises(CassetteError):
            post("p")


@pytest.mark.parametrize(("prompt", "headers"), [("q", {}), ("p", {"Range": "bytes=1-"})])
def test_changed_request_is_not_replayed(twice: Path, prompt: str, headers: dict[str, str]) -> None:
    """A request with another body or another listed header is an error."""
    with (
        use_cassette(twice, "none", Scrubber()),
        pytest.raises(CassetteError),
    ):
        post(prompt, **headers)


def test_missing_key_is_not_replayed(twice: Path) -> None:
    """A request without its key is an error."""
    with (
        use_cassette(twice, "none", Scrubber()),
        pytest.raises(CassetteError),
    ):
        requests.post("https://api.example/v1", json={"prompt": "p"}, timeout=5)


def test_tests_can_reach_loopback_only() -> None:
    """A test cannot connect to another host than loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
        caller.connect(server.getsockname())
    with socket.socket() as caller, pytest.raises(RuntimeError, match="Network is disabled"):
        caller.connect(("192.0.2.1", 9))


@NO_NETWORK
def test_replays_cannot_reach_loopback() -> None:
    """A replay cannot connect to loopback either, so a sandbox cannot replace a cassette."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket() as caller,
        pytest.raises(RuntimeError, match="Network is disabled"),
    ):
        caller.connect(server.getsockname())
