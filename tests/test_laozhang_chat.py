"""The chat stream: parsed whatever its chunks and its dialect, without the echo of the prompt."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laozhang import FILE, KEY, LINES, PROMPT, STREAM, make_chunk, make_event, make_stream

from veo.errors import (
    GenerationError,
    ModeratedError,
    ProtocolError,
    ResponseLostError,
    VeoError,
)
from veo.provider import Connection
from veo.update import RemoteVideo, Stage, Update
from veo_laozhang import LaoZhangSync
from veo_laozhang.chat_stream import ChatStreamParser
from veo_laozhang.chat_text import find_last_line, find_video_url, parse_progress, strip_echo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from veo.key import Key

SIGNED = "https://storage.googleapis.com/b/o?GoogleAccessId=a&Expires=1&Signature=x%3D"
ECHO = LINES[0]
PROVIDER = LaoZhangSync(Connection("http://127.0.0.1:9/v1", KEY, LaoZhangSync.facts.models))


@dataclass
class FakeResponse:
    """A streaming response with given chunks, after which the connection may break."""

    data: Iterable[bytes]
    breaks: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    key: Key = KEY
    status: int = 200
    content_type: str = "text/event-stream"

    def chunks(self) -> Iterator[bytes]:
        """Yield the chunks, then break."""
        yield from self.data
        if self.breaks:
            raise ResponseLostError("the connection broke")


def read_stream(*pieces: bytes, breaks: bool = False) -> tuple[Update, list[Update]]:
    """Return the result of a stream, and the updates reported before it."""
    reported: list[Update] = []
    response: Any = FakeResponse(pieces, breaks)
    update = PROVIDER._read_stream(response, reported.append)
    assert reported.pop(0).stage is Stage.SUBMITTED
    return update, reported


def read_error(*pieces: bytes, breaks: bool = False) -> VeoError:
    """Return the error that a stream ends with; it is charged and not retryable."""
    with pytest.raises(VeoError) as caught:
        read_stream(*pieces, breaks=breaks)
    assert (caught.value.charged, caught.value.retryable) == (True, False)
    return caught.value


def parse_all(*pieces: bytes) -> ChatStreamParser:
    """Return a parser after all chunks and the end of the stream."""
    parser = ChatStreamParser()
    for piece in pieces:
        parser.feed(piece)
    parser.close()
    return parser


# ---- the published stream


def test_the_published_stream_becomes_a_video() -> None:
    """The published stream gives the link of its success line, and progress before it."""
    update, reported = read_stream(STREAM)
    assert (update.stage, update.video) == (Stage.READY, RemoteVideo(FILE))
    assert reported[-1].stage is Stage.RUNNING
    assert reported[-1].progress == pytest.approx(0.459)


def test_every_line_is_reported_once() -> None:
    """Each line of progress is reported when it arrives, and the echo of the prompt is not."""
    pieces = [make_chunk({"content": line}) for line in LINES] + [b"data: [DONE]\n\n"]
    reported = read_stream(*pieces)[1]
    shares = [update.progress for update in reported]
    assert shares[:2] == [None, None]
    assert shares[2:] == pytest.approx([0.09, 0.18, 0.279, 0.369, 0.459, 0.459])
    assert reported[1].message == "⌛️ 视频正在生成中\uff0c请耐心等待..."
    assert not any(PROMPT in (update.message or "") for update in reported)


@pytest.mark.parametrize("breaks", [False, True])
def test_stream_interrupted_at_any_byte(*, breaks: bool) -> None:
    """The video is found once its line is complete; before that the stream is an error."""
    whole = (
        STREAM.index(make_chunk({"content": LINES[-1]}))
        + len(make_chunk({"content": LINES[-1]}))
        - 2
    )
    for cut in range(len(STREAM) + 1):
        if cut >= whole:
            assert read_stream(STREAM[:cut], breaks=breaks)[0].video == RemoteVideo(FILE)
        else:
            kind = ProtocolError if 0 < cut < len("data") else GenerationError
            error = read_error(STREAM[:cut], breaks=breaks)
            assert type(error) is (ResponseLostError if breaks else kind)


def test_chunk_size_does_not_matter() -> None:
    """Chunks may end inside words, line ends and UTF-8 characters."""
    whole = parse_all(STREAM)
    assert whole.content == "".join(LINES)
    for size in (1, 2, 3, 7, 64, 1000):
        pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
        assert parse_all(*pieces) == whole


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_chunk_boundaries_do_not_matter(cuts: list[int]) -> None:
    """Chunks may end at any few positions."""
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    assert parse_all(*pieces) == parse_all(STREAM)


# ---- dialects of the event stream


DIALECTS = {
    "crlf": STREAM.replace(b"\n", b"\r\n"),
    "no space": STREAM.replace(b"data: ", b"data:"),
    "byte order mark": b"\xef\xbb\xbf" + STREAM,
    "comments": STREAM.replace(b"\n\n", b"\n\n: PING\n\n"),
    "events": STREAM.replace(b"data: {", b"event: message\nid: 1\nretry: 3\ndata: {"),
    "no done": STREAM.removesuffix(b"data: [DONE]\n\n"),
    "no end": make_stream(LINES, ended=False),
    "no last line feed": STREAM.rstrip(),
    "a broken chunk": STREAM.replace(b"data: [DONE]", b'data: {"choices":[]]}\n\ndata: [DONE]'),
    "a broken chunk at the start": b"data: ]]}\n\n" + STREAM,
    "content after done": STREAM + make_chunk({"content": "[x](https://example.com/late.mp4)"}),
    "empty id": STREAM.replace(b"foaicmpl-2b1c", b"").replace(b"1764172941", b"0"),
    "usage without choices": make_stream(LINES, ended=False)
    + make_event({"choices": [], "usage": {"total_tokens": 1}})
    + b"data: [DONE]\n\n",
    "null content": make_chunk({"content": None}) + STREAM,
    "content in parts": make_chunk(
        {"content": [{"type": "text", "text": line} for line in LINES] + [None]}, "stop"
    ),
    "message instead of delta": make_event({"choices": [{"message": {"content": "".join(LINES)}}]}),
    "odd shapes": make_event({"choices": None})
    + make_event({"choices": "x"})
    + make_event({"choices": [None, 1, {"delta": 7}]})
    + make_event([1])
    + STREAM,
    "whole json": make_event({"choices": [{"message": {"content": "".join(LINES)}}]})[6:],
    "whole pretty json": json.dumps(
        {"object": "chat.completion", "choices": [{"message": {"content": "".join(LINES)}}]},
        indent=2,
    ).encode(),
    "several choices": make_event(
        {"choices": [{"index": n, "delta": {"content": line}} for n, line in enumerate(LINES)]}
    ),
}


@pytest.mark.parametrize("body", DIALECTS.values(), ids=DIALECTS)
def test_dialects(body: bytes) -> None:
    """The video is found whatever the line ends, comments, broken chunks, or formats."""
    assert read_stream(body)[0].video == RemoteVideo(FILE)


def test_progress_in_reasoning_content() -> None:
    """One reseller reports progress in `reasoning_content`, and sends a tag with a signed URL."""
    tag = f"<video src='{SIGNED.replace('&', '&amp;')}' controls style='x'></video>"
    pieces = [
        make_chunk({"reasoning_content": "生成进度: 3%\n"}, id="a"),
        make_chunk({"reasoning_content": "生成进度: 61%\n"}, id="b"),
        make_chunk({"content": tag}, "stop", id="c"),
        make_event({"choices": [], "usage": {}}),
        b"data: [DONE]\n\n",
    ]
    update, reported = read_stream(*pieces)
    assert update.video == RemoteVideo(SIGNED)
    assert [each.progress for each in reported[:2]] == [0.03, 0.61]


def test_a_link_in_the_reasoning() -> None:
    """It counts if the message has none."""
    draft = make_chunk({"reasoning_content": "✅ [draft](https://example.com/draft.mp4)\n"})
    assert read_stream(draft)[0].video == RemoteVideo("https://example.com/draft.mp4")
    assert read_stream(make_stream(LINES, ended=False), draft)[0].video == RemoteVideo(FILE)


def test_reading_ends_with_the_message() -> None:
    """A finished message with a link ends the reading, even if the connection stays open."""

    def yield_chunks() -> Iterator[bytes]:
        yield make_stream(LINES, ended=False)
        yield make_chunk({}, "stop")
        pytest.fail("read after the end")

    response: Any = FakeResponse(yield_chunks())
    assert PROVIDER._read_stream(response, lambda _: None).video == RemoteVideo(FILE)


# ---- failures after HTTP 200


def test_failure_in_reasoning_content() -> None:
    """One reseller reports a failure in `reasoning_content`, without a content or a reason."""
    error = read_error(
        make_chunk(
            {"reasoning_content": "❌ 生成失败: upstream 500, [help](https://example.com/help)\n"}
        ),
        make_event({"choices": [], "usage": {}}),
        b"data: [DONE]\n\n",
    )
    assert type(error) is GenerationError
    assert "生成失败: upstream 500" in error.message


@pytest.mark.parametrize("head", [b"", make_stream(LINES[:4], ended=False)])
def test_error_object_in_the_stream(head: bytes) -> None:
    """An error object gives the message and the request id."""
    error = read_error(
        head + make_event({"error": {"message": "failed (request id: 8)", "code": ""}})
    )
    assert type(error) is GenerationError
    assert error.message.startswith("failed")
    assert error.request_id == "8"


def test_error_object_outside_the_event_stream() -> None:
    """An error object counts also as plain JSON instead of an event."""
    body = json.dumps({"error": {"message": "内容违规", "code": "x"}}, ensure_ascii=False).encode()
    assert type(read_error(body)) is ModeratedError
    assert read_error(make_stream(LINES[:3], ended=False) + body).message.startswith("内容违规")


def test_moderation() -> None:
    """Moderation is reported in the text, or by the standard finish reason."""
    assert type(read_error(make_stream([ECHO, "> 内容违规\n"]))) is ModeratedError
    assert type(read_error(make_chunk({"content": "Sorry."}, "content_filter"))) is ModeratedError


def test_error_after_the_video_is_ignored() -> None:
    """A video that was received and paid for is kept if an error follows."""
    body = make_stream(LINES, ended=False) + make_event({"error": {"message": "late error"}})
    assert read_stream(body)[0].video == RemoteVideo(FILE)


def test_text_is_not_a_chat() -> None:
    """HTTP 200 with another text is a protocol error."""
    error = read_error(b"please log in")
    assert type(error) is ProtocolError
    assert "please log in" in error.message


def test_empty_stream() -> None:
    """An empty stream, and one without text, are described as such."""
    for body in (b"", b"data: [DONE]\n\n", b": PING\n\n"):
        assert read_error(body).message == "the stream ended without a video: it has no text"


def test_text_in_an_error_is_bounded_and_redacted() -> None:
    """The error contains the end of a long text, and never the key."""
    error = read_error(make_stream([f"> {KEY.reveal()} " + "x" * 9000 + " the end\n"]))
    assert len(error.message) < 4200
    assert error.message.endswith("the end")
    assert "[key]" in read_error(make_stream([f"> {KEY.reveal()}\n"])).message


def test_limit_of_size() -> None:
    """A stream is closed when it becomes too large."""
    assert "longer than" in read_error(b": " + b"x" * 8_000_000 + b"\n", b": y\n").message


# ---- the text


LINKS = {
    "success line": (f"✅ done, [click]({FILE})", FILE),
    "english": (f"> ✅ Video generated successfully, [Click here]({FILE})~~~", FILE),
    "download": (f"[download video]({FILE})", FILE),
    "success before others": (f"✅ [a]({FILE})\n[docs](https://example.com/docs)", FILE),
    "last link": (f"[a](https://example.com/a)\n[b]({FILE})", FILE),
    "last of a line": (f"✅ [a](https://example.com/a) [b]({FILE})", FILE),
    "link with title": (f'[a]({FILE} "the video")', FILE),
    "no suffix needed": ("✅ [a](https://cdn.example.com/v/8)", "https://cdn.example.com/v/8"),
    "preview image": (f"![p](https://example.com/p.jpg?x=1)\n![v]({FILE})", FILE),
    "tag, double quotes": (f'<video controls src="{FILE}"></video>', FILE),
    "tag, single quotes": (f"<video src='{SIGNED}' controls>", SIGNED),
    "tag, no quotes": (f"<video controls src={FILE}></video>", FILE),
    "source tag": (f'```html\n<video>\n<source src="{FILE}">\n</video>\n```', FILE),
    "bare": (f"here: {FILE}\u3002", FILE),
    "bare in bold": (f"**{FILE}**", FILE),
    "bare with query": (f"{FILE}?a=1&amp;b=2,", f"{FILE}?a=1&b=2"),
    "bare in a success line": ("生成成功 https://cdn.example.com/8 !", "https://cdn.example.com/8"),
    "bare on a storage host": (f"see {SIGNED}\n", SIGNED),
    "bare elsewhere": ("see https://example.com/help for more", None),
    "failure line": ("❌ failed, see [help](https://example.com/help)", None),
    "unsuccessful": ("未成功 https://example.com/8", None),
    "success that mentions failing": (f"✅ [a]({FILE}) (failed to load? reload)", FILE),
    "echo only": (ECHO, None),
    "open echo": (ECHO[:-8], None),
    "echo and link": (f"{ECHO}[a]({FILE})", FILE),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "url"), LINKS.values(), ids=LINKS)
def test_video_url(text: str, url: str | None) -> None:
    """Links are found in the order of preference, trimmed, and ignored if not of a video."""
    assert find_video_url(text) == url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("✅ [here](https://x.aliyuncs.com/flow/0f7f", None),
        ("https://x.aliyuncs.com/flow/0f7f", None),
        (f"{FILE}?Signature=ab", None),
        ("<video src='https://x.aliyuncs.com/fl", None),
        (f"✅ [here]({FILE})", FILE),
        (f"<video src='{FILE}'", FILE),
        (f"{FILE}\n", FILE),
        (f"[a]({FILE}) https://half", FILE),
    ],
)
def test_incomplete_url_is_ignored(text: str, url: str | None) -> None:
    """A URL at the end of an interrupted text may be incomplete."""
    assert find_video_url(text, finished=False) == url


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("> 🏃 进度\uff1a9.0%", 0.09),
        ("> 🏃 Progress: 36.0%", 0.36),
        ("进度:5%\n进度 \uff1a 7 %", 0.07),
        ("progress: 4000%", 1.0),
        (ECHO, None),
        ("50%", None),
    ],
)
def test_progress_in_the_text(text: str, share: float | None) -> None:
    """The last progress counts, in either language; percentages in the prompt do not."""
    assert parse_progress(text) == share


def test_echo_is_removed() -> None:
    """The echo is removed, also while it is incomplete, or if the prompt contains a fence."""
    fenced = '```json\n{"prompt": "a ``` b \\n```\\n https://example.com/x.mp4"}\n```\nrest'
    assert strip_echo(fenced).strip() == "rest"
    assert find_last_line(fenced) == "rest"
    assert find_last_line(ECHO) is None
    assert find_last_line("> \n> ⌛️ wait\n\n") == "⌛️ wait"


# ---- arbitrary input


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_any_bytes(pieces: list[bytes], breaks: bool) -> None:
    """Any bytes, alone or after the beginning of a stream, give a video or a VeoError."""
    for head in (b"", STREAM[:700]):
        _check_outcome(head, *pieces, breaks=breaks)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.sampled_from(
    ["choices", "delta", "message", "content", "reasoning_content", "error", "text", "code"]
)
events = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)


@given(st.lists(events, max_size=4))
def test_any_events(bodies: list[Any]) -> None:
    """Any JSON gives a video or a VeoError."""
    _check_outcome(*map(make_event, bodies))


@given(st.text(max_size=200), st.booleans())
def test_any_text(text: str, finished: bool) -> None:
    """Any text can be searched for a URL and for progress."""
    for line in (text, f"✅ [x]({text})", f"https://a.mp4{text}"):
        url = find_video_url(line, finished=finished)
        assert url is None or url.startswith(("http://", "https://"))
        assert parse_progress(line) is None or find_last_line(line) is not None


def _check_outcome(*pieces: bytes, breaks: bool = False) -> None:
    try:
        update = read_stream(*pieces, breaks=breaks)[0]
    except VeoError as error:
        assert error.charged is True  # noqa: PT017 - raising is one of two right answers
    else:
        assert update.video is not None
