"""What is taken out of requests and answers before they become a cassette."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import Any

import pytest
import requests
from cassette_scrub import Scrub, UnlistedError
from vcr.request import Request

URL = "https://api.laozhang.ai/v1/videos"
PICTURE = bytes(range(256)) * 2
SCRUB = Scrub({"http://127.0.0.1:4123": "https://api.laozhang.ai"}, ("secret-of-mine",))


def asked(body: Any = None, url: str = URL, **headers: str) -> Request:
    """A request of JSON, as it is kept."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return SCRUB.request(Request("POST", url, data, {"Content-Type": "application/json"} | named))


def form(*pictures: bytes, **fields: str) -> Request:
    """A request of a form, as it is kept."""
    plain = [(name, (None, text)) for name, text in fields.items()]
    files = [("input_reference", ("a.jpg", data, "image/jpeg")) for data in pictures]
    sent = requests.Request("POST", URL, files=plain + files).prepare()
    return SCRUB.request(Request("POST", URL, sent.body, sent.headers))


def answered(body: Any, kind: str = "application/json", **headers: str) -> dict[str, Any]:
    """An answer, as it is kept."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): [text] for name, text in headers.items()}
    told = {"Content-Type": [kind], "Content-Length": [str(len(data))], **named}
    return SCRUB.answer({"status": {"code": 200}, "headers": told, "body": {"string": data}})


def body(answer: dict[str, Any]) -> Any:
    """The JSON of an answer."""
    return json.loads(answer["body"]["string"])


def test_json_is_compared_parsed() -> None:
    """The order of fields makes no difference, a value does."""
    one, same = {"model": "m", "prompt": "p"}, {"prompt": "p", "model": "m"}

    assert asked(one).body == asked(same).body
    assert asked(one).body != asked(one | {"prompt": "q"}).body


def test_a_form_is_compared_by_its_parts() -> None:
    """The boundary is chance, the parts are not: names, order, types and the bytes' sha256."""
    one = form(PICTURE, b"\r\n--x\n\r" + PICTURE, prompt="ein Löwe\nat dawn")

    assert one.body == form(PICTURE, b"\r\n--x\n\r" + PICTURE, prompt="ein Löwe\nat dawn").body
    assert json.loads(one.body or b"") == [
        {"name": "prompt", "text": "ein Löwe\nat dawn"},
        *(
            {
                "name": "input_reference",
                "filename": "a.jpg",
                "type": "image/jpeg",
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for data in (PICTURE, b"\r\n--x\n\r" + PICTURE)
        ),
    ]


@pytest.mark.parametrize(
    "ask", [lambda: asked({"model": "m", "strange": 1}), lambda: form(strange="1")]
)
def test_what_no_list_allows_is_refused(ask: Any) -> None:
    """A field that would be left out would not be missed when it is gone: nothing is recorded."""
    with pytest.raises(UnlistedError, match="strange"):
        ask()


def test_a_key_is_noted_and_not_kept() -> None:
    """Whether a key was sent is compared, its value is nowhere; other headers are dropped."""
    kept = asked({}, Authorization="Bearer secret", User_Agent="me/1", Range="bytes=5-")

    assert dict(kept.headers) == {
        "content-type": "application/json",
        "range": "bytes=5-",
        "authorization": "<key>",
    }


def test_pictures_are_told_by_their_sha256() -> None:
    """Base64 of some length, in a data URI too, becomes the sha256 of what it holds."""
    text, name = b64encode(PICTURE).decode(), hashlib.sha256(PICTURE).hexdigest()
    kept = json.loads(asked({"image": text, "url": f"data:image/png;base64,{text}"}).body or b"")

    assert kept == {"image": f"sha256:{name}", "url": f"data:image/png;base64,sha256:{name}"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("http://127.0.0.1:4123/v1", "https://api.laozhang.ai/v1"),
        ("http://127.0.0.1:41234/v1", "http://127.0.0.1:41234/v1"),
        (
            "see https://oss.example/a.mp4?Expires=1&Signature=x%3D, or",
            "see https://oss.example/a.mp4 or",
        ),
        (
            "https://g.example/files/a:download?alt=media&key=x",
            "https://g.example/files/a:download?alt=media",
        ),
        ("name projects/my-own/locations/x", "name projects/p/locations/x"),
        ("it is secret-of-mine!", "it is <key>!"),
        ("no URL? a=b", "no URL? a=b"),
    ],
)
def test_texts(said: str, kept: str) -> None:
    """Hosts are the live ones; signatures, projects and the key are out; once is enough."""
    assert SCRUB.text(said) == kept
    assert SCRUB.text(kept) == kept


def test_an_answer_holds_what_is_listed() -> None:
    """Fields and headers that are not on the list are out, at any depth."""
    kept = answered(
        {
            "id": "1",
            "email": "a@b",
            "error": {"message": "no secret-of-mine", "account": {"id": 2}},
        },
        Set_Cookie="a=b",
        Retry_After="30",
        Server="x",
    )

    assert body(kept) == {"id": "1", "error": {"message": "no <key>"}}
    assert kept["headers"] == {"content-type": ["application/json"], "retry-after": ["30"]}


def test_a_video_is_kept_as_it_is() -> None:
    """Bytes of a video, and their length, are not touched."""
    kept = answered(PICTURE, "video/mp4", ETag='"x"', Content_Range="bytes 1-2/3")

    assert kept["body"]["string"] == PICTURE
    assert kept["headers"]["content-length"] == ["512"]
    assert kept["headers"]["content-range"] == ["bytes 1-2/3"]


@pytest.mark.parametrize(
    ("data", "kind"), [(b"<html>who</html>", "text/html"), (b"{", "application/json")]
)
def test_what_cannot_be_looked_through_is_left_out(data: bytes, kind: str) -> None:
    """No list can be held against a web page, or against JSON that is none."""
    assert answered(data, kind)["body"]["string"] == b""


def test_a_stream_is_kept_word_for_word() -> None:
    """Only lines that hold what is not allowed are told anew, without it."""
    told = '{"id":"1","choices":[{"delta":{"content":"进度\uff1a1%\u2028\\n"}}]}'
    good = f"data: {told}\r\n\r\n: PING\n\n"
    bad = 'data: {"id":"1","account":"me"}\n\nstrange line\ndata: [DONE]\n\n'
    kept = answered((good + bad).encode(), "text/event-stream")["body"]["string"].decode()

    assert kept == good + 'data: {"id": "1"}\n\n\ndata: [DONE]\n\n'


def test_twice_is_once() -> None:
    """What was kept is kept again the same way: the hooks run when a cassette is loaded, too."""
    ask = form(PICTURE, prompt="p")
    told = answered({"id": "1", "url": "http://127.0.0.1:4123/a?b=c"})

    assert vars(SCRUB.request(ask)) == vars(ask)
    assert SCRUB.answer(told) == told
