"""A key cannot be printed by accident."""

import logging
import traceback
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.key import Key

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
