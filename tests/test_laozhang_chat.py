"""The chat stream: read from any cut, in any dialect, and never fooled by the echoed prompt."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laozhang import FILE, KEY, LINES, PROMPT, STREAM, chunk, event, stream

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
ROUTE = LaoZhangSync(Connection("http://127.0.0.1:9/v1", KEY, LaoZhangSync.facts.models))


@dataclass
class Canned:
    """An open answer whose pieces are known, and which may break after the last."""

    pieces: Iterable[bytes]
    breaks: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    key: Key = KEY

    def chunks(self, _size: None) -> Iterator[bytes]:
        """The pieces, then the break."""
        yield from self.pieces
        if self.breaks:
            raise ResponseLostError("the connection broke")


def listen(*pieces: bytes, breaks: bool = False) -> tuple[Update, list[Update]]:
    """What a stream comes to, and what was reported on the way."""
    told: list[Update] = []
    canned: Any = Canned(pieces, breaks)
    return ROUTE._read_stream(canned, told.append, math.inf), told


def fails(*pieces: bytes, breaks: bool = False) -> VeoError:
    """The error that a stream ends in; charged in every case, and never to be repeated."""
    with pytest.raises(VeoError) as caught:
        listen(*pieces, breaks=breaks)
    assert (caught.value.charged, caught.value.retryable) == (True, False)
    return caught.value


def heard(*pieces: bytes) -> ChatStreamParser:
    """A reader that was fed to the end."""
    reader = ChatStreamParser()
    for piece in pieces:
        reader.feed(piece)
    reader.close()
    return reader


# ---- the real one


def test_the_published_stream_becomes_a_video() -> None:
    """The link in the success line counts, and progress is told on the way."""
    update, told = listen(STREAM)
    assert (update.stage, update.video) == (Stage.READY, RemoteVideo(FILE))
    assert told[-1].stage is Stage.RUNNING
    assert told[-1].progress == pytest.approx(0.459)


def test_every_line_is_news_once() -> None:
    """Each line of progress is reported as it comes, the echo of the prompt never."""
    pieces = [chunk({"content": line}) for line in LINES] + [b"data: [DONE]\n\n"]
    told = listen(*pieces)[1]
    shares = [update.progress for update in told]
    assert shares[:2] == [None, None]
    assert shares[2:] == pytest.approx([0.09, 0.18, 0.279, 0.369, 0.459, 0.459])
    assert told[1].message == "⌛️ 视频正在生成中\uff0c请耐心等待..."
    assert not any(PROMPT in (update.message or "") for update in told)


@pytest.mark.parametrize("breaks", [False, True])
def test_a_stream_cut_at_any_byte_is_a_video_or_a_clear_error(*, breaks: bool) -> None:
    """The right video as soon as its whole line has come, before that an error with the text."""
    whole = STREAM.index(chunk({"content": LINES[-1]})) + len(chunk({"content": LINES[-1]})) - 2
    for cut in range(len(STREAM) + 1):
        if cut >= whole:
            assert listen(STREAM[:cut], breaks=breaks)[0].video == RemoteVideo(FILE)
        else:
            whatever = ProtocolError if 0 < cut < len("data") else GenerationError
            error = fails(STREAM[:cut], breaks=breaks)
            assert type(error) is (ResponseLostError if breaks else whatever)


def test_any_split_into_pieces_reads_the_same() -> None:
    """Pieces end inside words, line ends and UTF-8 signs; nothing of it shows."""
    whole = heard(STREAM)
    assert whole.content == "".join(LINES)
    for size in (1, 2, 3, 7, 64, 1000):
        pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
        assert heard(*pieces) == whole


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_any_few_cuts_read_the_same(cuts: list[int]) -> None:
    """The same for cuts that hypothesis chooses."""
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    assert heard(*pieces) == heard(STREAM)


# ---- dialects of the event stream


DIALECTS = {
    "crlf": STREAM.replace(b"\n", b"\r\n"),
    "no space": STREAM.replace(b"data: ", b"data:"),
    "byte order mark": b"\xef\xbb\xbf" + STREAM,
    "comments": STREAM.replace(b"\n\n", b"\n\n: PING\n\n"),
    "events": STREAM.replace(b"data: {", b"event: message\nid: 1\nretry: 3\ndata: {"),
    "no done": STREAM.removesuffix(b"data: [DONE]\n\n"),
    "no end": stream(LINES, ended=False),
    "no last line feed": STREAM.rstrip(),
    "a broken chunk": STREAM.replace(b"data: [DONE]", b'data: {"choices":[]]}\n\ndata: [DONE]'),
    "a broken chunk first": b"data: ]]}\n\n" + STREAM,
    "talk after done": STREAM + chunk({"content": "[x](https://example.com/late.mp4)"}),
    "empty id": STREAM.replace(b"foaicmpl-2b1c", b"").replace(b"1764172941", b"0"),
    "usage without choices": stream(LINES, ended=False)
    + event({"choices": [], "usage": {"total_tokens": 1}})
    + b"data: [DONE]\n\n",
    "null content": chunk({"content": None}) + STREAM,
    "content in parts": chunk(
        {"content": [{"type": "text", "text": line} for line in LINES] + [None]}, "stop"
    ),
    "message instead of delta": event({"choices": [{"message": {"content": "".join(LINES)}}]}),
    "odd shapes": event({"choices": None})
    + event({"choices": "x"})
    + event({"choices": [None, 1, {"delta": 7}]})
    + event([1])
    + STREAM,
    "whole json": event({"choices": [{"message": {"content": "".join(LINES)}}]})[6:],
    "whole pretty json": json.dumps(
        {"object": "chat.completion", "choices": [{"message": {"content": "".join(LINES)}}]},
        indent=2,
    ).encode(),
    "several choices": event(
        {"choices": [{"index": n, "delta": {"content": line}} for n, line in enumerate(LINES)]}
    ),
}


@pytest.mark.parametrize("body", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_gives_the_same_video(body: bytes) -> None:
    """Line ends, comments, broken chunks, whole bodies: the video is found."""
    assert listen(body)[0].video == RemoteVideo(FILE)


def test_progress_beside_the_text_is_read() -> None:
    """A look-alike reports in `reasoning_content` and answers with a tag and a signed URL."""
    tag = f"<video src='{SIGNED.replace('&', '&amp;')}' controls style='x'></video>"
    pieces = [
        chunk({"reasoning_content": "生成进度: 3%\n"}, id="a"),
        chunk({"reasoning_content": "生成进度: 61%\n"}, id="b"),
        chunk({"content": tag}, "stop", id="c"),
        event({"choices": [], "usage": {}}),
        b"data: [DONE]\n\n",
    ]
    update, told = listen(*pieces)
    assert update.video == RemoteVideo(SIGNED)
    assert [news.progress for news in told[:2]] == [0.03, 0.61]


def test_the_connection_may_stay_open_behind_the_end() -> None:
    """Once the answer is finished and has its link, nobody waits for more."""

    def endless() -> Iterator[bytes]:
        yield stream(LINES, ended=False)
        yield chunk({}, "stop")
        pytest.fail("asked for more")

    canned: Any = Canned(endless())
    assert ROUTE._read_stream(canned, lambda _: None, math.inf).video == RemoteVideo(FILE)


# ---- failures after HTTP 200


def test_a_failure_in_the_text_is_told_whole() -> None:
    """A look-alike fails beside the text, without a content or a reason."""
    error = fails(
        chunk(
            {"reasoning_content": "❌ 生成失败: upstream 500, [help](https://example.com/help)\n"}
        ),
        event({"choices": [], "usage": {}}),
        b"data: [DONE]\n\n",
    )
    assert type(error) is GenerationError
    assert "生成失败: upstream 500" in error.message


@pytest.mark.parametrize("head", [b"", stream(LINES[:4], ended=False)])
def test_an_error_object_in_the_stream_ends_it(head: bytes) -> None:
    """Its message, its request id, and what was said before."""
    error = fails(head + event({"error": {"message": "no luck (request id: 8)", "code": ""}}))
    assert type(error) is GenerationError
    assert error.message.startswith("no luck")
    assert error.request_id == "8"


def test_a_bare_error_object_counts_too() -> None:
    """Also where it comes as JSON that ignores the event stream."""
    body = json.dumps({"error": {"message": "内容违规", "code": "x"}}, ensure_ascii=False).encode()
    assert type(fails(body)) is ModeratedError
    assert fails(stream(LINES[:3], ended=False) + body).message.startswith("内容违规")


def test_moderation_is_told_by_words_or_by_the_reason() -> None:
    """A refusal in prose, and the standard finish reason."""
    assert type(fails(stream([ECHO, "> 内容违规\n"]))) is ModeratedError
    assert type(fails(chunk({"content": "Sorry."}, "content_filter"))) is ModeratedError


def test_a_video_before_an_error_is_still_a_video() -> None:
    """What was paid for is not thrown away because something broke behind it."""
    body = stream(LINES, ended=False) + event({"error": {"message": "late trouble"}})
    assert listen(body)[0].video == RemoteVideo(FILE)


def test_a_web_page_is_no_chat() -> None:
    """HTTP 200 with a page of some proxy."""
    error = fails(b"<html><body>please log in</body></html>")
    assert type(error) is ProtocolError
    assert "please log in" in error.message


def test_silence_is_told_as_such() -> None:
    """An empty stream, and one that only ends."""
    for body in (b"", b"data: [DONE]\n\n", b": PING\n\n"):
        assert fails(body).message == "the stream ended without a video: it has no text"


def test_the_text_in_an_error_is_bounded_and_has_no_key() -> None:
    """The end of a long text tells more than its beginning."""
    error = fails(stream([f"> {KEY.reveal()} " + "x" * 9000 + " the end\n"]))
    assert len(error.message) < 4200
    assert error.message.endswith("the end")
    assert "[key]" in fails(stream([f"> {KEY.reveal()}\n"])).message


def test_too_long_and_too_late_are_ends() -> None:
    """A stream is left when its time is over, or when it says more than any chat would."""
    canned: Any = Canned([STREAM[:500], STREAM[500:]])
    with pytest.raises(ResponseLostError, match="took too long") as caught:
        ROUTE._read_stream(canned, lambda _: None, -math.inf)
    assert caught.value.charged is True
    assert "longer than" in fails(b": " + b"x" * 8_000_000 + b"\n", b": y\n").message


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
    "preview picture": (f"![p](https://example.com/p.jpg?x=1)\n![v]({FILE})", FILE),
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
def test_the_right_link_is_taken(text: str, url: str | None) -> None:
    """The order of trust, the trimming, and what is no video at all."""
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
def test_half_a_url_is_none(text: str, url: str | None) -> None:
    """Where the text was cut off, a URL that nothing ends may go on."""
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
    """The last one counts, in either language; a percentage in the prompt is none."""
    assert parse_progress(text) == share


def test_the_echo_is_never_part_of_the_answer() -> None:
    """Not when it is whole, not while it is still open, not with a fence inside the prompt."""
    fenced = '```json\n{"prompt": "a ``` b \\n```\\n https://example.com/x.mp4"}\n```\nrest'
    assert strip_echo(fenced).strip() == "rest"
    assert find_last_line(fenced) == "rest"
    assert find_last_line(ECHO) is None
    assert find_last_line("> \n> ⌛️ wait\n\n") == "⌛️ wait"


# ---- whatever comes


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_any_bytes_end_in_a_video_or_an_error_of_ours(pieces: list[bytes], breaks: bool) -> None:
    """No bytes break the reader, with or without the beginning of a real stream."""
    for head in (b"", STREAM[:700]):
        _only_ours(head, *pieces, breaks=breaks)


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
def test_any_events_end_in_a_video_or_an_error_of_ours(bodies: list[Any]) -> None:
    """No shape of JSON breaks the reader."""
    _only_ours(*map(event, bodies))


@given(st.text(max_size=200), st.booleans())
def test_any_text_is_read(text: str, finished: bool) -> None:
    """No text breaks the readers of the text."""
    for said in (text, f"✅ [x]({text})", f"https://a.mp4{text}"):
        url = find_video_url(said, finished=finished)
        assert url is None or url.startswith(("http://", "https://"))
        assert parse_progress(said) is None or find_last_line(said) is not None


def _only_ours(*pieces: bytes, breaks: bool = False) -> None:
    try:
        update = listen(*pieces, breaks=breaks)[0]
    except VeoError as error:
        assert error.charged is True  # noqa: PT017 - raising is one of two right answers
    else:
        assert update.video is not None
