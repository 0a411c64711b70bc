"""What a person asks for: kept, compared, changed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veo.image import Image
from veo.request import Request
from veo.update import RemoteVideo

IMAGES = st.builds(Image, st.text(min_size=1), st.none(), st.none() | st.text("0123456789abcdef"))
VIDEOS = st.builds(RemoteVideo, st.text(), st.just("video/mp4"), st.none() | st.floats(0, 2e9))
REQUESTS = st.builds(
    Request,
    prompt=st.text(),
    model=st.none() | st.text(),
    aspect_ratio=st.sampled_from([None, "16:9", "9:16"]),
    resolution=st.sampled_from([None, "720p", "4k"]),
    duration=st.none() | st.integers(),
    negative_prompt=st.none() | st.text(),
    seed=st.none() | st.integers(),
    person_generation=st.sampled_from([None, "allow_all"]),
    start_frame=st.none() | IMAGES,
    end_frame=st.none() | IMAGES,
    reference=st.lists(IMAGES, max_size=3).map(tuple),
    extend=st.none() | VIDEOS,
)


@given(REQUESTS)
def test_json_and_back(request: Request) -> None:
    """What the ledger keeps is what was asked for; an earlier process's request is the same."""
    assert Request.from_json(request.to_json()) == request


@given(REQUESTS)
def test_json_says_only_what_was_said(request: Request) -> None:
    """No field that was left open, so that a default of tomorrow is not taken for a wish."""
    said = request.to_json()
    assert None not in said.values()
    assert {name for name in said if name != "prompt"} == {
        name
        for name in Request.__dataclass_fields__
        if name != "prompt" and getattr(request, name) not in (None, ())
    }


def test_json_holds_no_bytes() -> None:
    """A picture is kept by place and content."""
    said = Request(prompt="p", start_frame=Image("a.png", b"bytes", "cafe")).to_json()
    assert said["start_frame"] == {"source": "a.png", "sha256": "cafe"}


@pytest.mark.parametrize(
    "given_",
    ["a.png", Path("a.png"), Image("a.png"), ["a.png"], (Path("a.png"),)],
    ids=["text", "path", "image", "list", "tuple"],
)
def test_pictures_come_in_every_form(given_: Any) -> None:
    """One reference or many, by path or as an image."""
    request = Request(prompt="p", start_frame="a.png", reference=given_)  # type: ignore[arg-type]
    assert (request.start_frame, request.reference) == (Image("a.png"), (Image("a.png"),))


def test_no_pictures() -> None:
    """None and an empty list are no references."""
    assert Request(prompt="p", reference=[]) == Request(prompt="p")  # type: ignore[arg-type]


def test_images_come_in_order() -> None:
    """Start, end, then references; what is missing leaves no hole."""
    request = Request(prompt="p", end_frame=Image("e"), reference=(Image("1"), Image("2")))
    assert request.frames == (Image("e"),)
    assert request.images == (Image("e"), Image("1"), Image("2"))


def test_every_image_is_mapped() -> None:
    """And nothing else."""
    request = Request(
        prompt="p", seed=7, start_frame=Image("s"), end_frame=Image("e"), reference=(Image("r"),)
    )
    mapped = request.map_images(lambda image: Image(image.source.upper()))
    assert [image.source for image in mapped.images] == ["S", "E", "R"]
    assert (mapped.prompt, mapped.seed) == ("p", 7)


class TestFingerprint:
    """Two requests for the same thing have the same."""

    def test_pictures_count_by_content(self) -> None:
        """Not by place."""
        here, there = (Request(prompt="p", start_frame=Image(at, None, "cafe")) for at in "ab")
        other = Request(prompt="p", start_frame=Image("a", None, "beef"))
        assert here.fingerprint() == there.fingerprint() != other.fingerprint()

    @given(REQUESTS, REQUESTS)
    def test_different_requests_differ(self, one: Request, other: Request) -> None:
        """As long as no two pictures are the same."""
        same = one.map_images(_content) == other.map_images(_content)
        assert (one.fingerprint() == other.fingerprint()) is same


def _content(image: Image) -> Image:
    return Image(image.sha256 or image.source)
