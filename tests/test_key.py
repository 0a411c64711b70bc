"""A key cannot be printed by accident."""

import base64
import json
import logging
import time
import traceback
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.engine.redaction import redact_error, redact_stream, redact_update
from veo.errors import ProtocolError
from veo.key import Key, redact_known
from veo.problems import Remedy
from veo.provider import ByteStream
from veo.update import RemoteVideo, Stage, Update

KEY = Key("sandbox-key")


@dataclass
class Holder:
    """Something with a key in it."""

    key: Key


@pytest.mark.parametrize(
    "text",
    [
        repr(KEY),
        str(KEY),
        f"{KEY}",
        f"{KEY!r:>30}",
        f"{[KEY]} { ({'key': KEY}) }",
        "%s %r" % (KEY, KEY),  # noqa: UP031 - as logging does
        repr(Holder(KEY)),
    ],
)
def test_no_text_made_of_it_shows_it(text: str) -> None:
    """However it is formatted, alone or in something else."""
    assert "sandbox" not in text


def test_a_traceback_does_not_show_it() -> None:
    """Nor an error about something that has it."""
    with pytest.raises(ValueError, match=r"\[key\]") as caught:
        raise ValueError(Holder(KEY))
    assert "sandbox-key" not in "".join(traceback.format_exception(caught.value))


def test_a_log_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    """Passed to a logger by mistake."""
    logging.getLogger("veo").warning("connecting with %s (%r)", KEY, KEY)
    assert "sandbox" not in caplog.text


def test_only_reveal_gives_it_away() -> None:
    """For the one header that carries it."""
    assert KEY.reveal() == "sandbox-key"


@given(st.text("ab "), st.text("123-", min_size=1), st.text("ab "))
def test_redacted_text_is_free_of_it(before: str, key: str, after: str) -> None:
    """Everywhere, and nothing else is touched."""
    assert Key(key).redact(before + key + after + key) == f"{before}[key]{after}[key]"


def test_no_key_redacts_nothing() -> None:
    """An empty key is in every text; none is harmed."""
    assert Key("").redact("text") == "text"


LONG = Key("sk-Planted/Key+0123456789abcdef")
VALUE = LONG.reveal()
SPELLINGS = {
    "as it is": VALUE,
    "without its prefix": VALUE.removeprefix("sk-"),
    "in capitals": VALUE.upper(),
    "URL": quote(VALUE, safe=""),
    "URL, every character": "".join(f"%{ord(c):02X}" for c in VALUE),
    "URL, twice": quote(quote(VALUE, safe=""), safe=""),
    "JSON, every character": "".join(f"\\u{ord(c):04x}" for c in VALUE),
    "JSON in JSON": json.dumps("".join(f"\\u{ord(c):04X}" for c in VALUE)),
    "JSON with escaped slashes": VALUE.replace("/", "\\/"),
    "JSON, one character": VALUE.replace("P", "\\u0050"),
    "program": "".join(f"\\x{ord(c):02x}" for c in VALUE),
    "HTML": "".join(f"&#{ord(c)};" for c in VALUE),
    "HTML, hexadecimal": "".join(f"&#x{ord(c):x};" for c in VALUE),
    "hexadecimal": VALUE.encode().hex(),
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(VALUE.encode()).decode(),
    "base64 of a header": base64.b64encode(f"Bearer {VALUE}".encode()).decode(),
    "base64 of a pair": base64.b64encode(f"me:{VALUE}\n".encode()).decode(),
    "base64 of another pair": base64.b64encode(f"you:{VALUE}\n".encode()).decode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_the_key_is_redacted(spelling: str) -> None:
    """As servers write keys into JSON, URLs, HTML and headers."""
    text = LONG.redact(f"before {spelling} after")
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "[key]" in text
    # A base64 code keeps, at both ends, characters that depend on other bytes as well.
    assert len(text) <= len("before [key] after") + 12


@given(st.lists(st.sampled_from(("{}", "%{:02x}", "\\u{:04x}", "&#{};")), min_size=len(VALUE)))
def test_spellings_may_be_mixed(forms: list[str]) -> None:
    """Each character may be escaped in its own way."""
    pairs = zip(VALUE, forms, strict=False)
    text = "".join(c if form == "{}" else form.format(ord(c)) for c, form in pairs)
    assert LONG.redact(text) == "[key]"


@pytest.mark.parametrize(
    "text",
    ["\\" * 300_000, "%25" * 100_000, "&amp;" * 60_000, "&#0000" * 60_000, VALUE[:-1] * 9_000],
    ids=["backslashes", "percent", "amp", "zeros", "beginnings"],
)
def test_redaction_of_a_hostile_text_is_linear(text: str) -> None:
    """Ten times the text takes about ten times as long, not a hundred times."""
    seconds = []
    for part in (text[: len(text) // 10], text):
        start = time.process_time()
        LONG.redact(part + VALUE)
        seconds.append(time.process_time() - start)
    assert seconds[1] < max(seconds[0], 0.01) * 40


def test_no_other_text_is_touched() -> None:
    """What only resembles the key stays as it is."""
    text = "sk-Planted base64 c2stUGxhbg %73%6b \\u0073 &#115;k"
    assert LONG.redact(text) is text


def test_logs_and_tracebacks_lose_every_key_of_the_process() -> None:
    """Those of other libraries, too; also when another key is a part of this one."""
    Key(VALUE[-12:])
    assert redact_known(f"GET /v1?key={VALUE}") == "GET /v1?key=[key]"


def test_an_error_loses_the_key_with_its_causes() -> None:
    """Texts of other libraries are shown in tracebacks."""
    error = make_error()
    error.__cause__ = ValueError(f"odd: {VALUE}")
    redact_error(error, LONG)
    text = "".join(traceback.format_exception(error)) + repr((vars(error), error.to_json()))
    assert VALUE not in text
    assert text.count("[key]") >= len(TEXTS)


TEXTS = ("hint", "request_id", "response_end")


def make_error() -> ProtocolError:
    """Return an error with the key in everything that a provider can write into one."""
    remedy = Remedy("attach_task", "job", VALUE)
    error = ProtocolError(f"odd {VALUE}", remedies=[remedy])
    for name in TEXTS:
        setattr(error, name, f"odd {VALUE}")
    error.urls = (f"https://host/{VALUE}",)
    return error


def test_nothing_that_a_provider_returns_holds_the_key() -> None:
    """Whatever its client is: a provider of others need not use ours, which redacts responses."""
    video = RemoteVideo(VALUE, VALUE, id=VALUE)
    update = Update(
        stage=Stage.FAILED, task_id=VALUE, message=VALUE, video=video, error=make_error()
    )
    stream = redact_stream(ByteStream(iter(()), etag=VALUE), LONG)
    redacted = redact_update(update, LONG)

    assert VALUE not in repr((redacted, redacted.error and vars(redacted.error), stream.etag))
    assert (redacted.task_id, redacted.message, stream.etag) == ("[key]",) * 3
    assert redacted.video == RemoteVideo("[key]", "[key]", id="[key]")
