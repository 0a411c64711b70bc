"""Readers take time in proportion to what they read: small responses cannot stop the client.

The inputs are so long that a cubic reader would take hours for them, and a quadratic one twice the
limit.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from laozhang import FILE, LINES, connect_sync, make_chunk, make_event, make_response, make_stream
from time_limit import limited_time

from veo.batch.input import parse_items
from veo.batch.item import read_items
from veo.batch.paths import OutputPaths
from veo.errors import VeoError
from veo.problems import ItemLocation
from veo.request import Request
from veo.text.spelling import find_similar
from veo.wire.values import parse_json_or_none, parse_retry_after, parse_timestamp
from veo_gemini.error_table import google_error
from veo_gemini.interactions.errors import POLL_RULES
from veo_gemini.interactions.platform import find_streamed_video
from veo_gemini.interactions.read import read_interaction
from veo_laozhang import chat_text
from veo_laozhang.chat_stream import ChatStreamParser
from veo_laozhang.error_body import parse_error, read_error
from veo_laozhang.evidence import MAX_BYTES, extend_end
from veo_laozhang.lenient_json import parse_progress
from veo_laozhang.responses import read_poll, read_submit_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

N = 5_000


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Every test has the same limit, far above what it needs."""
    with limited_time(4.0):
        yield


