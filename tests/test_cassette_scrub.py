"""Removal of secrets and unlisted fields from recorded requests and responses."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from typing import Any

import pytest
import requests
from cassette_scrub import Scrubber, UnlistedError
from vcr.request import Request

URL = "https://api.laozhang.ai/v1/videos"
IMAGE = bytes(range(256)) * 2
SCRUBBER = Scrubber({"http://127.0.0.1:4123": "https://api.laozhang.ai"}, ("secret-of-mine",))


def scrub_json(body: Any = None, url: str = URL, **headers: str) -> Request:
    """Return a scrubbed request with a JSON body."""
    data = None if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return SCRUBBER.scrub_request(
        Request("POST", url, data, {"Content-Type": "application/json"} | named)
    )


def scrub_form(*images: bytes, **fields: str) -> Request:
    """Return a scrubbed request with a form."""
    plain = [(name, (None, text)) for name, text in fields.items()]
    files = [("input_reference", ("a.jpg", data, "image/jpeg")) for data in images]
    sent = requests.Request("POST", URL, files=plain + files).prepare()
    return SCRUBBER.scrub_request(Request("POST", URL, sent.body, sent.headers))


def scrub_response(body: Any, kind: str = "application/json", **headers: str) -> dict[str, Any]:
    """Return a scrubbed response."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): [text] for name, text in headers.items()}
    sent = {"Content-Type": [kind], "Content-Length": [str(len(data))], **named}
    return SCRUBBER.scrub_response(
        {"status": {"code": 200}, "headers": sent, "body": {"string": data}}
    )


def read_json(response: dict[str, Any]) -> Any:
    """Return the JSON of a response."""
    return json.loads(response["body"]["string"])


def test_json_bodies_are_normalized() -> None:
    """The order of fields does not matter, their values do."""
    one, same = {"model": "m", "prompt": "p"}, {"prompt": "p", "model": "m"}

    assert scrub_json(one).body == scrub_json(same).body
    assert scrub_json(one).body != scrub_json(one | {"prompt": "q"}).body


def test_forms_are_normalized() -> None:
    """A form is its parts with names, order, types and sha256; the boundary does not matter."""
    one = scrub_form(IMAGE, b"\r\n--x\n\r" + IMAGE, prompt="ein Löwe\nat dawn")

    assert one.body == scrub_form(IMAGE, b"\r\n--x\n\r" + IMAGE, prompt="ein Löwe\nat dawn").body
    assert json.loads(one.body or b"") == [
        {"name": "prompt", "text": "ein Löwe\nat dawn"},
        *(
            {
                "name": "input_reference",
                "filename": "a.jpg",
                "type": "image/jpeg",
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for data in (IMAGE, b"\r\n--x\n\r" + IMAGE)
        ),
    ]


@pytest.mark.parametrize(
    "scrub",
    [
        lambda: scrub_json({"model": "m", "strange": 1}),
        lambda: scrub_form(strange="1"),
    ],
)
def test_unlisted_field_of_a_request(scrub: Any) -> None:
    """A request with an unlisted field is not recorded."""
    with pytest.raises(UnlistedError, match="strange"):
        scrub()


def test_key_of_a_request() -> None:
    """The presence of a key is recorded, not its value; other headers are removed."""
    scrubbed = scrub_json({}, Authorization="Bearer secret", User_Agent="me/1", Range="bytes=5-")

    assert dict(scrubbed.headers) == {
        "content-type": "application/json",
        "range": "bytes=5-",
        "authorization": "<key>",
    }


def test_images_are_replaced_by_their_sha256() -> None:
    """Long base64 texts, also in data URIs, become the sha256 of their bytes."""
    text, name = b64encode(IMAGE).decode(), hashlib.sha256(IMAGE).hexdigest()
    scrubbed = json.loads(
        scrub_json({"image": text, "url": f"data:image/png;base64,{text}"}).body or b""
    )

    assert scrubbed == {"image": f"sha256:{name}", "url": f"data:image/png;base64,sha256:{name}"}


@pytest.mark.parametrize(
    ("text", "scrubbed"),
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
def test_texts(text: str, scrubbed: str) -> None:
    """Hosts are renamed; signatures, projects and keys are removed; this is idempotent."""
    assert SCRUBBER.scrub_text(text) == scrubbed
    assert SCRUBBER.scrub_text(scrubbed) == scrubbed


def test_unlisted_fields_of_a_response() -> None:
    """Unlisted fields and headers of a response are removed, at any depth."""
    scrubbed = scrub_response(
        {
            "id": "1",
            "email": "a@b",
            "error": {"message": "no secret-of-mine", "account": {"id": 2}},
        },
        Set_Cookie="a=b",
        Retry_After="30",
        Server="x",
    )

    assert read_json(scrubbed) == {"id": "1", "error": {"message": "no <key>"}}
    assert scrubbed["headers"] == {"content-type": ["application/json"], "retry-after": ["30"]}


def test_video_is_unchanged() -> None:
    """The bytes of a video and its length are unchanged."""
    scrubbed = scrub_response(IMAGE, "video/mp4", ETag='"x"', Content_Range="bytes 1-2/3")

    assert scrubbed["body"]["string"] == IMAGE
    assert scrubbed["headers"]["content-length"] == ["512"]
    assert scrubbed["headers"]["content-range"] == ["bytes 1-2/3"]


@pytest.mark.parametrize(
    ("data", "kind"), [(b"<html>who</html>", "text/html"), (b"{", "application/json")]
)
def test_unknown_body_is_removed(data: bytes, kind: str) -> None:
    """A web page and invalid JSON are removed, as they cannot be checked."""
    assert scrub_response(data, kind)["body"]["string"] == b""


def test_stream_is_unchanged_where_possible() -> None:
    """Only lines with unlisted fields are rewritten without them."""
    event = '{"id":"1","choices":[{"delta":{"content":"进度\uff1a1%\u2028\\n"}}]}'
    good = f"data: {event}\r\n\r\n: PING\n\n"
    bad = 'data: {"id":"1","account":"me"}\n\nstrange line\ndata: [DONE]\n\n'
    scrubbed = scrub_response((good + bad).encode(), "text/event-stream")["body"]["string"].decode()

    assert scrubbed == good + 'data: {"id": "1"}\n\n\ndata: [DONE]\n\n'


def test_scrubbing_is_idempotent() -> None:
    """Scrubbing twice is the same as once, as the hooks also run in a replay."""
    request = scrub_form(IMAGE, prompt="p")
    response = scrub_response({"id": "1", "url": "http://127.0.0.1:4123/a?b=c"})

    assert vars(SCRUBBER.scrub_request(request)) == vars(request)
    assert SCRUBBER.scrub_response(response) == response
