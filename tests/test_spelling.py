"""What people write for a value or a name, and what it means."""

from typing import Any

import pytest

from veo.request import Request
from veo.text.spelling import find_similar


@pytest.mark.parametrize(
    ("field", "written", "meant"),
    [
        ("aspect_ratio", "16x9", "16:9"),
        ("aspect_ratio", "9 / 16", "9:16"),
        ("aspect_ratio", "16-9", "16:9"),
        ("aspect_ratio", "1920x1080", "16:9"),
        ("aspect_ratio", "21:9", "21:9"),
        ("aspect_ratio", "landscape", "16:9"),
        ("aspect_ratio", "Portrait", "9:16"),
        ("resolution", "1080", "1080p"),
        ("resolution", 720, "720p"),
        ("resolution", "4K", "4k"),
        ("resolution", "2160p", "4k"),
        ("duration", "8s", 8),
        ("duration", "8 seconds", 8),
        ("duration", 8.0, 8),
        ("seed", 7.0, 7),
    ],
)
def test_a_value_in_other_words(field: str, written: Any, meant: Any) -> None:
    """Each way to write a value makes the same request."""
    assert Request.of("a lion", **{field: written}) == Request.of("a lion", **{field: meant})


@pytest.mark.parametrize(
    ("field", "value"),
    [("aspect_ratio", "wide"), ("resolution", "big"), ("duration", "long"), ("duration", 8.5)],
)
def test_an_unknown_value_stays(field: str, value: Any) -> None:
    """A value that means nothing is left to the check, which reports it as written."""
    assert getattr(Request.of("a lion", **{field: value}), field) == value


@pytest.mark.parametrize(
    ("written", "meant"),
    [("gemeni", "gemini"), ("base-url", "base_url"), ("fast-veo", "veo-fast"), ("xyz", None)],
)
def test_a_similar_name(written: str, meant: str | None) -> None:
    """A typo, another separator or another order of words leads to the name."""
    assert find_similar(written, ["gemini", "base_url", "veo-fast"]) == meant