TEXTS = {
    "links": "[a](http://" * N,
    "links in brackets": "[a](http://x(" * N + ")",
    "links that end": "[a](http://" * N + ")",
    "closed brackets": "](http://" + "(a)" * N,
    "openings": "[" * N + "](",
    "blanks in a link": "[a](" + " " * N + "http://x",
    "titles": '[a](http://x "' * N,
    "angles": "<http://" * N,
    "tags": "<video src=" * N,
    "tags without end": "<video " + "src " * N,
    "tags and blanks": "<video src" + " " * N + "=" + " " * N,
    "quotes": '<video src="https:' * N,
    "addresses": "http://(" * N,
    "one address": "http://" + "a." * N,
    "brackets of an address": "http://" + "[a]" * N + "[",
    "fences": "```json" * N,
    "fence and blanks": "```json" + " " * N,
    "progress": "progress" * N + " " * N,
    "progress and blanks": ("progress:" + " " * 1000 + "5") * (N // 1000),
    "successes": "success ✅ " * N,
    "failures": "失败 error " * N,
    "line feeds": "\n" * N,
    "dots": "http://a" + ".mp4x" * N,
    "ends": "http://a" + ")" * N,
    "entities": "http://a?" + "&amp" * N,
    "a huge entity": "http://a?&#" + "9" * N + ";",
}
FINDERS: dict[str, Callable[[str], Any]] = {
    "url": chat_text.find_video_url,
    "partial url": lambda text: chat_text.find_video_url(text, finished=False),
    "all urls": chat_text.find_all_urls,
    "progress": lambda text: chat_text.parse_progress("%" + text),
    "last line": chat_text.find_last_line,
}


@pytest.mark.parametrize("find", FINDERS.values(), ids=FINDERS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_of_a_chat(text: str, find: Callable[[str], Any]) -> None:
    """Openings without an end, blanks, and repetitions."""
    find(text)


BODIES = {
    "title and blanks": b"<html><title>" + b" " * N,
    "titles": b"<html>" + b"<title>" * N,
    "blanks": b" " * N + b"x",
    "blanks in a message": json.dumps({"message": "no" + " " * N + "x"}).encode(),
    "request ids": json.dumps({"message": "(request id:" * N}).encode(),
    "request id and blanks": json.dumps({"message": "(request id" + " " * N}).encode(),
    "nested text": json.dumps({"message": json.dumps({"error": json.dumps("[" * N)})}).encode(),
    "brackets": b"[" * N,
    "objects": b'{"error":' * N,
    "codes": json.dumps({"errors": [{"code": "x" * 90}] * N}).encode(),
    "a number": b'{"code":' + b"9" * N + b"}",
    "digits": json.dumps({"progress": "9" * N, "status": " " * N, "id": " " * N}).encode(),
    "percent": json.dumps({"status": "running", "progress": "5" + " " * N + "x"}).encode(),
    "escapes": b'{"message":"' + rb"\ud800" * N + b'"}',
    "envelopes": b'{"code":0,"data":' * 900 + b"1" + b"}" * 900,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("status", [200, 400, 502])
def test_bodies(body: bytes, status: int) -> None:
    """Every reader of a response that is not a stream."""
    response = make_response(body, status)
    assert len(read_error(response).message) <= 700
    for read in (read_submit_response, lambda each: read_poll(each, "t")):
        with suppress(VeoError):
            read(response)


PARTS = [{"type": "video", "text": "x" * 90, "uri": ""}] * N
INTERACTIONS: dict[str, Any] = {
    "words": {"status": "completed", "steps": [{"content": PARTS}]},
    "steps": {"status": "completed", "steps": [{"type": "model_output", "content": []}] * N},
    "errors": {"status": "failed", "errors": [{"code": "x" * 90, "message": "y " * 90}] * N},
    "other errors": {"status": "failed", "errors": [{"code": n, "message": n} for n in range(N)]},
    "a long word": {"status": "x" * N, "error": {"message": "safety" * N}},
    "tokens": {
        "status": "completed",
        "usage": {"output_tokens_by_modality": [{"modality": "video", "tokens": 1}] * N},
    },
    "blanks": {"error": {"code": " " * N, "message": " " * N + "x"}},
}


@pytest.mark.parametrize("body", INTERACTIONS.values(), ids=INTERACTIONS)
def test_interactions(body: dict[str, Any]) -> None:
    """Their reasons are short, however long the response is."""
    with suppress(VeoError):
        update = read_interaction(body, "v1_a", {})
        assert len(f"{update.message} {update.error}") < 1200
    google_error(make_response(json.dumps(body).encode(), 400), "poll", first=POLL_RULES)


@pytest.mark.parametrize("text", ["\n" * N, "data:" * N, "data: {}\n\n" * N, "data: [\n" * N])
def test_streamed_interactions(text: str) -> None:
    """Many events, and one of many lines."""
    assert find_streamed_video(text) is None


def test_values() -> None:
    """Values of a header or a field."""
    for text in ("9" * N, " " * N + "x", "1" + "." * N, "-" * N, "2026-01-01T" + "0" * N):
        parse_retry_after(text)
        parse_timestamp(text)
        parse_progress(text, running=True)
        parse_json_or_none(text)
        parse_error(text, text)


# ---- streams


def read_stream(pieces: Iterator[bytes]) -> ChatStreamParser:
    """Return a parser that was fed as the route feeds it."""
    parser = ChatStreamParser()
    route = connect_sync("http://127.0.0.1:9")
    route._feed_parser(parser, pieces, lambda _: None)
    parser.close()
    return parser


def test_tiny_chunks() -> None:
    """A byte at a time: the work does not depend on how the bytes arrive."""
    deltas = [{"delta": {"content": f"line {number}\n"}} for number in range(2000)]
    body = b"".join(make_event({"choices": [delta]}) for delta in deltas)
    parser = read_stream(bytes((byte,)) for byte in body)
    assert str(parser.content).count("line") == 2000


def test_a_long_line_in_tiny_chunks() -> None:
    """The line is not copied for every chunk."""
    body = b": " + b"x" * 150_000
    assert read_stream(bytes((byte,)) for byte in body).event_count == 0


def test_many_small_events() -> None:
    """The text is not copied, nor read anew, for every event."""
    event = b'data: {"choices":[{"delta":{"content":"ab"}}]}\n\n'
    parser = read_stream(event for _ in range(N))
    assert len(parser.content) == 2 * N


def test_many_events_after_the_end_of_the_message() -> None:
    """A finished message without a link is not searched again for every chunk."""
    event = b'data: {"choices":[{"delta":{"content":"a "},"finish_reason":"stop"}]}\n\n'
    parser = read_stream(event for _ in range(N))
    assert parser.is_finished


@pytest.mark.parametrize(
    "line", [b"data: x\n", b"data: {\n", b"data:\n", b"\n", b"x\n", b"\r", b":"], ids=repr
)
def test_odd_lines(line: bytes) -> None:
    """Events of many lines, none of which is JSON."""
    assert read_stream(iter([line * N])).event_count == 0


def test_how_often_the_text_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the readers of the progress get is a fixed multiple of the stream, however long."""
    read: list[int] = []
    find = chat_text.find_last_line

    def count(text: str) -> str | None:
        read.append(len(text))
        return find(text[-100:])

    monkeypatch.setattr(chat_text, "find_last_line", count)
    monkeypatch.setattr(chat_text, "parse_progress", lambda _: None)
    shares = []
    for events in (2_000, 10_000):
        read.clear()
        read_stream(make_chunk({"content": "a line of text\n"}) for _ in range(events))
        shares.append(sum(read) / events)
    assert shares[1] < 2 * shares[0]


def test_the_end_of_a_body() -> None:
    """It is collected without copying it for every chunk."""
    end = bytearray()
    for _ in range(100_000):
        extend_end(end, b"x")
    assert end == b"x" * MAX_BYTES
    extend_end(end, b"y" * 3 * MAX_BYTES)
    assert end == b"y" * MAX_BYTES


def test_a_video_at_the_end_of_a_long_stream() -> None:
    """The limits cut off nothing that a real stream has."""
    noise = [make_chunk({"reasoning_content": "thinking\n"})] * N
    assert make_event({}) not in noise
    parser = read_stream(iter([*noise, make_stream(LINES)]))
    assert chat_text.find_video_url(str(parser.content)) == FILE


# ---- batch files


def test_an_item_of_many_bad_keys() -> None:
    """A file of a megabyte: the first problems are named, the rest counted."""
    item = {"prompt": "a lion"} | {f"key_{number}_{'x' * 10}": 1 for number in range(5 * N)}
    raw, problems = parse_items(json.dumps([item]).encode())
    items, more = read_items(raw)
    assert (items, problems) == ([], [])
    assert len(more) < 30
    assert f"{5 * N - 20} more" in str(more[-1])


def test_an_item_of_many_double_keys() -> None:
    """Keys are counted once each."""
    pairs = ",".join(f'"k{number}":1,"k{number}":2' for number in range(5 * N))
    raw, problems = parse_items(f"[{{{pairs}}}]".encode())
    assert raw == []
    assert len(problems) < 30
    assert f"{5 * N - 20} more" in str(problems[-1])


@pytest.mark.parametrize("key", ["x" * N, "-_ ." * N, "prompt" * N], ids=len)
def test_a_long_key(key: str) -> None:
    """No similar key is looked for, and the message is short."""
    raw, _ = parse_items(json.dumps([{"prompt": "a lion", key: 1}]).encode())
    (problem,) = read_items(raw)[1]
    assert len(str(problem)) < 300
    assert find_similar(key, ["prompt", "negative_prompt"]) is None


@pytest.mark.parametrize(
    "text",
    ['{"prompt":"a"}\n' * N, '{"prompt":"a"}\n' + "x\n" * N, "[" + '{"prmpt":1},' * N + "1]"],
    ids=len,
)
def test_many_items(text: str) -> None:
    """Valid and invalid ones."""
    raw, problems = parse_items(text.encode())
    items, more = read_items(raw)
    assert len(items) + len(problems) + len(more) >= N


def test_file_names(tmp_path: Path) -> None:
    """Many items with the same prompt and no name of their own."""
    paths, request = OutputPaths(tmp_path), Request(prompt="a lion")
    names = {paths.generate_path(request, ItemLocation(number)).name for number in range(N)}
    assert len(names) == N
