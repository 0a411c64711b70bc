"""Cassettes on disk and in vcrpy's hands: what was recorded comes back, once, and nothing else."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import requests
import vcr
from cassette_folder import cassettes, read
from cassette_scrub import Scrub
from cassette_session import NO_NETWORK, unplayed
from cassette_store import KeyLikeError, Shelf
from recording_server import RecordedRequest, RecordingServer, Reply
from vcr.errors import CannotOverwriteExistingCassetteException
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.request import Request

VIDEO = bytes(range(256)) * 8
KEY = "sk-" + "k3y" * 8


def exchange(kind: str, data: bytes, status: int = 200) -> tuple[Request, dict[str, Any]]:
    """A request and its answer, as vcrpy holds them."""
    request = Request("POST", "https://api.example/v1", b'{"prompt": "8"}', {"range": "bytes=1-"})
    answer = {
        "status": {"code": status, "message": "OK" if status == 200 else "Service Unavailable"},
        "headers": {"content-type": [kind]} if kind else {},
        "body": {"string": data},
    }
    return request, answer


def save(folder: Path, *exchanges: tuple[Request, dict[str, Any]]) -> tuple[Shelf, str]:
    """A cassette of these exchanges."""
    shelf, path = Shelf({"from": "a test"}, folder), str(folder / "p" / "one.yaml")
    both = {"requests": [one for one, _ in exchanges], "responses": [one for _, one in exchanges]}
    shelf.save_cassette(path, both, None)
    return shelf, path


def use(folder: Path, mode: str, scrub: Scrub) -> Any:
    """A cassette of that folder, in use."""
    return vcr.VCR().use_cassette(
        str(folder / "p" / "one.yaml"),
        record_mode=mode,
        match_on=("method", "uri", "headers", "body"),
        before_record_request=scrub.request,
        before_record_response=scrub.answer,
        persister=Shelf({"from": "a test"}, folder),
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
def test_what_was_kept_comes_back(tmp_path: Path, kind: str, data: bytes) -> None:
    """Requests and answers of every kind are the same after a way over the disk."""
    request, answer = exchange(kind, data)
    shelf, path = save(tmp_path, (request, answer))
    (asked,), (told,) = shelf.load_cassette(path, None)

    assert vars(asked) == vars(request)
    assert told == answer


def test_bytes_are_kept_once(tmp_path: Path) -> None:
    """A video is a file beside the cassette, however often and in whichever form it came."""
    inside = json.dumps({"bytesBase64Encoded": b64encode(VIDEO).decode()}).encode()
    _, path = save(tmp_path, exchange("video/mp4", VIDEO), exchange("application/json", inside))

    assert [file.read_bytes() for file in (tmp_path / "bodies").iterdir()] == [VIDEO]
    assert len(Path(path).read_text("utf-8")) < 1000


def test_a_body_that_changed_is_noticed(tmp_path: Path) -> None:
    """Its name is its sha256, and is checked."""
    shelf, path = save(tmp_path, exchange("video/mp4", VIDEO))
    (body,) = (tmp_path / "bodies").iterdir()
    body.write_bytes(b"other")

    with pytest.raises(AssertionError, match="not what it was"):
        shelf.load_cassette(path, None)


def test_what_is_like_a_key_is_not_written(tmp_path: Path) -> None:
    """The last look before writing; nothing is left of the cassette."""
    told = json.dumps({"message": f"what is {KEY}?"}).encode()

    with pytest.raises(KeyLikeError):
        save(tmp_path, exchange("application/json", told))
    assert cassettes(tmp_path) == {}


def test_no_cassette_is_not_an_empty_one(tmp_path: Path) -> None:
    """Vcrpy is told that there is none."""
    with pytest.raises(CassetteNotFoundError):
        Shelf({}, tmp_path).load_cassette(str(tmp_path / "none.yaml"), None)


def test_a_recording_holds_no_key_and_no_account(tmp_path: Path) -> None:
    """A server that tells all it knows, the key too, leaves none of it in the cassette."""

    def tell(asked: RecordedRequest) -> Reply:
        known = {"id": "1", "message": f"hello {KEY}", "user": {"email": "me@example.com"}}
        return Reply(known, headers={"X-Account": "me", "X-Request-Id": "42"})

    with RecordingServer(tell) as server:
        scrub = Scrub({server.url: "https://api.example"}, (KEY,))
        with use(tmp_path, "new_episodes", scrub):
            heard = requests.post(
                f"{server.url}/v1?key={KEY}",
                json={"prompt": "p"},
                headers={"Authorization": f"Bearer {KEY}"},
                timeout=5,
            )

    assert KEY in heard.text, "the caller hears everything"
    (path,) = cassettes(tmp_path).values()
    assert read(path)["interactions"] == [
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
    """A request that the cassette of the test below holds twice."""
    named = {"Authorization": "any", **headers}
    url = "https://api.example/v1"
    return requests.post(url, json={"prompt": prompt}, headers=named, timeout=5)


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    """A folder with a cassette of two exchanges, alike but for their answers."""
    headers = {"content-type": "application/json", "authorization": "<key>"}
    request = Request("POST", "https://api.example/v1", b'{"prompt": "p"}', headers)
    answers = [exchange("application/json", data)[1] for data in (b'{"id": 1}', b'{"id": 2}')]
    save(tmp_path, *((request, answer) for answer in answers))
    return tmp_path


def test_each_answer_is_played_once(twice: Path) -> None:
    """Alike requests get the answers in their order, and there is none left for one more."""
    with use(twice, "none", Scrub()) as cassette:
        assert len(unplayed(cassette)) == 2
        assert post("p").json() == {"id": 1}
        assert unplayed(cassette) == ["1: POST https://api.example/v1"]
        assert post("p").json() == {"id": 2}
        assert unplayed(cassette) == []
        with pytest.raises(CannotOverwriteExistingCassetteException):
            post("p")


@pytest.mark.parametrize(("prompt", "headers"), [("q", {}), ("p", {"Range": "bytes=1-"})])
def test_a_request_that_has_changed_is_not_played(
    twice: Path, prompt: str, headers: dict[str, str]
) -> None:
    """Another body or another header that counts finds nothing."""
    with use(twice, "none", Scrub()), pytest.raises(CannotOverwriteExistingCassetteException):
        post(prompt, **headers)


def test_a_key_that_goes_where_none_went_is_not_played(twice: Path) -> None:
    """Whether a request carries a key is part of what is compared."""
    with use(twice, "none", Scrub()), pytest.raises(CannotOverwriteExistingCassetteException):
        requests.post("https://api.example/v1", json={"prompt": "p"}, timeout=5)


def test_tests_reach_loopback_alone() -> None:
    """A test that would go out is stopped before it does: pytest alone is told so."""
    with socket.create_server(("127.0.0.1", 0)) as here, socket.socket() as caller:
        caller.connect(here.getsockname())
    with socket.socket() as caller, pytest.raises(RuntimeError, match="Network is disabled"):
        caller.connect(("192.0.2.1", 9))


@NO_NETWORK
def test_where_cassettes_are_played_nothing_is_reached() -> None:
    """There, loopback is out of reach too: no sandbox can stand in for what was not recorded."""
    with (
        socket.create_server(("127.0.0.1", 0)) as here,
        socket.socket() as caller,
        pytest.raises(RuntimeError, match="Network is disabled"),
    ):
        caller.connect(here.getsockname())
